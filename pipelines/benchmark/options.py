"""The benchmark's options."""

from __future__ import annotations

import argparse

from eval.published.scores import DEPTH
from pipelines.candidates.options import depth, retriever
from pipelines.running.options import MODEL_OPTIONS, RUN_OPTIONS, SCORING_OPTIONS, add_options
from transforms.base.arguments import not_empty, price, share, speed
from transforms.base.reading import Parser


def build_parser() -> argparse.ArgumentParser:
    """All options of the benchmark; Beam's runners add theirs."""
    parser = Parser(
        prog="python -m pipelines.benchmark",
        description="Rerank and measure every data set with every model; each of these cells becomes a JSON file.",
        epilog="The same command again does what is missing. python -m eval table RESULTS makes the comparison of it. "
        "Options of Beam's runners are taken too, for every job.",
    )
    what = parser.add_argument_group("what to compare")
    what.add_argument(
        "--models",
        required=True,
        nargs="+",
        action="extend",
        type=not_empty,
        metavar="MODEL",
        help="as --model of pipelines.rerank; NAME=MODEL gives it another name in the table, and treats a directory "
        "as the catalogue's model of that name",
    )
    what.add_argument(
        "--datasets",
        required=True,
        nargs="+",
        action="extend",
        type=not_empty,
        metavar="DATASET",
        help="beir/scifact, miracl/yo, mkqa/de, coir/cosqa and so on; NAME=DIRECTORY (in BEIR's layout or, under a "
        "known name, with copies in the hub's); or NAME=CANDIDATES,QRELS for candidates in Parquet and judgements",
    )
    what.add_argument("--output", required=True, type=not_empty, metavar="DIR", help="for all results")
    what.add_argument(
        "--retriever",
        type=_retriever,
        metavar="RETRIEVER",
        help="first stage, as of pipelines.candidates, with dense:NAME=MODEL named as in --models (default: the "
        "published comparison's)",
    )
    what.add_argument("--depth", type=depth, default=DEPTH, metavar="N", help="candidates of a query, at most")
    what.add_argument("--data_dir", type=not_empty, metavar="DIR", help="local copies of the data sets")

    plan = parser.add_argument_group("plan")
    plan.add_argument(
        "--plan", action="store_true", help="report what would run, how long and at what cost; run nothing"
    )
    plan.add_argument(
        "--throughput",
        type=speed,
        metavar="N",
        help="pairs per second, for models without a finished cell",
    )
    plan.add_argument("--price_per_hour", type=price, metavar="PRICE", help="of this machine, to report the cost")

    model = parser.add_argument_group("options of the models, each for those alone that have it")
    add_options(model, MODEL_OPTIONS)

    running = parser.add_argument_group("running")
    add_options(running, RUN_OPTIONS)
    add_options(running, SCORING_OPTIONS)
    running.add_argument("--max_rejected", type=share, default=1.0, metavar="SHARE", help="of a cell's pairs")
    return parser


def _retriever(text: str) -> str:
    """A first stage as `pipelines.candidates` takes it."""
    retriever(text)
    return text
