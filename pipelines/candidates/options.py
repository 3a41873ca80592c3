"""The options of the job that makes candidates."""

from __future__ import annotations

import argparse
import re

from eval.published.scores import DEPTH
from pipelines.running.options import MODEL_OPTIONS, RUN_OPTIONS, add_options, add_own_files
from transforms.base.arguments import not_empty, positive
from transforms.base.reading import Parser
from transforms.input.names import OF_FILES
from transforms.retrieval.datasets import DATASETS
from transforms.schema import PART_PAIRS

OWN_FILES = {"queries": "queries", "corpus": "documents", "qrels": "judgements (optional)"}
RETRIEVERS = {
    "bm25": "BM25 by bm25s, k1 0.9 and b 0.4, over title and text",
    "dense:MODEL": "exact search with the embeddings of a model of the embedding family",
    "run:FILE": "a TREC run, plain or .gz",
}
# What the job leaves beside the candidates.
REPORT, QRELS, ANSWERS = "candidates.json", "qrels.txt", "answers.jsonl"


class ListDatasets(argparse.Action):
    """Prints the names of the data sets and ends, as --help does."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print("\n".join(DATASETS))
        parser.exit()


def retriever(text: str) -> tuple[str, str]:
    """The kind of first stage, and its model or file."""
    kind, _, rest = text.partition(":")
    if kind not in {name.partition(":")[0] for name in RETRIEVERS} or bool(rest) == (kind == "bm25"):
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(RETRIEVERS)}")
    return kind, rest


def language(text: str) -> str:
    """A code of two or three letters (ISO 639)."""
    if not re.fullmatch("[a-z]{2,3}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not the code of a language, such as en")
    return text


def depth(text: str) -> int:
    """How many candidates a query has: a list is never split over part files."""
    number = positive(text)
    if number > PART_PAIRS:
        raise argparse.ArgumentTypeError(f"{text} is more than a part file holds, {PART_PAIRS}")
    return number


def build_parser() -> argparse.ArgumentParser:
    """All options of the job; Beam's runners add theirs."""
    parser = Parser(
        prog="python -m pipelines.candidates",
        description="Make candidate lists: from a data set and a first stage to the input of pipelines.rerank.",
        epilog="First stages: " + "; ".join(f"{name}: {what}" for name, what in RETRIEVERS.items()) + ".",
    )
    data = parser.add_argument_group("data")
    data.add_argument(
        "--dataset",
        type=not_empty,
        metavar="NAME",
        help="beir/scifact, miracl/yo, mkqa/de, coir/cosqa and so on, or a directory in BEIR's layout",
    )
    data.add_argument("--list_datasets", action=ListDatasets, nargs=0, help="print the names of all, and exit")
    data.add_argument(
        "--split", type=not_empty, help="of the queries (default: test for BEIR and CoIR, dev for MIRACL)"
    )
    data.add_argument(
        "--data_dir", type=not_empty, metavar="DIR", help="holds copies in the hub's layout, OWNER/NAME/..."
    )
    add_own_files(
        data,
        {name: f"instead of --dataset: your own {what}" for name, what in OWN_FILES.items()},
        "doc_id=key,text=body; fields are " + ", ".join(OF_FILES),
    )
    data.add_argument(
        "--language",
        type=language,
        metavar="CODE",
        help="of the corpus, for BM25's analysis: ar, de, fr ...; en if neither you nor the data set name it",
    )

    stage = parser.add_argument_group("first stage")
    stage.add_argument("--retriever", required=True, type=retriever, metavar="STAGE", help=", ".join(RETRIEVERS))
    stage.add_argument("--depth", type=depth, default=DEPTH, metavar="K", help="candidates of a query, at most")
    stage.add_argument(
        "--exclude_identical_ids",
        action=argparse.BooleanOptionalAction,
        help="drop a document that has the query's own id (default: for BEIR only, as in its own code)",
    )
    stage.add_argument("--revision", help="of a dense model: commit, tag or branch on the hub")
    stage.add_argument("--model_like", metavar="NAME", help="treat a dense checkpoint as this model of the catalogue")
    stage.add_argument(
        "--embeddings",
        type=not_empty,
        metavar="DIR",
        help="keep a dense first stage's embeddings there, for jobs of one corpus (MKQA's 26) to share",
    )
    add_options(stage, {name: MODEL_OPTIONS[name] for name in ("max_length", "task", "size")})

    running = parser.add_argument_group("running")
    running.add_argument("--output", required=True, type=not_empty, metavar="DIR", help="the job's own directory")
    add_options(running, RUN_OPTIONS)
    running.add_argument(
        "--shard_documents", type=positive, default=16_384, metavar="N", help="documents of a shard, at most"
    )
    running.add_argument("--overwrite", action="store_true", help="delete what an earlier job left in the output")
    return parser
