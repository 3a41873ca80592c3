"""`--extend` where the input has one row per pair."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from tests.support.input_files import write
from tests.support.job_run import parts, rerank, scores


def flat(path: Path, *queries: tuple[str, list[str]]) -> Path:
    """One row per pair: query ids with their documents' texts."""
    rows_ = [
        {"query_id": name, "query": "a", "doc_id": f"d{place}", "text": text}
        for name, texts in queries
        for place, text in enumerate(texts)
    ]
    return Path(write(path, pa.Table.from_pylist(rows_), row_group_size=2))


def test_flat_input_is_extended_by_new_queries(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    first = flat(folder / "b.parquet", ("q1", ["b", "c d"]), ("q2", ["e", "f", "g"]))
    assert rerank(first, out, model) == 0
    before = parts(out)
    flat(folder / "a.parquet", ("q3", ["h", "i"]), ("q4", ["k"]))
    assert rerank(folder, out, model, "--extend") == 0
    assert before.items() <= parts(out).items()
    assert {query_id for query_id, _ in scores(out)} == {"q1", "q2", "q3", "q4"}
    extended = parts(out)
    for name, queries, said in (
        ("c", [("q5", ["a"]), ("q2", ["z"])], "q2"),
        ("c", [("q6", ["a"]), ("q7", ["b"]), ("q6", ["c"])], "q6"),
    ):
        added = flat(folder / f"{name}.parquet", *queries)
        capsys.readouterr()
        assert rerank(folder, out, model, "--extend") == 2
        assert f"error: --extend: {added} has query '{said}', of which other rows came before; give files of new" in (
            capsys.readouterr().err
        )
        assert parts(out) == extended
        added.unlink()
    assert rerank(folder, out, model) == 0, "nothing was changed"


def test_a_job_whose_input_was_regrouped_is_not_extended(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    flat(folder / "a.parquet", ("q1", ["b"]), ("q2", ["c"]), ("q1", ["d"]))
    assert rerank(folder, out, model) == 0
    flat(folder / "b.parquet", ("q3", ["b"]))
    assert rerank(folder, out, model, "--extend") == 2
    assert "error: --extend: rows of the job's own queries do not stand together" in capsys.readouterr().err
