"""What `python -m eval measure` says of a mistake, before or after its work."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.__main__ import main
from eval.ranking.files import write_json, write_table
from tests.support.eval_output import write_scored
from tests.support.full_disk import full_disk
from transforms.base.errors import UnavailableError


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_full_disk_is_reported_with_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write(tmp_path / "run", "q1 Q0 d1 1 2.0 r\n")
    qrels = write(tmp_path / "qrels", "q1 0 d1 1\n")
    assert main(["measure", str(run), "--qrels", str(qrels), "--json", "/dev/full"]) == 1
    assert capsys.readouterr().err == "error: /dev/full cannot be written: [Errno 28] No space left on device\n"


@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.parquet"])
def test_a_full_disk_takes_no_older_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("older")
    with pytest.raises(UnavailableError, match=rf"{name} cannot be written: \[Errno 27\] File too large"), full_disk():
        write_json(path, ["newer"]) if name.endswith("json") else write_table(path, [{"a": 1}])
    assert path.read_text() == "older"
    assert [*tmp_path.iterdir()] == [path]


MISTAKES: dict[str, tuple[list[str], str]] = {
    "no command": ([], "no command given; give one of compare, export, measure, order, table, throughput,"),
    "an unknown command": (["rank"], "rank: no such command; give one of compare, export, "),
    "no qrels": (
        ["measure", "RUN"],
        "one of the arguments --qrels --answers is required; see --help",
    ),
    "bad measures": (
        ["measure", "RUN", "--qrels", "QRELS", "--measures", "ndcg", "R@10", "foo@1"],
        "--measures: cannot",
    ),
    "a bad table name": (
        ["measure", "RUN", "--qrels", "QRELS", "--per_query", "values.txt"],
        "--per_query values.txt: the name must end in .parquet or .csv or .tsv",
    ),
    "a missing folder": (
        ["measure", "RUN", "--qrels", "QRELS", "--json", "absent/report.json"],
        "--json absent/report.json: there is no directory absent; make it first",
    ),
    "a folder as the report": (
        ["measure", "RUN", "--qrels", "QRELS", "--json", "FOLDER"],
        "--json FOLDER: is a directory; name a file",
    ),
    "the judgements as the report": (
        ["measure", "RUN", "--qrels", "QRELS", "--json", "QRELS"],
        "--json QRELS: is a file that is read here; give the name of another",
    ),
    "a part as the table": (
        ["measure", "EMPTY_JOB", "--qrels", "QRELS", "--per_query", "EMPTY_JOB/scored/part-00000-00000-00000.parquet"],
        "--per_query EMPTY_JOB/scored/part-00000-00000-00000.parquet: is a file that is read here; give the name of",
    ),
    "one name for both": (
        ["measure", "RUN", "--qrels", "QRELS", "--json", "x.csv", "--per_query", "x.csv"],
        "--per_query and --json x.csv: give each a name of its own",
    ),
    # as an unset variable of the shell makes them
    "no name for the run": (["measure", "", "--qrels", "QRELS"], "argument OUT_OR_RUN: it is empty; see --help"),
    "no name for the qrels": (["measure", "RUN", "--qrels", ""], "argument --qrels: it is empty; see --help"),
    "no name for the answers": (["measure", "RUN", "--answers="], "argument --answers: it is empty; see --help"),
    "no name for one of two": (["compare", "RUN", "", "--qrels", "QRELS"], "argument OUT_OR_RUN: it is empty; see"),
    "no name for the output": (["verify-output", ""], "argument OUT: it is empty; see --help"),
    "no name for the results": (["table", ""], "argument RESULTS: it is empty; see --help"),
    "no name for the export": (["export", "OUT", "--format", "ids", "--to", ""], "argument --to: it is empty; see"),
    "no name for the job": (["export", "", "--format", "ids", "--to", "x"], "argument OUT: it is empty; see --help"),
    "no name for an order's job": (["order", "A", "", "--qrels", "QRELS"], "argument OUT: it is empty; see --help"),
    "no name for the model": (["verify", "--model", ""], "argument --model: it is empty; see --help"),
    "a missing run": (["measure", "absent", "--qrels", "QRELS"], "absent: not found; give a job's output directory or"),
    "a name that is not text": (["measure", "RUN", "--qrels", "\udcff"], "'\\udcff': its name cannot be written down"),
    "a name with a line break": (["measure", "RUN", "--qrels", "a\nb"], "'a\\nb': its name cannot be written down; "),
    "a name with a wide space": (["measure", "RUN", "--qrels", "a\u3000b"], "a b: cannot be read"),
    "a name with a colon": (["measure", "gs:", "--qrels", "QRELS"], "gs:: not found; give a job's output directory or"),
    "an address of nothing": (["measure", "gs://", "--qrels", "QRELS"], "gs://: names no file; give its whole address"),
    "missing qrels": (["measure", "RUN", "--qrels", "absent"], "absent: cannot be read"),
    "swapped files": (["measure", "QRELS", "--qrels", "RUN"], "RUN: line 1: expected 4 fields"),
    "an empty run": (["measure", "EMPTY", "--qrels", "QRELS"], "EMPTY: no candidates in it; give one that has"),
    "an empty job": (["measure", "EMPTY_JOB", "--qrels", "QRELS"], "EMPTY_JOB: its job has scored no pair; give one"),
    "a job without a pair": (
        ["measure", "NOTHING", "--qrels", "QRELS"],
        "NOTHING: its job has scored no pair; give one that has",
    ),
    "a foreign folder": (["measure", "FOLDER", "--qrels", "QRELS"], "FOLDER: no scored/part-*.parquet in it"),
    "another collection's qrels": (
        ["measure", "RUN", "--qrels", "OTHER"],
        "RUN and OTHER have no query in common: it has ids like 'q1', 'q2', 'q3', the qrels like 'Q-1', 'Q-2'; ",
    ),
    "a document twice": (
        ["measure", "TWICE", "--qrels", "QRELS"],
        "TWICE: query 'q1' lists document 'b' 2 times; keep",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line_and_exit_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "RUN", "".join(f"q{number} Q0 a 1 1 t\n" for number in range(1, 6)))
    write(tmp_path / "TWICE", "q1 Q0 a 1 3 t\nq1 Q0 b 2 2 t\nq1 Q0 b 3 1 t\n")
    write(tmp_path / "QRELS", "q1 0 a 1\n")
    write(tmp_path / "OTHER", "Q-1 0 a 1\nQ-2 0 a 1\n")
    write(tmp_path / "EMPTY", "")
    (tmp_path / "FOLDER").mkdir()
    write_scored(tmp_path / "EMPTY_JOB", [])
    (tmp_path / "NOTHING").mkdir()
    write(tmp_path / "NOTHING" / "job.json", "{}")
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"error: {message}")
    assert (printed.err.count("\n"), printed.err[-1]) == (1, "\n")
