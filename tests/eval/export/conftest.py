"""What the tests of exports share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import tiny
from tests.support.exports import QUERIES, TEXTS
from tests.support.input_files import candidate, nested_table, query, write
from tests.support.job_run import rerank


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished job of three lists of five documents."""
    folder = tmp_path_factory.mktemp("job")
    lists = [query(name, [candidate(i, text) for i, text in TEXTS.items()], text) for name, text in QUERIES.items()]
    write(folder / "in.parquet", nested_table(lists), row_group_size=2)
    assert rerank(folder / "in.parquet", folder / "out", tiny.bert(folder / "model")) == 0
    return folder / "out"


@pytest.fixture
def qrels(tmp_path: Path) -> Path:
    path = tmp_path / "qrels"
    path.write_text("q1 0 d3 1\nq1 0 d1 0\nq2 0 d1 1\nq2 0 d5 2\nq9 0 d1 1\n", encoding="utf-8")
    return path
