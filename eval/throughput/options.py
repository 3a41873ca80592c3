"""The arguments of `python -m eval throughput`, and the names of what it measures."""

from __future__ import annotations

import argparse
from pathlib import Path

from transforms.base.arguments import positive, price
from transforms.scoring.choices import DTYPES, KERNELS

CORE, CEILING = "core", "ceiling"
APART, JOB, PLAIN = "core, prefixes apart", "whole job", "plain forward"
DEFAULT, SAME_DTYPE = "sentence-transformers", "sentence-transformers, same dtype"
UNFUSED = "core, plain layers"
OTHERS = (DEFAULT, SAME_DTYPE, PLAIN, APART, UNFUSED, JOB, CEILING)
# What sentence-transformers takes by default, and what else it is measured at.
PEER_BATCH, PEER_BATCHES = 32, (32, 128, 512)
PAIRS = 1000  # that are scored without another number
JOB_PAIRS = 40_960  # ten of the core's chunks, so that starting and ending a job on a GPU matter little
SAMPLE = Path(__file__).parents[2] / "demo" / "dbpedia_entity_40x50.parquet"


def throughput(parser: argparse.ArgumentParser) -> None:
    """Measure how fast a model scores here: this project's core and whole job, other ways to score the same pairs, and
    the least time that the machine allows, side by side. A hub id stands for random weights of that model's sizes.
    """
    parser.add_argument(
        "--model", help="hub id, for its sizes alone; directory; or embedded model (required but for --host_only)"
    )
    parser.add_argument(
        "--model_like", help="the model of the catalogue that a directory holds, if it cannot be recognised"
    )
    parser.add_argument(
        "--tokenizer",
        metavar="NAME",
        help="of a hub id's random weights: directory or hub id of the tokenizer (default: the embedded model's)",
    )
    parser.add_argument("--candidates", help="Parquet with candidate lists; by default the demo's")
    parser.add_argument(
        "--pairs",
        type=positive,
        nargs="+",
        action="extend",
        default=[],
        help=f"pairs to score (default: {PAIRS:,}); with several numbers core and job are measured at each, "
        f"others at the first; on a GPU the job at {JOB_PAIRS:,} at least",
    )
    parser.add_argument("--list_size", type=positive, help="documents of a query; by default as in the candidate lists")
    parser.add_argument(
        "--tokens_per_pair",
        type=positive,
        metavar="N",
        help="cut documents, or begin them again, so that query, document and special tokens are so many",
    )
    parser.add_argument("--max_length", type=positive, metavar="TOKENS", help="tokens that all read at once, at most")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--dtype", default="auto", choices=("auto", *DTYPES), help="number format of the model")
    parser.add_argument(
        "--attention", default="auto", choices=("auto", *KERNELS), help="kernel that computes attention"
    )
    parser.add_argument("--batch_tokens", type=positive, help="tokens in one forward pass, at most")
    parser.add_argument("--group_size", type=positive, help="documents that a listwise model reads together, at most")
    parser.add_argument(
        "--repeats", type=positive, default=3, help="times that each is measured, taking turns (default: 3)"
    )
    parser.add_argument(
        "--without",
        nargs="*",
        action="extend",
        default=[],
        choices=OTHERS,
        metavar="NAME",
        help="what to leave out, by its name in the table; core always stays",
    )
    parser.add_argument(
        "--host_only",
        action="store_true",
        help="measure what the host does beside the model: tokenising, and making the inputs of a GPU's batches, on "
        "pairs of 155 tokens; of the model's family, or without --model of each",
    )
    parser.add_argument("--price_per_hour", type=price, help="of this machine, to report the cost of 1,000 documents")
    parser.add_argument("--large", action="store_true", help="on a CPU, take models of more than 0.7B parameters too")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write all figures there")
