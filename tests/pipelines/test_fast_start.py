"""What a command answers, and what the faces for Python give, before anything large is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.io.filesystem import FileSystem
from apache_beam.options.pipeline_options import StandardOptions

from eval.__main__ import COMMANDS
from pipelines.rerank.request import RerankRequest
from pipelines.running import beam_source, before_beam
from pipelines.running.beam_options import parser_of_all
from pipelines.running.beam_source import declared
from tests.support.job_run import write_letters
from transforms.scoring import choices
from transforms.scoring.packed.attention import KERNELS
from transforms.scoring.packed.execution import DTYPES

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
from {module}.__main__ import main
try:
    code = main(sys.argv[1:])
except SystemExit as end:
    code = end.code
print("exit code", code, [name for name in {large} if name in sys.modules])
"""
LARGE = ("torch", "apache_beam", "transformers", "scipy", "datasets", "matplotlib", "pandas")
FACE = "import sys, time, {face}; print(time.process_time(), [name for name in {large} if name in sys.modules])"
# Of the processor, the interpreter's start included: some 0.4 on two cores of an AMD EPYC, where torch alone takes 3.
FACE_SECONDS = 1.5
DEMO = ROOT / "demo" / "dbpedia_entity_40x50.parquet"
RERANK = [f"--input={DEMO}", "--output=out", "--model=small-cross-encoder"]
CANDIDATES = ["--dataset=beir/scifact", "--output=out"]
BM25 = ["--output=out", "--retriever=bm25"]
BENCHMARK = ["--models=small-cross-encoder", "--datasets=beir/scifact", "--output=out"]
MODULES = (*(f"pipelines.{name}" for name in ("rerank", "candidates", "benchmark", "score", "serve")), "eval")
CORPUS = f"--corpus={ROOT / 'demo'}"
OWN_TEXTS = [f"--corpus={DEMO}", f"--queries={DEMO}", "--output=out"]
ERRORS: list[tuple[str, list[str], str]] = [
    ("pipelines.rerank", [*RERANK, "--max_lenght=8"], "--max_lenght=8: neither this command nor Beam has"),
    ("pipelines.rerank", [*RERANK, "--top_k=0"], "argument --top_k: '0' is not a positive whole number; see --help"),
    ("pipelines.rerank", [*RERANK, "--workers=2"], "--workers: it is for --dry_run alone; leave it out"),
    ("pipelines.rerank", [*RERANK, "--candidate_order=x"], "--candidate_order x: give given, best_first, worst_first"),
    ("pipelines.rerank", [*RERANK, "--model=ftp://a/b"], "--model: this address is not valid; give one like https://"),
    (
        "pipelines.rerank",
        [*RERANK, "--input=absent"],
        "input 'absent' matches no file; give a file, a directory",
    ),
    ("pipelines.rerank", [*RERANK, "--runner=Runer"], "--runner Runer: Beam has no such runner; give DirectRunner,"),
    (
        "pipelines.rerank",
        [*RERANK, "--runner=FlinkRuner"],
        "--runner FlinkRuner: Beam has no such runner; did you mean",
    ),
    (
        "pipelines.rerank",
        [*RERANK, "--output=gss://b/out"],
        "--output gss://b/out: no file system has gss://; give",
    ),
    (
        "pipelines.benchmark",
        [*BENCHMARK[::2], "--datasets=x=gss://b/cands.parquet,gss://b/qrels"],
        "--datasets gss://b/cands.parquet: no file system has gss://; give a path on this machine, or gs://, s3://,",
    ),
    (
        "pipelines.benchmark",
        [*BENCHMARK, "--retriever=run:gss://b/run"],
        "--retriever gss://b/run: no file system has gss://; give",
    ),
    (
        "pipelines.benchmark",
        [*BENCHMARK, "--output=gss://b/out"],
        "--output gss://b/out: no file system has gss://; give",
    ),
    (
        "pipelines.rerank",
        [*RERANK, "--run_file=gss://b/run"],
        "--run_file gss://b/run: no file system has gss://; give",
    ),
    (
        "pipelines.rerank",
        [*RERANK, "--num_wrkers=2"],
        "--num_wrkers=2: neither this command nor Beam has such an option",
    ),
    (
        "pipelines.rerank",
        [*RERANK, "--num_workers=many"],
        "argument --num_workers: invalid int value: 'many'; see --help",
    ),
    (
        "pipelines.rerank",
        [*RERANK, "--direct_num_workers=-1", "--runner=portable"],
        "--direct_num_workers -1: give a number of processes, or 0 for as many as cores; --runner PortableRunner: give",
    ),
    (
        "pipelines.rerank",
        [*RERANK, "--runner=dataflow", "--project=p", "--experiments=a,no_use_multiple_sdk_containers"],
        "--runner DataflowRunner: give --region, --temp_location, --sdk_container_image; give --sdk_location=container,"
        " so that workers run what is in the image; give --number_of_worker_harness_threads=2: as many shards are in a "
        "worker's memory at once; give --device, --dtype, --attention: what workers have is not known here; --input ",
    ),
    ("pipelines.benchmark", [*BENCHMARK, "--runner"], "--runner: no name is given; give --runner=DirectRunner, say"),
    (
        "pipelines.candidates",
        [*CANDIDATES, "--retriever=bm25", "--autoscaling_algorithm=SOME"],
        "argument --autoscaling_algorithm: invalid choice: 'SOME' (choose from ",
    ),
    ("pipelines.rerank", [*RERANK, "--keep_columns=no"], f"{DEMO}: no column 'no' to keep, of the query or of the"),
    ("pipelines.rerank", [*RERANK, f"--input={__file__}"], f"{__file__}: not a Parquet file, or one cut short"),
    (
        "pipelines.rerank",
        [*RERANK, f"--output={ROOT / 'docs'}"],
        f"output {ROOT / 'docs'} holds other things (benchmark",
    ),
    ("pipelines.rerank", [*RERANK, f"--output={__file__}"], f"output {__file__} is a file; give a directory"),
    (
        "pipelines.candidates",
        [*OWN_TEXTS[:2], *BM25[1:], f"--output={__file__}"],
        f"output {__file__} is a file; give a",
    ),
    ("pipelines.rerank", [*RERANK, f"--run_file={DEMO}"], f"--run_file {DEMO}: it is a directory, a device, an input"),
    ("pipelines.rerank", [*RERANK, "--endpoint_model=m"], "--endpoint_model: does not apply to small-cross-encoder, a"),
    ("pipelines.rerank", [*RERANK, "--candidate_order=given"], "--candidate_order given: small-cross-encoder scores"),
    ("pipelines.rerank", [*RERANK, "--device=tpu"], "--device tpu: give auto, cpu, cuda or cuda:N"),
    ("pipelines.rerank", [*RERANK, "--model=absent"], "model absent: no such directory; give a directory, a hub id"),
    ("pipelines.rerank", [*RERANK, "--model_like=no"], "--model_like no: not in the catalogue, which has small-cross"),
    (
        "pipelines.rerank",
        ["--model=https://host.example/rerank", *RERANK[:2], "--group_size=2"],
        "--group_size: does not apply to an endpoint, a model that runs elsewhere; leave it out",
    ),
    (
        "pipelines.rerank",
        [*RERANK, "--model=https://x/y", "--dry_run"],
        "--dry_run: asking the endpoint would cost; give",
    ),
    (
        "pipelines.rerank",
        [*RERANK, "--window_score=max", "--keep_columns=best_window"],
        "--keep_columns best_window: --window_score gives the output such a column; leave it out",
    ),
    (
        "pipelines.rerank",
        [*RERANK[:2], "--modle=small-cross-encoder"],
        "--modle=small-cross-encoder: neither this command nor Beam has such an option; did you mean --model?; the "
        "following arguments are required: --model; see --help",
    ),
    ("pipelines.score", ["--modle=x"], "--modle=x: this command has no such option; did you mean --model?; the follow"),
    ("pipelines.candidates", [*CANDIDATES, "--retriever=dense:absent"], "model absent: no such directory; give a"),
    (
        "pipelines.candidates",
        [*CANDIDATES, "--retriever=dense:small-cross-encoder"],
        "--retriever dense:small-cross-encoder: it gives no embeddings of texts; give a sentence encoder",
    ),
    (
        "pipelines.candidates",
        [*OWN_TEXTS, "--retriever=run:absent"],
        "--retriever run:absent: [Errno 2] No such file or directory: ",
    ),
    ("pipelines.candidates", [*CANDIDATES, "--retriever=bm25", "--size=8"], "--size applies to a dense first stage;"),
    ("pipelines.candidates", [*BM25, "--dataset=beir/no"], "data set beir/no: neither a directory nor a data set that"),
    (
        "pipelines.candidates",
        [*BM25, "--queries=absent", CORPUS],
        "input 'absent' matches no file; give a file, a directory",
    ),
    ("pipelines.benchmark", [*BENCHMARK, "--modles=x"], "--modles=x: neither this command nor Beam has"),
    (
        "pipelines.benchmark",
        [*BENCHMARK[::2], "--datasets=x=absent.parquet,absent.qrels"],
        "data set x: no judgements absent.qrels; check the path",
    ),
    (
        "pipelines.benchmark",
        [*BENCHMARK, "--group_size=3"],
        "--group_size: applies to none of the models; leave it out",
    ),
    (
        "pipelines.benchmark",
        [*BENCHMARK, "--models=small-cross-encoder"],
        "--models: small-cross-encoder appears twice; leave one out, or name it otherwise with NAME=...",
    ),
    ("pipelines.benchmark", [*BENCHMARK, "--datasets=no"], "data set no: neither a directory nor a data set that is"),
    (
        "pipelines.score",
        ["--model=small-cross-encoder", "--candidate_order=given"],
        "--candidate_order given: small-cross-encoder scores each document alone; leave it out",
    ),
    (
        "pipelines.candidates",
        [*CANDIDATES, "--retriever=bm25", "--data_dir=gs://b/c"],
        "--data_dir gs://b/c: is not on this machine; give a directory of this one",
    ),
    (
        "pipelines.benchmark",
        [*BENCHMARK, "--data_dir=gs://b/c"],
        "--data_dir gs://b/c: is not on this machine; give a directory of this one",
    ),
    ("pipelines.score", ["--model=x", "--top_k=no"], "argument --top_k: 'no' is not a positive whole number; see"),
    (
        "pipelines.score",
        ["--model=x/y", "--candidate_order=no"],
        "--candidate_order no: give given, best_first, worst_",
    ),
    ("pipelines.serve", ["--model=x", "--port=70000"], "argument --port: '70000' is not a port: give 0 to 65535; see"),
    ("pipelines.serve", ["--model=https://x"], "--model https://x: is served already; give a model to load"),
    ("eval", ["measur"], "measur: no such command; did you mean measure?"),
    ("eval", ["measure", "absent", "--qrels=absent"], "absent: not found; give a job's output"),
    (
        "eval",
        ["compare", "absent", "b", "--qrels=absent"],
        "absent: not found; give a job's output directory or a TREC",
    ),
    ("eval", ["order", "absent", "--qrels=absent"], "nothing to compare: give two or more output directories, or"),
    ("eval", ["table", "absent"], "absent: no cells/*/*.json in it; give the --output of pipelines.benchmark"),
    ("eval", ["export", "absent", "--to=to", "--format=ids"], "absent: no job.json in it; give the directory that a"),
    (
        "eval",
        ["verify", "--model=BAAI/bge-reranker-base"],
        "--model: no published scores of BAAI/bge-reranker-base are",
    ),
    (
        "eval",
        ["verify", "--model=a/b", "--model_like=BAAI/bge-reranker-base"],
        "--model_like: no published scores of BAAI/bge-reranker-base are",
    ),
    ("eval", ["verify", "--model=absent"], "model absent: no such directory; give a directory, a hub id (owner/name)"),
    ("eval", ["throughput"], "--model: none is given; give one, or --host_only"),
    ("eval", ["throughput", "--model=absent"], "--model absent: give the directory of a checkpoint, an embedded model"),
    ("eval", ["verify-output", "absent"], "absent: no job.json in it; give the directory that a reranking job's"),
]


