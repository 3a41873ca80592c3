"""A corpus in shards of some thousand documents: the unit of work of a dense first stage, and of its commit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import pyarrow as pa

from transforms.layout import PARQUET, part_files, part_name, part_numbers
from transforms.retrieval import step_files
from transforms.retrieval.records import Document, documents
from transforms.retrieval.source import SourceFile

SHARD_BYTES = 64 << 20


def write_shards(source: SourceFile, index: int, output: str, shard_documents: int) -> Iterator[str]:
    """Writes the shards of one file of the corpus, and yields their names, also of those that are there already.

    Args:
        source: the file.
        index: its place among the corpus' files, part of the shards' names.
        output: the job's directory.
        shard_documents: documents of a shard, at most.

    Raises:
        UserError: the file cannot be read, or does not hold a corpus.
    """
    present = shards_of(output).get(part_name(index), [])
    if present and step_files.record(step_files.corpus_path(output, present[-1]))["last"]:
        yield from present
        return
    for piece, (rows, last) in enumerate(_with_last(_slices(documents(source.path, source.columns), shard_documents))):
        name = part_name(index, piece)
        if name not in present:
            with_text = [row for row in rows if row.text is not None]
            columns = [pa.array(column, pa.string()) for column in zip(*with_text, strict=True)] or [[], [], []]
            table = pa.table(dict(zip(Document._fields, columns, strict=True))).select(step_files.CORPUS.names)
            counts = {"documents": len(with_text), "without_text": len(rows) - len(with_text), "last": last}
            step_files.write(step_files.corpus_path(output, name), table.cast(step_files.CORPUS), counts)
        yield name


def shards_of(output: str) -> dict[str, list[str]]:
    """Names of the shards that are committed, in order, by what the names of one file's begin with.

    They are written in order, so where one is there those before it are.
    """
    shards: dict[str, list[str]] = defaultdict(list)
    for name in (file_name.removesuffix(PARQUET) for file_name in part_files(step_files.corpus_files(output))):
        numbers = part_numbers(name)
        if len(numbers) == 2:
            shards[part_name(numbers[0])].append(name)
    return shards


def _slices(rows: Iterable[Document], shard_documents: int) -> Iterator[list[Document]]:
    held: list[Document] = []
    size = 0
    for row in rows:
        if held and (len(held) >= shard_documents or size >= SHARD_BYTES):
            yield held
            held, size = [], 0
        held.append(row)
        size += len(row.text or "") + len(row.title or "")
    yield held


def _with_last(slices: Iterable[list[Document]]) -> Iterator[tuple[list[Document], bool]]:
    """Each slice, and whether it is the last."""
    before: list[Document] | None = None
    for piece in slices:
        if before is not None:
            yield before, False
        before = piece
    if before is not None:
        yield before, True
