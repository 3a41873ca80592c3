from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from eval.ranking.runs import open_source
from transforms.base.errors import UserError
from transforms.retrieval import step_files
from transforms.retrieval.trec_run import write_hits

LINES = b"q1 Q0 d1 1 0.5 tag\n\n<dbpedia:X>\tQ0  2#0 9 -1e-3 tag\r\na query\tQ0\ta doc\t1\t2\tmy tag\n"
ROWS = [
    {"query_id": "q1", "doc_id": "d1", "score": 0.5},
    {"query_id": "<dbpedia:X>", "doc_id": "2#0", "score": -0.001},
    {"query_id": "a query", "doc_id": "a doc", "score": 2.0},
]


@pytest.mark.parametrize("packed", [False, True])
def test_lines_become_hits(tmp_path: Path, packed: bool) -> None:
    source = tmp_path / ("run.txt.gz" if packed else "run.txt")
    source.write_bytes(gzip.compress(LINES) if packed else LINES)
    write_hits(str(source), str(tmp_path / "hits.parquet"))
    assert step_files.read(str(tmp_path / "hits.parquet")).to_pylist() == ROWS


def test_many_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transforms.retrieval.trec_run._ROWS", 2)
    (tmp_path / "run").write_text("".join(f"q Q0 d{number} 1 {number} t\n" for number in range(4)))
    write_hits(str(tmp_path / "run"), str(tmp_path / "hits.parquet"))
    assert step_files.read(str(tmp_path / "hits.parquet"))["score"].to_pylist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            b"q Q0 d 1 2\n",
            ": line 1: expected 6 fields, 'query Q0 document rank score tag', found 5; fix the line or ",
        ),
        (b"q Q0 d 1 x t\n", ": line 1: the score 'x' is not finite; fix the line"),
        (b"q Q0 d 1 inf t\n", ": line 1: the score 'inf' is not finite; fix the line"),
        (b"q Q0 \xff 1 1 t\n", ": line 1: not UTF-8; convert the file"),
        (b"\n", ": no line in it; give a run of lines 'query Q0 document rank score tag'"),
    ],
)
def test_mistakes(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "run").write_bytes(content)
    with pytest.raises(UserError) as refused:
        write_hits(str(tmp_path / "run"), str(tmp_path / "hits.parquet"))
    assert str(refused.value).startswith(f"{tmp_path}/run{said}")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_run_from_windows_loses_no_line(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """And is read as `eval measure` reads it, whatever its name."""
    lines = b"\xef\xbb\xbfq1 Q0 d1 1 2 t\r\n\r\nq1 Q0 d2 2 1 t\r\n"
    path = tmp_path / "run"
    path.write_bytes(pack(lines))
    write_hits(str(path), str(tmp_path / "hits.parquet"))
    hits = step_files.read(str(tmp_path / "hits.parquet")).to_pylist()
    assert [(row["query_id"], row["doc_id"]) for row in hits] == [("q1", "d1"), ("q1", "d2")]
    (measured,) = open_source(str(path)).lists
    assert measured.stages["run"] == [(row["score"], row["doc_id"]) for row in hits]
