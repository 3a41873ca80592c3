from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.support.input_files import candidate, nested_table, query, write
from tests.support.object_store import put
from transforms.base import files
from transforms.base.errors import UserError
from transforms.input.inputs import inspect
from transforms.input.named import input_files

PARTS = ["candidates/part-00000.parquet", "candidates/part-00001.parquet"]


def error_of(*patterns: str) -> str:
    with pytest.raises(UserError) as error:
        input_files(patterns)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_directory_of_a_candidates_job_gives_its_candidates(root: str) -> None:
    put(root, "job.json", "candidates.json", "_SUCCESS", "qrels.txt", *PARTS)
    expected = [files.join(root, name) for name in PARTS]
    assert input_files([root]) == input_files([f"{root}/"]) == input_files([f"{root}/candidates"]) == expected


def test_the_directory_of_a_job_that_has_not_finished_is_refused(root: str) -> None:
    put(root, "job.json", PARTS[0])
    assert error_of(root) == f"input {root}: its job has not finished; give that job's command again first"


@pytest.mark.parametrize("finished", [(), ("_SUCCESS",)])
def test_the_directory_of_a_reranking_job_is_refused(root: str, finished: tuple[str, ...]) -> None:
    put(root, "job.json", "scored/part-00000-00000-00000.parquet", *finished)
    assert error_of(root) == (
        f"input {root}: is the output of a reranking job; give the candidates that it read, or measure it with "
        f"`python -m eval measure {root}`"
    )


def test_a_job_s_directory_is_no_pattern_of_its_neighbours(root: str) -> None:
    put(root, "one/job.json", "one/scored/x", "two/a.parquet")
    assert input_files([f"{root}/*/*.parquet"]) == [f"{root}/two/a.parquet"]


@pytest.mark.parametrize("name", ["_metadata", "_common_metadata"])
def test_the_summary_of_a_data_set_is_refused(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, nested_table([query("q", [candidate("d")])]))
    assert error_of(path) == f"input {path}: sums up a Parquet data set and has no rows; give its directory"


@pytest.mark.parametrize("name", ["state.json", "dataset_dict.json"])
def test_what_the_datasets_library_saved_is_for_another_option(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("{}", encoding="utf-8")
    assert error_of(str(tmp_path)) == (
        f"input {tmp_path}: is a data set that the datasets library saved; give it as --dataset"
    )


RUN = b"q1 Q0 d1 1 12.5 bm25\n"
CANDIDATES = "python -m pipelines.candidates"
DOCUMENTS = f"documents or queries are for `{CANDIDATES} --corpus FILE --queries FILE`"
A_RUN = "a TREC run needs its texts: give `python -m pipelines.rerank` --corpus FILE --queries FILE too"
QRELS = "judgements are for `python -m eval measure OUT --qrels FILE`"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("docs.jsonl", b'{"_id": "1", "text": "a"}\n', f"; {DOCUMENTS}"),
        ("docs.jsonl.gz", gzip.compress(b"{}", mtime=0), f"; {DOCUMENTS}"),
        ("queries.csv", b"query_id,query\n", f"; {DOCUMENTS}"),
        ("queries.tsv", b"1\tq\n", f"; {DOCUMENTS}"),
        ("bm25.trec", b"", f"; {A_RUN}"),
        ("bm25.txt", RUN, f"; {A_RUN}"),
        ("bm25.txt.gz", gzip.compress(RUN, mtime=0), f"; {A_RUN}"),
        ("broken.gz", b"\x1f\x8b broken", ""),
        ("test.qrels", b"q1 0 d1 1\n", f"; {QRELS}"),
        ("qrels.txt", b"q1 0 d1 1\n", f"; {QRELS}"),
        ("qrels.trec", b"q1 0 d1 1\n", f"; {QRELS}"),
        ("notes.txt", b"one two three four five six\n", ""),
    ],
)
def test_a_file_that_another_command_reads_is_answered_with_it(
    name: str, content: bytes, said: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        inspect([str(path)])
    begin = f"{path}: not a Parquet file, or one cut short: it does not end in a footer"
    assert str(error.value) == begin + said
