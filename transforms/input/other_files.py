"""Files that are not Parquet: which command reads what a user gave to this one."""

from __future__ import annotations

import zlib

HEAD_BYTES = 4096
_RUN_FIELDS = 6
# How the names of files that other commands read end -> what such a file is, and which command.
_CANDIDATES = "python -m pipelines.candidates"
_OF_OTHERS = {
    (".jsonl", ".json", ".csv", ".tsv"): f"documents or queries are for `{_CANDIDATES} --corpus FILE --queries FILE`",
    (".trec", ".run"): f"a TREC run is for `{_CANDIDATES} --retriever run:FILE`, which adds the texts",
    (".qrels",): "judgements are for `python -m eval measure OUT --qrels FILE`",
}


def advice(path: str, head: bytes) -> str:
    """What to do with a file that is not Parquet, after a semicolon, as far as its name or its beginning shows that.

    Args:
        path: the file's.
        head: its first bytes.
    """
    name = path.removesuffix(".gz")
    kind = next((words for ends, words in _OF_OTHERS.items() if name.endswith(ends)), None)
    if kind is None and _is_run(head):
        kind = _OF_OTHERS[".trec", ".run"]
    return f"; {kind}" if kind else ""


def unpacked(head: bytes) -> bytes:
    """The beginning of a file, as text that is packed with gzip has it; empty where that is damaged."""
    if not head.startswith(b"\x1f\x8b"):
        return head
    try:
        return zlib.decompressobj(wbits=31).decompress(head, HEAD_BYTES)
    except zlib.error:
        return b""


def _is_run(head: bytes) -> bool:
    fields = unpacked(head).partition(b"\n")[0].split()
    return len(fields) == _RUN_FIELDS and fields[3].isdigit()
