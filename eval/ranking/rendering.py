"""How the templates of pages and tables are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def environment(package: str, autoescape: bool, finalize: Callable[[Any], Any] | None = None) -> Environment:
    """Jinja's environment for the templates in a package's folder of that name; a variable that is missing is an error.

    Args:
        package: whose they are.
        autoescape: whether all values are escaped for HTML.
        finalize: applied to each value before it is written.
    """
    return Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=autoescape,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
