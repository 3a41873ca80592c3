"""The main job's options as data, and its parser."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from pipelines.running.options import Parser
from transforms.schema import REASONS
from transforms.scoring import catalogue
from transforms.scoring.families import listwise
from transforms.scoring.hosted import endpoint
from transforms.scoring.hosted.dialects import APIS
from transforms.scoring.packed.attention import KERNELS
from transforms.scoring.packed.execution import DTYPES


def names(text: str) -> tuple[str, ...]:
    """A list separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def given(text: str) -> str:
    """A text that is not empty, as that of an unset shell variable is."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty")
    return text


def positive(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive whole number")
    return int(text)


def share(text: str) -> float:
    """A number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1")
    return value


def price(text: str) -> float:
    """An amount of money, in whatever currency."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no price")
    return value


def speed(text: str) -> float:
    """A number of pairs a second, more than none."""
    try:
        value = price(text)
    except argparse.ArgumentTypeError:
        value = 0.0
    if not value:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of pairs a second")
    return value


class ListModels(argparse.Action):
    """Prints the catalogue and ends, as --help does."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(catalogue.table())
        parser.exit()


# Fields of the model families' Settings. Where an option is not given the vendor's default holds; one that the model's
# family does not have is an error.
MODEL_OPTIONS: dict[str, dict[str, Any]] = {
    "max_length": {"type": positive, "metavar": "TOKENS", "help": "tokens that the model reads at once"},
    "max_query_length": {"type": positive, "metavar": "TOKENS", "help": "tokens kept of a query"},
    "max_doc_length": {"type": positive, "metavar": "TOKENS", "help": "tokens kept of a document"},
    "long_documents": {
        "choices": ("window", "truncate"),
        "help": "read a long document in overlapping windows and take the best score, or cut it",
    },
    "activation": {
        "choices": ("none", "sigmoid"),
        "help": "write the model's raw logit, or a score between 0 and 1 made of it",
    },
    "group_size": {
        "type": positive,
        "metavar": "N",
        "help": f"documents that a listwise model reads together, at most (default: {listwise.Settings.group_size})",
    },
    "special_tokens": {
        "choices": ("vendor", "escape"),
        "help": "let special-token strings in the input act as the vendor's code does, or make them plain text",
    },
    "prompt": {"metavar": "NAME", "help": "which of a model's prompts to use, if it has several"},
    "task": {"metavar": "NAME", "help": "which task to embed for, if a model has several"},
    "size": {
        "type": positive,
        "metavar": "N",
        "help": "dimensions to keep of an embedding, if the model was trained for that (Matryoshka)",
    },
    "instruction": {"metavar": "TEXT", "help": "for queries that have none of their own"},
    "endpoint_model": {"metavar": "NAME", "help": "the model's name at the rerank API"},
    "endpoint_api": {"metavar": "NAME", "help": f"the rerank API's dialect: {' or '.join(APIS)} (default: common)"},
    "endpoint_batch": {
        "type": positive,
        "metavar": "N",
        "help": f"documents in a request, at most (default: {endpoint.Settings.endpoint_batch})",
    },
    "endpoint_concurrency": {
        "type": positive,
        "metavar": "N",
        "help": f"requests at once, at most (default: {endpoint.Settings.endpoint_concurrency})",
    },
}

# What settles how the arithmetic runs; the defaults leave the choice open.
RUN_OPTIONS: dict[str, dict[str, Any]] = {
    "device": {"default": "auto", "help": "auto, cpu, cuda or cuda:N"},
    "dtype": {
        "default": "auto",
        "choices": ("auto", *DTYPES),
        "help": "number format of the model; auto is bfloat16 if the hardware multiplies it natively, else float32",
    },
    "attention": {
        "default": "auto",
        "choices": ("auto", *KERNELS),
        "help": "kernel that computes attention; auto takes the first that device, dtype and model allow",
    },
    "batch_tokens": {
        "default": None,
        "type": positive,
        "metavar": "N",
        "help": "tokens in one forward pass, at most (default: by device)",
    },
}


