"""What names on the benchmark's command line mean, and the published comparison's protocol as data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from eval.published.scores import BENCHMARKS, PARTS
from transforms.base import files
from transforms.base.errors import UserError
from transforms.retrieval import datasets
from transforms.scoring import catalogue
from transforms.scoring.hosted.endpoint import is_address
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


class DataSet(NamedTuple):
    """A data set of the comparison.

    Attributes:
        name: what the table calls it.
        source: name or directory of which candidates are to be made; None where they are there.
        candidates: path or glob of candidates that are there.
        judgements: path of their judgements.
        copies: directory of the source's copies in the hub's layout; None where it is elsewhere.
    """

    name: str
    source: str | None = None
    candidates: str = ""
    judgements: str = ""
    copies: str | None = None

    @property
    def known(self) -> datasets.Dataset | None:
        """What is known of it by its name."""
        return datasets.DATASETS.get(self.name)

    @property
    def benchmark(self) -> str | None:
        """The benchmark of the published comparison that has it, if one has."""
        name = self.name.partition("/")[0]
        return name if name in BENCHMARKS and "/" in self.name else None


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


def data_sets(text: str) -> list[DataSet]:
    """What `data_set` makes of a text; of the name of a data set in parts, coir/codesearchnet, all of them.

    Raises:
        UserError: as `data_set`.
    """
    name, equals, value = text.partition("=")
    parts = PARTS.get(name.lower(), ())
    copied = any(Path(value, datasets.DATASETS[part].corpus.repository).is_dir() for part in parts)
    if parts and (copied or not equals):
        return [data_set(f"{part}{equals}{value}") for part in parts]
    return [data_set(text)]


def data_set(text: str) -> DataSet:
    """A data set from "NAME", "NAME=DIRECTORY" or "NAME=CANDIDATES,QRELS".

    Raises:
        UserError: it is none of them, or there is no such data set or directory.
    """
    name, equals, value = text.partition("=")
    if not equals and Path(text).is_file():
        raise UserError(f"--datasets {text}: is a file; give its judgements too, NAME={text},QRELS")
    if not equals:
        dataset = datasets.in_directory(text) if files.exists(text) else datasets.named(text)
        return DataSet(dataset.name, source=text)
    known = datasets.DATASETS.get(name.lower())
    name = name.lower() if known is not None or name.lower() in PARTS else name
    candidates, comma, judgements = value.rpartition(",")
    if not name or not value or (comma and not (candidates and judgements)):
        raise UserError(f"--datasets {text}: give NAME, NAME=DIRECTORY or NAME=CANDIDATES,QRELS")
    if comma:
        return DataSet(name, None, candidates, judgements)
    if Path(value).is_file():
        raise UserError(f"--datasets {text}: {value} is a file; give its judgements too, NAME={value},QRELS")
    if not Path(value).is_dir():
        raise UserError(f"--datasets {text}: there is no directory {value}; check the path")
    if known is not None and Path(value, known.corpus.repository).is_dir():
        return DataSet(known.name, source=known.name, copies=files.absolute(value))
    if name.lower().startswith("mkqa/"):
        raise UserError(
            f"--datasets {text}: MKQA is measured by answers, which BEIR's layout has not; give mkqa/de, say, with a "
            "directory of copies in the hub's layout (apple/mkqa and BeIR/nq), or NAME=CANDIDATES,ANSWERS.jsonl"
        )
    return DataSet(name, source=files.absolute(value))


def first_stage(data: DataSet, retriever: str | None) -> FirstStage:
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


def model_options(model: Model, dataset: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """A model's options for a data set: the protocol's, and what the user asked for of those that the model has."""
    options = dict(PROTOCOL.get(model.name, {}))
    if model.name == CODE_MODEL and (task := code_task(dataset)):
        options["task"] = task
    known = type(model.settings).__dataclass_fields__
    return options | {name: value for name, value in asked.items() if value is not None and name in known}
