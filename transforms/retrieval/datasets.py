"""The data sets of the benchmarks, as data: where on the hub their files are and which rules they are used by."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from transforms.base.errors import UserError


@dataclass(frozen=True)
class Place:
    """Files of one kind.

    Attributes:
        repository: owner/name on the hub; "" for the directory that the user names.
        patterns: of their paths there, in which {split} stands for the split; the first pattern that a file matches
            counts, since a set has moved from one format to another in its time. No code is among them.
    """

    repository: str
    patterns: tuple[str, ...]


@dataclass(frozen=True)
class Dataset:
    """One data set.

    Attributes:
        name: as users know it.
        language: of the corpus.
        split: which queries are used unless the user names others.
        qrels: None where there are answers instead.
        question_language: of the queries, where one file holds questions in many languages, with answers (MKQA).
        exclude_identical_ids: whether a document that has the query's own id is excluded from its candidates.
        judged_queries: how many queries are used, for plans; None where it is not known before they are read.
    """

    name: str
    language: str
    split: str
    corpus: Place
    queries: Place
    qrels: Place | None
    question_language: str | None = None
    exclude_identical_ids: bool = False
    judged_queries: int | None = None


# Name -> queries of the split that is used, as stated on the page of BEIR's code and in MIRACL's paper (Table 1).
BEIR = {
    "trec-covid": 50, "nfcorpus": 323, "nq": 3452, "hotpotqa": 7405, "fiqa": 648, "arguana": 1406,
    "webis-touche2020": 49, "dbpedia-entity": 400, "scidocs": 1000, "fever": 6666, "climate-fever": 1535,
    "scifact": 300, "quora": 10000,
}  # fmt: skip
MIRACL = {
    "ar": 2896, "bn": 411, "en": 799, "es": 648, "fa": 632, "fi": 1271, "fr": 343, "hi": 350, "id": 960, "ja": 860,
    "ko": 213, "ru": 1252, "sw": 482, "te": 828, "th": 733, "zh": 393, "de": 305, "yo": 119,
}  # fmt: skip
_MKQA = "en ar fi ja ko ru es sv he th da de fr it nl pl pt hu vi ms km no tr zh_cn zh_hk zh_tw"
MKQA = tuple(_MKQA.split())
MKQA_QUERIES = 6619  # of a language, with an answer that is searched for
# Ten tasks, of which CodeSearchNet and CodeSearchNet-ccr are each the mean over six languages (coir/data_loader.py of
# github.com/CoIR-team/coir).
_CODE = ("go", "java", "javascript", "ruby", "python", "php")
COIR = (
    *("apps", "cosqa", "synthetic-text2sql", "stackoverflow-qa", "codefeedback-mt", "codefeedback-st"),
    *("codetrans-contest", "codetrans-dl"),
    *(f"CodeSearchNet-{language}" for language in _CODE),
    *(f"CodeSearchNet-ccr-{language}" for language in _CODE),
)

_LINES = "{kind}.jsonl.gz", "{kind}.jsonl", "{kind}/*.parquet", "{kind}/*.jsonl.gz"


def _beir_layout(kind: str, repository: str = "") -> Place:
    return Place(repository, tuple(pattern.format(kind=kind) for pattern in _LINES))


def _all() -> Iterator[Dataset]:
    for name, queries in BEIR.items():
        yield Dataset(
            f"beir/{name}",
            language="en",
            split="test",
            corpus=_beir_layout("corpus", f"BeIR/{name}"),
            queries=_beir_layout("queries", f"BeIR/{name}"),
            qrels=Place(f"BeIR/{name}-qrels", ("{split}.tsv",)),
            # BEIR's code drops such documents in every set (exact_search.py, and evaluation.py by default). It matters
            # in ArguAna and Quora, whose queries are documents; elsewhere numbers may meet by chance.
            exclude_identical_ids=True,
            judged_queries=queries,
        )
    for language, queries in MIRACL.items():
        folder = f"miracl-v1.0-{language}"
        # A query's id is that of the passage it was written for, which may well be a candidate of it.
        yield Dataset(
            f"miracl/{language}",
            language=language,
            split="dev",
            corpus=Place("miracl/miracl-corpus", (f"miracl-corpus-v1.0-{language}/docs-*.jsonl.gz",)),
            queries=Place("miracl/miracl", (f"{folder}/topics/topics.{folder}-{{split}}.tsv",)),
            qrels=Place("miracl/miracl", (f"{folder}/qrels/qrels.{folder}-{{split}}.tsv",)),
            judged_queries=queries,
        )
    for language in MKQA:
        yield Dataset(
            f"mkqa/{language}",
            language="en",
            split="train",  # the only one
            corpus=_beir_layout("corpus", "BeIR/nq"),
            queries=Place("apple/mkqa", ("mkqa.jsonl.gz", "mkqa.jsonl", "mkqa/*.parquet", "data/*.parquet")),
            qrels=None,
            question_language=language,
            judged_queries=MKQA_QUERIES,
        )
    for task in COIR:
        yield Dataset(
            f"coir/{task.lower()}",
            language="en",
            split="test",
            corpus=Place(f"CoIR-Retrieval/{task}-queries-corpus", ("data/corpus-*.parquet", "corpus/*.parquet")),
            queries=Place(f"CoIR-Retrieval/{task}-queries-corpus", ("data/queries-*.parquet", "queries/*.parquet")),
            qrels=Place(f"CoIR-Retrieval/{task}-qrels", ("data/{split}-*.parquet", "{split}/*.parquet")),
        )


DATASETS = {dataset.name: dataset for dataset in _all()}


def named(name: str) -> Dataset:
    """The data set of a name, in lower or upper case.

    Raises:
        UserError: there is none.
    """
    dataset = DATASETS.get(name.lower())
    if dataset is None:
        parts = [known for known in DATASETS if known.startswith(f"{name.lower()}-")]
        near = difflib.get_close_matches(name.lower(), DATASETS, n=1)
        hint = f"did you mean {near[0]}?" if near else "give beir/scifact, miracl/yo, mkqa/de, coir/cosqa and so on"
        hint = f"give one of its parts, {', '.join(parts)}" if parts else hint
        raise UserError(f"data set {name}: neither a directory nor a data set that is known; {hint}")
    return dataset


def in_directory(directory: str) -> Dataset:
    """The data set in a directory of BEIR's layout: corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv, or so gzipped."""
    return Dataset(
        directory,
        language="en",
        split="test",
        corpus=_beir_layout("corpus"),
        queries=_beir_layout("queries"),
        qrels=Place("", ("qrels/{split}.tsv", "qrels/{split}.tsv.gz")),
        exclude_identical_ids=True,
    )
