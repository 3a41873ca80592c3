"""What a command line asks for as a value: the same from Python, and back to a command line."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import MISSING, dataclass, fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from eval.__main__ import COMMANDS, Command, parser_of
from pipelines.benchmark.__main__ import main as benchmark
from pipelines.benchmark.options import build_parser as benchmark_parser
from pipelines.benchmark.request import BenchmarkRequest
from pipelines.candidates.options import build_parser as candidates_parser
from pipelines.candidates.request import CandidatesRequest
from pipelines.command import COMMANDS as OFFLINE_RERANK
from pipelines.rerank import RerankRequest, rerank
from pipelines.rerank.__main__ import main
from pipelines.rerank.options import build_parser as rerank_parser
from pipelines.running import beam_options
from pipelines.running.command import parse_request
from pipelines.running.options import words_of
from pipelines.score.options import build_parser as score_parser
from pipelines.score.request import ScoreRequest
from pipelines.serve.options import build_parser as serve_parser
from pipelines.serve.request import ServeRequest
from tests.support import tiny
from tests.support.job_run import parts, write_letters
from transforms.base.arguments import names
from transforms.base.errors import UserError
from transforms.base.request import Check, Request, request_of
from transforms.scoring.catalogue import MODELS

KINDS: list[tuple[Any, argparse.ArgumentParser, list[str]]] = [
    (RerankRequest, rerank_parser(), ["--input", "a", "b", "--output", "o", "--model", "m"]),
    (CandidatesRequest, candidates_parser(), ["--dataset", "beir/nq", "--retriever", "dense:m", "--output", "o"]),
    (BenchmarkRequest, benchmark_parser(), ["--models", "m", "--datasets", "beir/nq", "--output", "o"]),
    (ScoreRequest, score_parser(), ["--model", "m"]),
    (ServeRequest, serve_parser(), ["--model", "m"]),
]


@pytest.mark.parametrize(("kind", "parser", "words"), KINDS)
def test_a_request_has_the_options_of_the_command_and_their_defaults(
    kind: Any, parser: argparse.ArgumentParser, words: list[str]
) -> None:
    options = vars(parser.parse_args(words))
    named = {field.name for field in fields(kind)}
    assert options.keys() - named <= {"list_models", "list_datasets"}
    for field in fields(kind):
        if field.default is not MISSING:
            default = parser.get_default(field.name)
            assert field.default == (tuple(default) if isinstance(default, list) else default), field.name


@pytest.mark.parametrize(
    ("kind", "parser", "words", "changes"),
    [
        (*KINDS[0], {}),
        (
            *KINDS[0],
            {"keep_columns": ("x", "y"), "top_k": 3, "overwrite": True, "max_rejected": 0.25, "dtype": "float32"},
        ),
        (*KINDS[0], {"text_template": "-- {text}", "retry_rejected": "nan_score", "threads": 2}),
        (*KINDS[1], {"exclude_identical_ids": False, "depth": 7, "retriever": ("run", "a:b.trec")}),
        (*KINDS[1], {"dataset": None, "queries": ("q",), "corpus": ("c", "d"), "exclude_identical_ids": True}),
        (*KINDS[2], {"plan": True, "models": ("a", "b=c"), "price_per_hour": 1.5}),
    ],
)
def test_a_request_becomes_a_command_line_and_comes_back(
    kind: Any, parser: argparse.ArgumentParser, words: list[str], changes: dict[str, Any]
) -> None:
    request = replace(request_of(kind, parser.parse_args(words)), **changes)
    assert request_of(kind, parser.parse_args(words_of(parser, request))) == request


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_command_of_the_evaluation_asks_for_all_of_its_arguments(command: Command) -> None:
    parser = argparse.ArgumentParser()
    command.declare(parser)
    assert {field.name for field in fields(command.request)} == {action.dest for action in parser._actions} - {"help"}


PARSERS = [*(parser for _, parser, _ in KINDS), *map(parser_of, COMMANDS)]


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.prog)
def test_an_option_of_several_values_that_is_given_again_adds_to_them(parser: argparse.ArgumentParser) -> None:
    several = [one for one in parser._actions if one.option_strings and (one.nargs in ("+", "*") or one.type is names)]
    assert [one.dest for one in several if not isinstance(one, argparse._ExtendAction) or one.default] == []


def test_columns_that_are_named_one_by_one_are_all_named() -> None:
    kind, parser, words = KINDS[0]
    several = ["--columns=text=body", "--keep_columns=x", "--columns", "doc_id=key,title=head", "--keep_columns=y,z"]
    request = request_of(kind, parser.parse_args([*words, *several]))
    assert request.columns == ("text=body", "doc_id=key", "title=head")
    assert request.keep_columns == ("x", "y", "z")
    assert request_of(kind, parser.parse_args(words)).columns == ()


@pytest.mark.parametrize("given", ["in.parquet", Path("in.parquet"), [Path("in.parquet")]])
def test_one_path_is_taken_as_one(given: Any) -> None:
    request: Any = {"input": given, "output": Path("o"), "model": "m", "keep_columns": ["x", "y"]}
    kind, parser, _ = KINDS[0]
    parsed = request_of(kind, parser.parse_args(words_of(parser, kind(**request))))
    assert (parsed.input, parsed.output, parsed.keep_columns) == (("in.parquet",), "o", ("x", "y"))


def test_words_for_beam_that_are_no_list_are_one_line() -> None:
    with pytest.raises(UserError, match=r"^beam: a str; give a list of words, \['--runner=DirectRunner'\]$"):
        rerank(RerankRequest(input=("a",), output="o", model="m"), "--runner=DirectRunner")


@pytest.mark.parametrize("name", ["--overwrite", "-x.parquet"])
def test_a_path_is_never_read_as_an_option(name: str) -> None:
    with pytest.raises(UserError, match=f"^--input {name}: begins with a dash; give it with its folder, ./{name}$"):
        words_of(rerank_parser(), RerankRequest(input=("a", name), output="o", model="m"))


def test_a_job_from_python_is_that_of_the_command_line(tmp_path: Path) -> None:
    source = write_letters(tmp_path / "in.parquet", queries=3, candidates=4)
    model = str(tiny.bert(tmp_path / "model"))
    request = RerankRequest(input=(str(source),), output=str(tmp_path / "a"), model=model, dtype="float32", top_k=2)
    finished = rerank(request)
    words = ["--input", str(source), "--output", str(tmp_path / "b"), "--model", model, "--dtype", "float32"]
    assert main([*words, "--top_k", "2", "--runner=DirectRunner"]) == 0
    assert parts(tmp_path / "a") == parts(tmp_path / "b")
    assert (finished.output, finished.complete) == (str(tmp_path / "a"), True)
    assert finished.report["pairs"]["scored"] == 12
    again = rerank(request)
    assert again.report["last_run"]["shards"] == 0
    assert rerank(replace(request, output=str(tmp_path / "c"), dry_run=True)).report == {}
    assert not (tmp_path / "c").exists()


def test_a_job_from_python_runs_in_any_thread(tmp_path: Path) -> None:
    source = write_letters(tmp_path / "in.parquet", queries=2, candidates=3)
    request = RerankRequest(
        input=(str(source),), output=str(tmp_path / "out"), model=str(tiny.bert(tmp_path / "model"))
    )
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(rerank, request).result().report["pairs"]["scored"] == 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"top_k": 0}, "argument --top_k: '0' is"),
        ({"dtype": "int3"}, "argument --dtype: invalid choice: 'int3'"),
        (
            {"workers": 2, "throughput": 3.0, "text_template": "{body}"},
            "--text_template '{body}': {body} is not a field of a document; it may hold {title} and {text}, and "
            "doubles braces that stand for themselves; --workers: it is for --dry_run alone; leave it out; "
            "--throughput: it is for --dry_run alone; leave it out",
        ),
    ],
)
def test_all_that_is_wrong_with_a_request_is_said(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as refused:
        rerank(RerankRequest(input=("a",), output=str(tmp_path / "o"), model="o/m", **changes))
    assert str(refused.value).startswith(message)


def test_all_that_is_wrong_with_a_command_line_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_letters(tmp_path / "a.parquet", queries=1, candidates=1)
    assert main(["--input", str(source), "--output", "o", "--model", "o/m", "--workers", "2", "--throughput", "3"]) == 2
    assert capsys.readouterr().err == (
        "error: --workers: it is for --dry_run alone; leave it out; --throughput: it is for --dry_run alone; leave it "
        "out\n"
    )


# Independent of each other; a command's words, and what is said of them.
MISTAKES = {
    "--top_k=0": "argument --top_k: '0' is not",
    "--dtype=int3": "argument --dtype: invalid choice: 'int3'",
    "--max_rejected=2": "argument --max_rejected: '2' is not",
    "--workers=2": "--workers: it is for --dry_run alone",
    "--runner=Foo": "--runner Foo: Beam has no such runner",
    "--num_wrkers=2": "--num_wrkers=2: neither this command nor Beam",
    "--num_workers=many": "argument --num_workers: invalid int value: 'many'",
    "--lost=x": "--lost=x: neither this command nor Beam",
    "--device=tpu": "--device tpu: give",
    "--revision=main": "--revision main applies to a model on the hub",
    "--model_like=no": "--model_like no: not in the catalogue",
    "--candidate_order=x": "--candidate_order x: give",
    "--text_template={body}": "--text_template '{body}': ",
    "--queries=q": "--corpus and --queries go together",
    "--dataset=hf:a/b": "give either --input or --dataset",
}


@pytest.mark.parametrize("one", MISTAKES)
def test_of_any_two_mistakes_both_are_said(one: str) -> None:
    for other in MISTAKES:
        words = ["--input=a", "--output=o", "--model=small-cross-encoder", *{one, other}]
        with pytest.raises(UserError) as refused:
            parse_request(RerankRequest, rerank_parser(), words)
        assert [said for said in (MISTAKES[one], MISTAKES[other]) if str(refused.value).count(said) != 1] == []


def test_a_benchmark_reports_its_models_and_data_sets_together(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--models", *["small-cross-encoder"] * 2, "--datasets=no", "--output=o", "--group_size=3"]
    assert benchmark(words) == 2
    assert capsys.readouterr().err == (
        "error: --models: small-cross-encoder appears twice; leave one out, or name it otherwise with NAME=...; "
        "--group_size: applies to none of the models; leave it out; data set no: neither a directory nor a data set "
        "that is known; give beir/scifact, miracl/yo, mkqa/de, coir/cosqa and so on\n"
    )


@pytest.mark.parametrize("option", ["--group_size=2", "--endpoint_api=no"])
def test_an_option_does_not_hide_that_an_address_is_wrong(option: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_request(
            RerankRequest, rerank_parser(), ["--input=a", "--output=o", "--model=https://a.example:99999/b", option]
        )
    assert "--model: this address is not valid" in str(refused.value)
    assert option.partition("=")[0] in str(refused.value)


def test_what_an_option_says_alone_is_not_said_of_its_default() -> None:
    with pytest.raises(UserError) as refused:
        parse_request(
            RerankRequest, rerank_parser(), ["--dry_run", "--gpu=h200", "--pairs=x", "--model=m", "--tokens_per_pair=9"]
        )
    assert str(refused.value).count("--pairs") == 1


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (
            "--sdk_harness_log_level_overrides=no",
            "argument --sdk_harness_log_level_overrides: invalid loads value: 'no'; see --help, and",
        ),
        (f"--gcs_custom_audit_entry={'k' * 70}=v", f"The key '{'k' * 70}' in GCS custom audit"),
    ],
)
def test_a_value_that_an_option_of_beam_refuses_by_a_rule_of_its_own_is_one_line(word: str, message: str) -> None:
    with pytest.raises(UserError) as refused:
        beam_options.parse([word], [])
    assert str(refused.value).startswith(message)


# Of each command a line that lacks something, and has other mistakes; all that is said of it.
LINES: dict[str, tuple[list[str], str]] = {
    "rerank": (
        ["--input=a", "--output=o", "--top_k=0", "--device=tpu", "--workers=2", "--runner=Foo", "--model_like=no"],
        "--runner Foo: Beam has no such runner; give DirectRunner, DataflowRunner, FlinkRunner, say; argument --top_k: "
        "'0' is not a positive whole number; see --help; the following arguments are required: --model; see --help; "
        "--device tpu: give auto, cpu, cuda or cuda:N; --model_like no: not in the catalogue, which has "
        f"{', '.join(model.name for model in MODELS)}; --workers: it is for --dry_run alone; leave it out",
    ),
    "candidates": (
        ["--dataset=beir/nq", "--columns=no", "--retriever=bm26", "--corpus=c", "--depth=0"],
        "argument --retriever: 'bm26' is none of bm25, dense:MODEL, run:FILE; see --help; argument --depth: '0' is not "
        "a positive whole number; see --help; the following arguments are required: --output; see --help; give either "
        "--dataset or your own --queries and --corpus, with --qrels if there are any; --columns no: give FIELD=COLUMN, "
        "such as doc_id=pid; --columns applies to your own --queries and --corpus; leave it out",
    ),
    "benchmark": (
        ["--datasets=no", "--data_dir=gs://b/c", "--output=o", "--runner=Dask", "--device=tpu"],
        "--runner Dask loses data: it drops what a step emits when a bundle ends; use DirectRunner or DataflowRunner; "
        "the following arguments are required: --models; see --help; --device tpu: give auto, cpu, cuda or cuda:N; "
        "--data_dir gs://b/c: is not on this machine; give a directory of this one; data set no: "
        "neither a directory nor a data set that is known; give beir/scifact, miracl/yo, mkqa/de, coir/cosqa and so on",
    ),
    "score": (
        ["--candidate_order=no", "--device=tpu", "--x=2"],
        "--x=2: this command has no such option; see --help; the following arguments are required: --model; see "
        "--help; --candidate_order no: give given, best_first, worst_first or random:SEED, SEED a number; --device "
        "tpu: give auto, cpu, cuda or cuda:N",
    ),
    "serve": (
        ["--port=x", "--device=tpu"],
        "argument --port: 'x' is not a port: give 0 to 65535; see --help; the following arguments are required: "
        "--model; see --help; --device tpu: give auto, cpu, cuda or cuda:N",
    ),
    "compare": (
        ["a", "--show=0", "--candidates=c", "--json=.", "--html=absent/x.html"],
        "argument --show: '0' is not a positive whole number; see --help; one of the arguments --qrels --answers is "
        "required; see --help; --candidates: is of use with --answers alone; leave it out; --json .: is a directory; "
        "name a file; --html absent/x.html: there is no directory absent; make it first; a: give a baseline and others "
        "to compare with it, each once",
    ),
    "export": (
        ["--format=trec", "--num_negatives=0", "--qrels=q", "--keep_id_types"],
        "argument --num_negatives: '0' is not a positive whole number; see --help; the following arguments are "
        "required: OUT, --to; see --help; --qrels: format trec has all documents of a list; leave it out; "
        "--keep_id_types: format trec has no ids, or has them as text; leave it out",
    ),
    "measure": (
        ["--qrels=q", "--answers=a", "--per_query=values.txt", "--json=.", "--mesures=x", "--measures=R@0"],
        "--mesures=x: this command has no such option; did you mean --measures?; argument --answers: not allowed with "
        "argument --qrels; see --help; the following arguments are required: OUT_OR_RUN; see --help; --measures: "
        "cannot compute 'R@0' (the cutoff must be at least 1); write them as nDCG@10, RR@10, R@100, R(rel=2)@100, AP; "
        "--per_query values.txt: the name must end in .parquet or .csv or .tsv; --json .: is a directory; name a file",
    ),
    "order": (
        ["--input=a", "--orders=given", "--json=."],
        "the following arguments are required: --qrels; see --help; --input runs the jobs first: give --model and "
        "--output with it, and no other outputs; --orders given: give two or more different ones; --json .: is a "
        "directory; name a file",
    ),
    "table": (
        [f"--output={__file__}", "--mesure=x"],
        "--mesure=x: this command has no such option; did you mean --measures?; the following arguments are required: "
        f"RESULTS; see --help; --output {__file__}: is a file; give a directory",
    ),
    "throughput": (
        ["--pairs=0", "--attention=fast", "--device=tpu", "--json=."],
        "argument --pairs: '0' is not a positive whole number; see --help; argument --attention: invalid choice: "
        "'fast' (choose from 'auto', 'flash_attn_3', 'flash_attn_2', 'torch_varlen', 'sdpa'); see --help; --model: "
        "none is given; give one, or --host_only; --device tpu: give auto, cpu, cuda or cuda:N; --json .: is a "
        "directory; name a file",
    ),
    "verify": (
        ["--device=tpu", "--dype=x", "--dtype=int3", "--model_like=BAAI/bge-reranker-base"],
        "--dype=x: this command has no such option; did you mean --dtype?; argument --dtype: invalid choice: 'int3' "
        "(choose from 'auto', 'float32', 'bfloat16', 'float16'); see --help; the following arguments are required: "
        "--model; see --help; --device tpu: give auto, cpu, cuda or cuda:N; --model_like: no published scores of "
        "BAAI/bge-reranker-base are known, only of small-cross-encoder, jinaai/jina-reranker-v2-base-multilingual, "
        "BAAI/bge-reranker-v2-m3, jinaai/jina-reranker-m0",
    ),
    "verify-output": (
        ["--x"],
        "--x: this command has no such option; see --help; the following arguments are required: OUT; see --help",
    ),
}


def test_every_command_is_asked() -> None:
    assert LINES.keys() == OFFLINE_RERANK.keys()


@pytest.mark.parametrize("name", LINES)
def test_all_mistakes_of_a_command_line_are_reported_together(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    words, said = LINES[name]
    module, before = OFFLINE_RERANK[name]
    command: Any = import_module(f"{module}.__main__")
    assert command.main([*before, *words]) == 2
    assert capsys.readouterr().err == f"error: {said}\n"


@dataclass(frozen=True, kw_only=True)
class Failing(Request):
    path: str

    def checks(self) -> Iterable[Check]:
        return (lambda: iter([str(self.absent)]),)  # type: ignore[attr-defined]


def test_a_fault_of_a_check_is_not_taken_for_a_missing_option() -> None:
    with pytest.raises(AttributeError, match="absent"):
        [*request_of(Failing, argparse.Namespace()).complaints()]


def test_an_order_that_there_is_not_is_one_complaint() -> None:
    request = RerankRequest(input=("a",), output="o", model="small-cross-encoder", candidate_order="no")
    assert [*request.complaints()] == [
        "--candidate_order no: give given, best_first, worst_first or random:SEED, SEED a number"
    ]
