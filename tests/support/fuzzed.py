"""What inputs may look like, as hypothesis draws them: schemas, rows and row groups, good and bad."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from tests.support.input_files import flat_table, nested_table
from transforms.input.columns import RowLayout

Row = dict[str, Any]

# One character of any plane; those beyond the surrogates are counted as if there were none.
CHARACTERS = st.integers(0, 0x10F7FF).map(lambda code: chr(code if code < 0xD800 else code + 0x800))
WORDS = ["a", "b", "c x", "a b c", "x y z x y z x y z", "a b c d e f g h i j k l m n o p q r s t u v w x y z " * 3]
# Unpaired surrogates, a byte that no character has, one cut short, an overlong "/".
NOT_UTF8 = [b"\xed\xa0\x80", b"a\xed\xbf\xbf", b"\xff", b"caf\xc3", b"\xc0\xaf"]
SPECIAL = ["", " ", "\0", "a\0b", "[SEP]", "[CLS] a [SEP] b", "</s>", "<|im_end|>", "\ufeffa", "e\u0301", "\u202eb"]
TEXTS = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from([*SPECIAL, *SPECIAL, "a " * 3000, "\U0010ffff" * 500, None, *NOT_UTF8]),
    CHARACTERS.map(lambda one: f"a {one} b{one}"),
)
# Few, so that they meet again; some that only seem to be the same.
NAMES = st.sampled_from(
    [
        "a",
        "b",
        "c",
        "d",
        "e",
        "f",
        "g",
        "A",
        "a ",
        "1",
        "01",
        "a\0",
        "é",
        "e\u0301",
        "\U0001f600",
        *" \u3000",
        "",
        None,
        *NOT_UTF8[:2],
    ]
)
NUMBERS = st.one_of(st.integers(0, 5), st.sampled_from([-1, 2**63 - 1, None]))
SCORES = st.sampled_from([None, None, 0.0, -0.0, 0.5, -3.25, -1e300, float("nan"), float("inf"), float("-inf")])
RANKS = st.sampled_from([None, None, 1, 2, 2, 3, -7, 2**31 - 1])
LAYOUTS: list[RowLayout] = ["nested", "flat"]
STRING_TYPES = [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]


@dataclass(frozen=True)
class File:
    """One input file: its rows in the layout's own form, the types of columns that are not the usual, and how many
    rows each of its row groups has."""

    layout: RowLayout
    rows: list[Row]
    types: dict[str, pa.DataType]
    row_groups: list[int]

    def table(self) -> pa.Table:
        make = nested_table if self.layout == "nested" else flat_table
        return make(self.rows, **self.types)

    def write(self, path: Path) -> str:
        table = self.table()
        with pq.ParquetWriter(path, table.schema) as writer:
            start = 0
            for rows in self.row_groups:
                writer.write_table(table.slice(start, rows))
                start += rows
        return str(path)


def mostly(usual: st.SearchStrategy[Any], *others: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The usual, but one of the others once in a while."""
    return st.sampled_from([*[usual] * 12, *others]).flatmap(lambda chosen: chosen)


def row_groups(rows: int) -> st.SearchStrategy[list[int]]:
    """Sizes of row groups that have so many rows together, some of them empty."""
    cuts = st.lists(st.integers(0, rows), max_size=4).map(sorted)
    return cuts.map(lambda places: [stop - start for start, stop in pairwise([0, *places, rows])])


@st.composite
def files(draw: st.DrawFn, most: int = 1, instructions: bool = True) -> list[File]:
    """Input files of one layout and with the same columns, each of its own types.

    Args:
        draw: from hypothesis.
        most: files, at most.
        instructions: whether queries may have one, which the model of a whole job must then take.
    """
    layout: RowLayout = draw(st.sampled_from(LAYOUTS))
    optional = {name: draw(st.booleans()) for name in ("instruction", "title", "score", "rank")}
    optional["instruction"] &= instructions
    numbered = {name: draw(st.integers(0, 4)) == 0 for name in ("query_id", "doc_id")}
    ids = {name: NUMBERS if is_number else NAMES for name, is_number in numbered.items()}
    outer = {"query_id": ids["query_id"], "query": TEXTS, "instruction": TEXTS}
    inner = {"doc_id": ids["doc_id"], "text": TEXTS, "title": TEXTS, "score": SCORES, "rank": RANKS}
    outer, inner = (
        {name: values for name, values in level.items() if optional.get(name, True)} for level in (outer, inner)
    )
    entry = mostly(st.fixed_dictionaries(inner), st.none())
    many = st.builds(_many, st.sampled_from([7, 100, 1000]), st.just(numbered["doc_id"]))
    lists = mostly(st.lists(entry, max_size=5), many, st.none())
    row = st.fixed_dictionaries(outer | {"candidates": lists} if layout == "nested" else outer | inner)
    drawn = []
    for _ in range(draw(st.integers(1, most))):
        rows = draw(st.lists(row, min_size=1, max_size=5))
        types: dict[str, pa.DataType] = {name: draw(st.sampled_from(STRING_TYPES)) for name in ("query", "text")}
        types |= {
            name: pa.int64() if number else draw(st.sampled_from(STRING_TYPES)) for name, number in numbered.items()
        }
        drawn.append(File(layout, rows, types, draw(row_groups(len(rows)))))
    return drawn


def _many(number: int, numbered: bool) -> list[Row]:
    """A long list of plain documents."""
    return [{"doc_id": i if numbered else f"d{i}", "text": "abc"[i % 3]} for i in range(number)]