@pytest.fixture(autouse=True)
def _folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project's own has an out/ once the demonstration has run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def answer(module: str, words: list[str]) -> tuple[str, str]:
    command = [sys.executable, "-c", PROGRAM.format(module=module, large=LARGE), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1], done.stderr


@pytest.mark.parametrize("face", ["transforms.scoring", "pipelines.rerank"])
def test_a_face_is_imported_without_what_takes_long(face: str) -> None:
    code = FACE.format(face=face, large=LARGE)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, large = done.stdout.split(maxsplit=1)
    assert (large, float(seconds) < FACE_SECONDS) == ("[]\n", True)


@pytest.mark.parametrize("module", MODULES)
def test_help_imports_nothing_large(module: str) -> None:
    assert answer(module, ["--help"])[0] == "exit code 0 []"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_evaluation_answers_before_it_is_imported(command: str) -> None:
    assert answer("eval", [command, "--help"])[0] == "exit code 0 []"
    end, error = answer("eval", [command, "--mesure"])
    assert end == "exit code 2 []"
    assert error.startswith("error: --mesure: this command has no such option; ")


@pytest.mark.parametrize(("module", "words", "message"), ERRORS)
def test_a_mistake_is_reported_before_anything_large_is_imported(module: str, words: list[str], message: str) -> None:
    end, error = answer(module, words)
    assert end == "exit code 2 []"
    assert error.startswith(f"error: {message}")


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({}, "no config.json in "),
        ({"config.json": "{"}, "config.json is not valid JSON "),
        ({"config.json": "{}"}, "no *.safetensors in "),
        (
            {"config.json": "{}", "pytorch_model.bin": ""},
            "(only pytorch_model.bin, a pickle, which could run code); convert",
        ),
        ({"config.json": "{}", "model.safetensors": ""}, "no tokenizer.json in "),
    ],
)
def test_a_directory_that_holds_no_model_is_reported_before_anything_large_is_imported(
    contents: dict[str, str], message: str, tmp_path: Path
) -> None:
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    end, error = answer("pipelines.rerank", [*RERANK[:2], f"--model={tmp_path}"])
    assert end == "exit code 2 []"
    assert error.startswith(f"error: model {tmp_path}: ")
    assert message in error


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("pipelines.serve", ["--model"]),
        ("pipelines.score", ["--model"]),
        ("eval", ["verify", "--model"]),
    ],
)
def test_other_commands_report_such_a_directory_before_that(module: str, words: list[str], tmp_path: Path) -> None:
    end, error = answer(module, [*words, str(tmp_path)])
    assert end == "exit code 2 []"
    assert error == f"error: model {tmp_path}: no config.json in {tmp_path}; give the directory of a checkpoint\n"


