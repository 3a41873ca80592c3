"""Tables in text, between tabs or commas: their rows by the names of a header, or by the number of columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Iterator, Mapping

from transforms.base.errors import UserError
from transforms.base.text import open_text, other_separator, read_lines
from transforms.base.trec import split_csv

BEIR_JUDGEMENTS = ("query-id", "corpus-id", "score")  # the header of a file that BEIR's own loader reads as csv
csv.field_size_limit((1 << 31) - 1)  # its 128 KiB are fewer than a document may have

Row = tuple[str, Mapping[str, str]]


def rows(
    path: str,
    columns: Mapping[int, tuple[str, ...]],
    known: Collection[str],
    identifying: Collection[str],
    chosen: Iterable[str] = (),
) -> Iterator[Row]:
    """Where each row of a file stands, in words, and its cells by column; commas stand between those of a .csv file.

    A first line of known names, in upper or lower case, is a header, as is one that has a given name among any.

    Args:
        path: of the file, plain or gzip.
        columns: number of columns of a file without a header -> what they are.
        known: the names that columns go by.
        identifying: those of them that nobody writes but in a header.
        chosen: names that the user gave for this file or others.

    Raises:
        UserError: the file cannot be read, is not UTF-8, has a header with other names, or rows of other lengths.
    """
    is_csv = path.removesuffix(".gz").endswith(".csv")
    header: tuple[str, ...] | None = None
    chosen_names = {name.lower() for name in chosen}
    for where, cells in _csv_lines(path) if is_csv else _tab_lines(path, columns):
        if header is None:
            names = tuple(cell.strip().lower() for cell in cells)
            certain = not chosen_names.isdisjoint(names)
            unknown = [cell for cell, name in zip(cells, names, strict=True) if not certain and name not in known]
            if unknown and not set(identifying).isdisjoint(names):
                raise UserError(
                    f"{where}: a header that names {', '.join(map(repr, unknown))}, which is no known column; "
                    f"rename it, leave it out, or give --columns (known are {', '.join(sorted(known))})"
                )
            header = columns.get(len(cells), ()) if unknown else names
            if not unknown:
                continue
        if len(cells) != len(header):
            expected = f"{len(header)} columns" if header else f"{' or '.join(map(str, columns))} columns"
            between = "commas" if is_csv else "tabs"
            raise UserError(
                f"{where}: expected {expected} between {between}, found {len(cells)}"
                f"{(not header and other_separator(cells)) or '; fix the line'}"
            )
        yield where, dict(zip(header, cells, strict=True))


def _tab_lines(path: str, columns: Collection[int]) -> Iterator[tuple[str, list[str]]]:
    quoted = False
    for number, line in read_lines(path):
        where = f"{path}: line {number}"
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            raise UserError(f"{where}: not UTF-8; convert the file") from None
        quoted = quoted or tuple(text.split("\t")) == BEIR_JUDGEMENTS
        cells = split_csv(text) if quoted else text.split("\t")
        if len(cells) == 1 and len(text.split()) in columns:
            cells = text.split()  # TREC's files may have blanks
        yield where, cells


def _csv_lines(path: str) -> Iterator[tuple[str, list[str]]]:
    """The records of a file as the csv module and pandas write them; one with line breaks stands where it ends."""
    with open_text(path) as stream:
        reader = csv.reader(io.TextIOWrapper(stream, "utf-8", newline=""), strict=True)
        try:
            for cells in reader:
                if any(cells):
                    yield f"{path}: line {reader.line_num}", cells
        except UnicodeDecodeError:
            raise UserError(f"{path}: not UTF-8; convert the file") from None
        except csv.Error as error:
            raise UserError(f"{path}: line {reader.line_num}: not CSV ({error}); fix the line") from None
