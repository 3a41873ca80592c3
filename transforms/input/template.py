"""What a model sees of a document: its title and text in one string."""

from __future__ import annotations

from string import Formatter

import pyarrow as pa
import pyarrow.compute as pc

from transforms.base.errors import UserError

# Literal text and the field ("title" or "text") that follows it; the last piece may have none.
Template = tuple[tuple[str, str | None], ...]


def parse_template(template: str) -> Template:
    """A text template such as "{title}: {text}" in pieces; braces that stand for themselves are doubled.

    Raises:
        UserError: other fields than {title} and {text}, none at all, or a brace that stands alone.
    """
    hint = "; it may hold {title} and {text}, and doubles braces that stand for themselves"
    try:
        pieces = list(Formatter().parse(template))
    except ValueError as error:
        raise UserError(f"--text_template {template!r}: {str(error).lower()}{hint}") from error
    for _, name, spec, conversion in pieces:
        if name not in (None, "title", "text") or spec or conversion:
            field = f"{name}{'!' + conversion if conversion else ''}{':' + spec if spec else ''}"
            raise UserError(f"--text_template {template!r}: {{{field}}} is not a field of a document{hint}")
    if all(name is None for _, name, _, _ in pieces):
        raise UserError(f"--text_template {template!r}: without a field every document reads the same{hint}")
    return tuple((literal, name) for literal, name, _, _ in pieces)


def uses_title(template: Template | None) -> bool:
    return template is None or any(name == "title" for _, name in template)


def render(template: Template | None, title: pa.StringArray, text: pa.StringArray) -> pa.StringArray:
    """Titles and texts as one string each; a text is never null.

    Without a template that is `title + " " + text` where the title is neither null nor empty, else `text`. With one, a
    null title is empty.
    """
    if template is None:
        titled = pc.greater(pc.binary_length(title), 0).fill_null(False)
        return pc.if_else(titled, pc.binary_join_element_wise(title, text, " "), text)
    fields = {"title": title.fill_null(""), "text": text, None: pa.scalar("")}
    return pc.binary_join_element_wise(*(part for literal, name in template for part in (literal, fields[name])), "")
