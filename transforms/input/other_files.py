"""Files that are not Parquet: which command reads what a user gave to this one."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from transforms.base.text import TABLES

HEAD_BYTES = 4096
_RUN_FIELDS, _QREL_FIELDS = 6, 4
_BEIR_QRELS = ["query-id", "corpus-id", "score"]
# How the names of files that other commands read end -> what such a file is, and which command.
_CANDIDATES = "python -m pipelines.candidates"
_OF_OTHERS = {
    TABLES: f"documents or queries are for `{_CANDIDATES} --corpus FILE --queries FILE`",
    (
        ".trec",
        ".run",
    ): "a TREC run needs its texts: give `python -m pipelines.rerank` --corpus FILE --queries FILE too",
    (".qrels",): "judgements are for `python -m eval measure OUT --qrels FILE`",
}


def advice(path: str, head: bytes) -> str:
    """What to do with a file that is not Parquet, after a semicolon, as far as its name or its beginning shows that.

    Args:
        path: the file's.
        head: its first bytes.
    """
    name = path.removesuffix(".gz")
    kind = of_fields(unpacked(head).partition(b"\n")[0].decode(errors="replace").split())
    kind = kind or next((words for ends, words in _OF_OTHERS.items() if name.endswith(ends)), None)
    return f"; {kind}" if kind else ""


def of_fields(fields: Sequence[str]) -> str | None:
    """Which command reads a file with such a first line; None where that does not show."""
    if len(fields) == _RUN_FIELDS and fields[3].isdigit():
        return _OF_OTHERS[".trec", ".run"]
    is_qrel = len(fields) == _QREL_FIELDS and fields[1] in {"0", "Q0"} and fields[3].lstrip("-").isdigit()
    return _OF_OTHERS[".qrels",] if is_qrel or list(fields) == _BEIR_QRELS else None


def unpacked(head: bytes) -> bytes:
    """The beginning of a file, as text that is packed with gzip has it; empty where that is damaged."""
    if not head.startswith(b"\x1f\x8b"):
        return head
    try:
        return zlib.decompressobj(wbits=31).decompress(head, HEAD_BYTES)
    except zlib.error:
        return b""
