"""Small copies of the data sets in the layout that each has on the hub, and in a directory."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SCRIPT = b"raise SystemExit('no code of a data set is ever run')"

WIKIPEDIA: list[dict[str, Any]] = [
    {"_id": "doc0", "title": "Gladiator", "text": "A film by Ridley Scott from 2000.", "metadata": {"url": "w"}},
    {"_id": "doc1", "title": "", "text": "Panda bears eat bamboo."},
    {"_id": "doc2", "title": "Alien", "text": "Sir Ridley Scott directed this film."},
]
CLAIMS: list[dict[str, Any]] = [
    {"_id": 7, "text": "pandas eat bamboo", "metadata": {"a": [1]}},
    {"_id": 1, "text": "who directed the film"},
    {"_id": 9, "text": "of no split"},
]
TYPES = ["entity", "long_answer", "unanswerable", "date", "number", "number_with_unit", "short_phrase", "binary"]


def lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), stream)
    return stream.getvalue()


def mkqa(numbered_types: bool) -> list[dict[str, Any]]:
    """Four questions, of which two have short answers; the types by name, or by number as in Parquet."""

    def answers(kind: str, *texts: str | None) -> dict[str, list[dict[str, Any]]]:
        noted: Any = TYPES.index(kind) if numbered_types else kind
        entries = [{"type": noted, "entity": "", "text": texts[0], "aliases": [text for text in texts[1:] if text]}]
        return {
            "en": entries,
            "de": [{**entries[0], "text": None if texts[0] is None else "auf Deutsch", "aliases": []}],
        }

    return [
        {
            "example_id": number,
            "query": english,
            "queries": {"en": english, "de": german},
            "answers": answers(*answer),
        }
        for number, english, german, answer in (
            (31, "director of gladiator", "Regisseur von Gladiator", ("entity", "Ridley Scott", "Sir Ridley Scott")),
            (-5, "why", "warum", ("long_answer", None)),
            (32, "year of gladiator", "Jahr von Gladiator", ("date", "2000", "2000", "Y2K")),
            (33, "is alien a film", "ist Alien ein Film", ("binary", "yes")),
        )
    ]


def hub() -> dict[str, dict[str, bytes]]:
    """Repository -> file -> content."""
    miracl = "miracl-v1.0-yo"
    code = [
        {"_id": "d0", "title": "", "partition": "train", "text": "def add(a, b): return a + b", "language": "python"},
        {"_id": "d1", "title": "", "partition": "test", "text": "def sort(items): return sorted(items)"},
    ]
    questions = [
        {"_id": "q0", "partition": "train", "text": "add two numbers", "title": ""},
        {"_id": "q1", "partition": "test", "text": "python sort items", "title": ""},
    ]
    return {
        "BeIR/scifact": {
            "corpus.jsonl.gz": packed(lines(WIKIPEDIA)),
            "queries.jsonl.gz": packed(lines(CLAIMS)),
            "scifact.py": SCRIPT,
        },
        "BeIR/scifact-qrels": {
            "test.tsv": b"query-id\tcorpus-id\tscore\n1\tdoc2\t1\n1\tdoc0\t1\n7\tdoc1\t2\n",
            "train.tsv": b"query-id\tcorpus-id\tscore\n9\tdoc1\t1\n",
        },
        "BeIR/nq": {"corpus/nq-corpus.parquet": parquet(WIKIPEDIA), "queries/nq-queries.parquet": parquet(CLAIMS[:1])},
        "miracl/miracl-corpus": {
            "miracl-corpus-v1.0-yo/docs-0.jsonl.gz": packed(
                lines([{"docid": "2#0", "title": "Olympiiki", "text": "Idije Olympiiki akọkọ"}])
            ),
            "miracl-corpus-v1.0-yo/docs-1.jsonl.gz": packed(
                lines([{"docid": "1#0", "title": "Washington", "text": "Odun ni wọn"}])
            ),
            "miracl-corpus-v1.0-sw/docs-0.jsonl.gz": packed(
                lines([{"docid": "0#0", "title": "", "text": "Olympiiki"}])
            ),
            "miracl-corpus.py": SCRIPT,
        },
        "miracl/miracl": {
            f"{miracl}/topics/topics.{miracl}-dev.tsv": "1#0\tOdun wo ni idije Olympiiki akọkọ?\n".encode(),
            f"{miracl}/qrels/qrels.{miracl}-dev.tsv": b"1#0\tQ0\t2#0\t1\n1#0\tQ0\t1#0\t0\n",
            "miracl.py": SCRIPT,
        },
        "apple/mkqa": {"mkqa/train-00000-of-00001.parquet": parquet(mkqa(numbered_types=True)), "mkqa.py": SCRIPT},
        "CoIR-Retrieval/cosqa-queries-corpus": {
            "data/corpus-00000-of-00001-6ab5c5eda798a0f9.parquet": parquet(code),
            "data/queries-00000-of-00001-37cf369ef664f0a0.parquet": parquet(questions),
        },
        "CoIR-Retrieval/cosqa-qrels": {
            "data/test-00000-of-00001.parquet": parquet([{"query_id": "q1", "corpus_id": "d1", "score": 1}]),
            "data/train-00000-of-00001.parquet": parquet([{"query_id": "q0", "corpus_id": "d0", "score": 1}]),
        },
    }


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def local(folder: Path) -> Path:
    """The same under OWNER/NAME/."""
    for repository, files in hub().items():
        write(folder / repository, files)
    return folder


def directory(folder: Path, shard_lines: Sequence[Mapping[str, Any]] = WIKIPEDIA) -> Path:
    """A data set in a directory of BEIR's layout."""
    qrels = b"query-id\tcorpus-id\tscore\n1\tdoc2\t1\n7\tdoc1\t2\n"
    content = {"corpus.jsonl": lines(shard_lines), "queries.jsonl": lines(CLAIMS), "qrels/test.tsv": qrels}
    return write(folder, content)