def test_ids_that_a_run_cannot_hold_are_reported_before_anything_large_is_imported(tmp_path: Path) -> None:
    source = write_letters(tmp_path / "in.parquet", queries=1, candidates=2)
    table = pq.read_table(source)
    at = table.schema.get_field_index("query_id")
    pq.write_table(table.set_column(at, "query_id", pa.array(["a query"] * table.num_rows)), source)
    words = [f"--input={source}", f"--run_file={tmp_path / 'run'}", f"--output={tmp_path / 'out'}", RERANK[-1]]
    end, error = answer("pipelines.rerank", words)
    assert end == "exit code 2 ['pandas']"  # by pyarrow, to see whether the rows that it is given are of pandas
    assert error.startswith(f"error: {source}: query id 'a query' has white space in it")
    assert not (tmp_path / "out").exists()


def test_beams_options_are_read_from_its_source_as_its_own_parser_has_them() -> None:
    source = declared()
    assert source is not None
    read, known = source._option_string_actions, parser_of_all()._option_string_actions
    assert set(read) == set(known)
    for name, action in read.items():
        theirs = known[name]
        assert (name, action.nargs) == (name, theirs.nargs)
        assert action.choices is None or (name, action.choices) == (name, theirs.choices)
        assert action.type is None or (name, action.type) == (name, theirs.type)
        assert (name, action.dest) == (name, theirs.dest)
        assert action.default is None or (name, action.default) == (name, theirs.default)
    assert read["--num_workers"].type is int
    words = ["--experiments=a,b", "--experiment=c"]
    assert source.parse_args(words).experiments == parser_of_all().parse_args(words).experiments == ["a", "b", "c"]
    assert read["--autoscaling_algorithm"].choices == ["NONE", "THROUGHPUT_BASED"]


