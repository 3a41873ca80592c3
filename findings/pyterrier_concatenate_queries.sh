#!/usr/bin/env bash
# What: first ^ rest of PyTerrier has no document of the queries for which `first` found nothing; `rest` found them.
# Version: pyterrier 1.1.2 (python-terrier 1.0), without Java.
# Why it surprises: ^ puts the documents of `rest` below those of `first`, so with none above them they would stand
#   alone, as they do with | and +. They are moved below the last score of `first`, joined by query, and where there
#   is no such score the inner join drops them. The Experiment counts these queries as 0, without a word.
# Who it touches: pipelines that let ^ fill up lists: a strict or a dense stage first, BM25 for the rest.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check python-terrier==1.0 pyterrier==1.1.2 pandas==3.1.1
HOME="$work" "$work/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import pandas as pd
import pyterrier as pt

print("pyterrier", version("pyterrier"))


def retriever(*found: tuple[str, str, str, float]) -> pt.Transformer:
    results = pd.DataFrame(found, columns=["qid", "query", "docno", "score"])
    return pt.Transformer.from_df(pt.model.add_ranks(results))


first = retriever(("q1", "apple", "a", 9.0))
rest = retriever(
    ("q1", "apple", "a", 3.0), ("q1", "apple", "b", 2.0), ("q2", "pear", "c", 3.0), ("q2", "pear", "d", 2.0)
)
topics = pd.DataFrame([("q1", "apple"), ("q2", "pear")], columns=["qid", "query"])
qrels = pd.DataFrame([("q1", "a", 1), ("q2", "c", 1)], columns=["qid", "docno", "label"])


def rows(pipeline: pt.Transformer) -> list[str]:
    return [f"{row.qid} {row.docno}" for row in pipeline.transform(topics).itertuples()]


names = ["rest", "first ^ rest", "first + rest"]
pipelines = [rest, first ^ rest, first + rest]
every = ["q1 a", "q1 b", "q2 c", "q2 d"]
seen = [rows(pipeline) for pipeline in pipelines]
measured = pt.Experiment(pipelines, topics, qrels, ["recip_rank"], names=names)["recip_rank"].tolist()
for name, found, mrr in zip(names, seen, measured, strict=True):
    print(f"{name}: expected {every} and an MRR of 1.0, seen {found} and {mrr}")
sys.exit(0 if seen == [every, every[:2], every] and measured == [1, 0.5, 1] else 1)
PY
