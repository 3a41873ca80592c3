"""What names of models on the benchmark's command line mean, and the published comparison's protocol as data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from eval.published.scores import BENCHMARKS
from pipelines.benchmark.data_sets import BenchmarkDataSet
from transforms.base.errors import UserError
from transforms.scoring import catalogue
from transforms.scoring.choices import is_address
from transforms.scoring.model import Model

# A list of the best 100 fits into one group of 125 whole; documents are cut, not windowed. So the vendor evaluates.
PROTOCOL: Mapping[str, Mapping[str, Any]] = {
    "jinaai/jina-reranker-v3": {"group_size": 125},
    "jinaai/jina-reranker-v2-base-multilingual": {"long_documents": "truncate"},
}
# The tasks of jina-code-embeddings for the data sets of CoIR, as on its model card; the longest beginning that fits.
CODE_MODEL = "jinaai/jina-code-embeddings-0.5b"
CODE_TASKS = {
    "coir/apps": "nl2code",
    "coir/cosqa": "nl2code",
    "coir/synthetic-text2sql": "nl2code",
    "coir/codefeedback": "qa",
    "coir/stackoverflow-qa": "qa",
    "coir/codetrans": "code2code",
    "coir/codesearchnet": "code2nl",
    "coir/codesearchnet-ccr": "code2completion",
}


class Entrant(NamedTuple):
    """A model of the comparison.

    Attributes:
        name: what the table calls it.
        where: embedded model, hub id, directory or URL.
        like: the model of the catalogue that a directory is to be treated as; None where it is recognised.
    """

    name: str
    where: str
    like: str | None


class FirstStage(NamedTuple):
    """What finds the candidates.

    Attributes:
        name: what the table calls it.
        retriever: as `pipelines.candidates` takes it.
        like: the model of the catalogue that a dense one's directory is to be treated as; None where it is recognised.
    """

    name: str
    retriever: str
    like: str | None


def entrant(text: str) -> Entrant:
    """A model from "MODEL" or "NAME=MODEL"; a name of the catalogue makes a directory be treated as that model."""
    match = re.fullmatch(r"([^=]+)=(.+)", text)
    if match is None or "://" in match[1]:  # an address may have "=" in it
        return Entrant(text, text, None)
    name, where = match.groups()
    known = catalogue.named(name) is not None and where != name and not is_address(where)
    return Entrant(name, where, name if known else None)


def first_stage(data: BenchmarkDataSet, retriever: str | None) -> FirstStage:
    """What finds a data set's candidates: the retriever asked for, else that of the published comparison."""
    text = retriever or f"dense:{BENCHMARKS[data.benchmark or 'beir'].first_stage}"
    kind, _, model = text.partition(":")
    if kind != "dense":
        return FirstStage(text, text, None)
    encoder = entrant(model)
    return FirstStage(f"dense:{encoder.name}", f"dense:{encoder.where}", encoder.like)


def code_task(dataset: str) -> str | None:
    """The task for which jina-code-embeddings embeds a data set."""
    fitting = [name for name in CODE_TASKS if dataset.startswith(name)]
    return CODE_TASKS[max(fitting, key=len)] if fitting else None


def check_apply(models: Iterable[Model], requested: Mapping[str, Any]) -> None:
    """Refuse an option that no model has.

    Args:
        models: all of them.
        requested: value by option, None where it is not given.

    Raises:
        UserError: there is one.
    """
    known = {name for model in models for name in type(model.settings).__dataclass_fields__}
    if foreign := [f"--{name}" for name, value in requested.items() if value is not None and name not in known]:
        raise UserError(f"{', '.join(foreign)}: applies to none of the models; leave it out")


def model_options(model: Model, dataset: str, requested: Mapping[str, Any]) -> dict[str, Any]:
    """A model's options for a data set: the protocol's, and what the user asked for of those that the model has."""
    options = dict(PROTOCOL.get(model.name, {}))
    if model.name == CODE_MODEL and (task := code_task(dataset)):
        options["task"] = task
    known = type(model.settings).__dataclass_fields__
    return options | {name: value for name, value in requested.items() if value is not None and name in known}