def test_without_beams_source_its_options_are_left_to_beam(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beam_source, "SOURCE", Path("moved.py"))
    assert declared() is None


def test_the_runners_are_those_that_beam_knows() -> None:
    assert list(before_beam.BEAMS_RUNNERS) == StandardOptions.KNOWN_RUNNER_NAMES


def test_the_schemes_are_those_of_beams_file_systems() -> None:
    beams = {one.scheme() for one in FileSystem.get_all_subclasses() if one.__module__.startswith("apache_beam.")}
    assert beams - {None} <= set(before_beam.BEAMS_SCHEMES)
    assert "gs" in beams


@pytest.mark.parametrize(
    ("words", "path", "needed"),
    [
        ([], "out", False),
        (["--runner=DirectRunner"], "out", False),
        (["--runner", "direct"], "out", False),
        (["--runner=FlinkRunner"], "out", True),
        (["--runner=my.module.Runner"], "out", True),
        (["--direct_num_workers=2"], "out", True),
        ([], "gs://bucket/out", True),
    ],
)
def test_beam_is_asked_where_it_alone_knows(words: list[str], path: str, needed: bool) -> None:
    assert before_beam.is_needed(RerankRequest(output=path, model="m"), words) is needed


def test_choices_are_those_that_the_code_knows() -> None:
    assert tuple(DTYPES) == choices.DTYPES
    assert tuple(KERNELS) == choices.KERNELS