def is_given(options: argparse.Namespace, name: str) -> bool:
    """Whether an option of RUN_OPTIONS is settled by the user."""
    return bool(getattr(options, name) != RUN_OPTIONS[name]["default"])


def add_options(group: argparse._ArgumentGroup, described: Mapping[str, Mapping[str, Any]]) -> None:
    """Add options that are kept as data."""
    for name, keywords in described.items():
        group.add_argument(f"--{name}", **keywords)


# What a dry run plans for, and the job itself does not know.
PLAN_OPTIONS: dict[str, dict[str, Any]] = {
    "workers": {"type": positive, "metavar": "N", "help": "of a dry run: machines to plan for (default: 1)"},
    "throughput": {
        "type": speed,
        "metavar": "PAIRS",
        "help": "of a dry run: pairs per second of one machine (default: measured)",
    },
}

# What else decides a part file's bytes.
OUTPUT_OPTIONS = ("keep_columns", "text_template", "candidate_order", "top_k", "shard_pairs")


def build_parser() -> argparse.ArgumentParser:
    """All options of the main job; Beam's runners add theirs."""
    parser = Parser(
        prog="python -m pipelines.rerank",
        description="Rerank candidate lists: score every (query, document) pair of Parquet files into Parquet.",
        epilog="Options of Beam's runners are taken too: --runner=DirectRunner, --direct_num_workers=2 and so on.",
    )
    ends = parser.add_argument_group("input and output")
    ends.add_argument(
        "--input",
        required=True,
        nargs="+",
        action="extend",
        type=given,
        metavar="PATH",
        help="Parquet files, directories or globs",
    )
    ends.add_argument("--output", required=True, type=given, metavar="DIR", help="the job's own directory")
    ends.add_argument(
        "--keep_columns", type=names, default=(), metavar="A,B", help="columns of queries or candidates to copy"
    )
    ends.add_argument(
        "--text_template", metavar="TEXT", help="what the model sees of a document, such as '{title} {text}'"
    )
    ends.add_argument("--top_k", type=positive, metavar="K", help="keep each query's best K only; all are ranked")
    ends.add_argument("--run_file", type=given, metavar="FILE", help="also write the ranking as a TREC run")

    model = parser.add_argument_group("model")
    model.add_argument(
        "--model", required=True, type=given, help="embedded model, hub id, checkpoint directory or URL of a rerank API"
    )
    model.add_argument("--list_models", action=ListModels, nargs=0, help="print what is known of each model, and exit")
    model.add_argument(
        "--model_like",
        metavar="NAME",
        help="treat a checkpoint as this model of the catalogue: its prompt, limits, score",
    )
    model.add_argument("--revision", help="commit, tag or branch on the hub (default: the catalogue's)")
    add_options(model, MODEL_OPTIONS)
    model.add_argument(
        "--candidate_order",
        default="best_first",
        metavar="ORDER",
        help="order in which a listwise model reads a list: given, best_first, worst_first or random:SEED",
    )

    running = parser.add_argument_group("running")
    add_options(running, RUN_OPTIONS)
    running.add_argument("--shard_pairs", type=positive, default=16_384, metavar="N", help="pairs in a shard, at most")
    running.add_argument(
        "--max_rejected", type=share, default=1.0, metavar="SHARE", help="of pairs; more rejected are exit code 1"
    )
    running.add_argument("--overwrite", action="store_true", help="delete what an earlier job left in the output")
    running.add_argument(
        "--extend", action="store_true", help="score input files that were added since (one row per query)"
    )
    running.add_argument(
        "--retry_rejected",
        choices=list(REASONS),
        metavar="REASON",
        help="score the shards again in which pairs were rejected for this reason",
    )
    running.add_argument(
        "--dry_run", action="store_true", help="estimate tokens, time and cost from a sample; write nothing"
    )
    add_options(running, PLAN_OPTIONS)
    running.add_argument("--price_per_hour", type=price, metavar="PRICE", help="of one machine, to report the cost")
    return parser
