"""A TREC run, its corpus and its queries in one command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import copies
from tests.support.job_run import parts, rerank, rows

DOCUMENTS = [{"_id": f"d{number}", "text": " ".join("abcdefgh"[number % 8 :])} for number in range(12)]
RUN = "".join(f"0{q} Q0 d{d} 1 {(q * 5 + d * 7) % 23} t\n" for q in range(3) for d in range(12)) + "00 Q0 gone 1 99 t\n"
QUERIES = b"00\ta\n01\tb\n02\tc\n03\td\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    content = {"run.trec": RUN.encode(), "corpus.jsonl": copies.lines(DOCUMENTS), "queries.tsv": QUERIES}
    return copies.write(tmp_path / "data", content)


def texts(data: Path) -> list[str]:
    return ["--corpus", str(data / "corpus.jsonl"), "--queries", str(data / "queries.tsv")]


def test_a_run_is_reranked_with_its_texts(
    data: Path, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = data / "run.trec", tmp_path / "out"
    assert rerank(run, out, model, *texts(data)) == 0
    said = f"read {run}: 36 pairs of 4 queries, 1 without a text in the corpus\n"
    assert said in capsys.readouterr().err
    scored = {(row["query_id"], row["doc_id"]): row for row in rows(out)}
    assert scored.keys() == {(f"0{q}", f"d{d}") for q in range(3) for d in range(12)}
    for query in range(3):
        firsts = sorted(range(12), key=lambda d: ((query * 5 + d * 7) % 23, f"d{d}"), reverse=True)
        assert [scored[f"0{query}", f"d{d}"]["first_stage_score"] for d in firsts] == sorted(
            ((query * 5 + d * 7) % 23 for d in range(12)), reverse=True
        )
    before = parts(out)
    next(out.glob("scored/*.parquet")).unlink()
    assert rerank(run, out, model, *texts(data)) == 0
    assert said not in capsys.readouterr().err, "it is not joined again"
    assert parts(out) == before


def test_texts_that_have_changed_are_refused(
    data: Path, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = data / "run.trec", tmp_path / "out"
    assert rerank(run, out, model, *texts(data)) == 0
    (data / "queries.tsv").write_bytes(QUERIES + b"04\te\n")
    capsys.readouterr()
    assert rerank(run, out, model, *texts(data)) == 2
    assert capsys.readouterr().err == (
        f"error: {run}: has changed since the job first read it; give it a new --output, or --overwrite\n"
    )
    assert rerank(run, out, model, *texts(data), "--overwrite") == 0
    assert len([*out.glob("_converted/*")]) == 1, "the old one is gone"


def test_a_dry_run_of_a_run_leaves_nothing(data: Path, tmp_path: Path, model: Path) -> None:
    assert rerank(data / "run.trec", tmp_path / "out", model, *texts(data), "--dry_run") == 0
    assert not (tmp_path / "out").exists()


def test_columns_of_the_texts_have_other_names(data: Path, tmp_path: Path, model: Path) -> None:
    corpus = data / "corpus.csv"
    corpus.write_text("key,body\n" + "".join(f"{row['_id']},{row['text']}\n" for row in DOCUMENTS), encoding="utf-8")
    words = ["--corpus", str(corpus), "--queries", str(data / "queries.tsv"), "--columns", "doc_id=key,text=body"]
    assert rerank(data / "run.trec", tmp_path / "out", model, *words) == 0
    assert len(rows(tmp_path / "out")) == 36


@pytest.mark.parametrize(
    ("name", "content", "options", "said"),
    [
        ("run.trec", RUN, ["--corpus", "c"], "--corpus and --queries go together: they add the texts to a TREC run"),
        (
            "run.trec",
            RUN,
            [],
            "does not end in a footer; a TREC run needs its texts: give `python",
        ),
        (
            "run.tsv",
            "1\tQ0\td\t1\t2.5\tt\n",
            [],
            "holds no pairs; a TREC run needs its texts: give `python",
        ),
        (
            "qrels.tsv",
            "1\t0\td\t1\n",
            [],
            "holds no pairs; judgements are for `python -m eval measure OUT",
        ),
        ("test.tsv", "query-id\tcorpus-id\tscore\n1\td\t1\n", [], "holds no pairs; judgements are for `python -m eval"),
    ],
)
def test_a_file_of_another_command_is_answered_with_it(
    name: str,
    content: str,
    options: list[str],
    said: str,
    tmp_path: Path,
    model: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    assert rerank(path, tmp_path / "out", model, *options) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_files_that_do_not_belong_together_are_one_line(
    data: Path, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run.txt"
    run.write_text("other Q0 d1 1 2 t\n", encoding="utf-8")
    assert rerank(run, tmp_path / "out", model, *texts(data)) == 2
    assert capsys.readouterr().err == (
        f"error: {run}: no text for any of its queries and documents; do the files belong together?\n"
    )
