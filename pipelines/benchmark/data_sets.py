"""What names of data sets on the benchmark's command line mean."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from eval.published.scores import PARTS, benchmark_of
from eval.table.figures import known_benchmark
from transforms.base import files
from transforms.base.errors import UserError
from transforms.retrieval import datasets

WITHOUT_IDENTICAL_IDS = {benchmark_of(name) for name, one in datasets.DATASETS.items() if one.exclude_identical_ids}


class BenchmarkDataSet(NamedTuple):
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
        known = known_benchmark(self.name)
        return None if known is None else known.name

    @property
    def excludes_identical_ids(self) -> bool:
        """Whether its benchmark's own evaluation leaves out a candidate whose id is that of its query."""
        return self.benchmark in WITHOUT_IDENTICAL_IDS


def data_sets(text: str) -> list[BenchmarkDataSet]:
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


def data_set(text: str) -> BenchmarkDataSet:
    """A data set from "NAME", "NAME=DIRECTORY" or "NAME=CANDIDATES,QRELS".

    Raises:
        UserError: it is none of them, or there is no such data set or directory.
    """
    name, equals, value = text.partition("=")
    if not equals and Path(text).is_file():
        raise UserError(f"--datasets {text}: is a file; give its judgements too, NAME={text},QRELS")
    if not equals:
        dataset = datasets.in_directory(text) if files.exists(text) else datasets.named(text)
        return BenchmarkDataSet(dataset.name, source=text)
    known = datasets.DATASETS.get(name.lower())
    name = name.lower() if known is not None or name.lower() in PARTS else name
    candidates, comma, judgements = value.rpartition(",")
    if not name or not value or (comma and not (candidates and judgements)):
        raise UserError(f"--datasets {text}: give NAME, NAME=DIRECTORY or NAME=CANDIDATES,QRELS")
    if comma:
        return BenchmarkDataSet(name, None, candidates, judgements)
    if Path(value).is_file():
        raise UserError(f"--datasets {text}: {value} is a file; give its judgements too, NAME={value},QRELS")
    if not Path(value).is_dir():
        raise UserError(f"--datasets {text}: there is no directory {value}; check the path")
    if known is not None and Path(value, known.corpus.repository).is_dir():
        return BenchmarkDataSet(known.name, source=known.name, copies=files.absolute(value))
    if name.lower().startswith("mkqa/"):
        raise UserError(
            f"--datasets {text}: MKQA is measured by answers, which BEIR's layout has not; give mkqa/de, say, with a "
            "directory of copies in the hub's layout (apple/mkqa and BeIR/nq), or NAME=CANDIDATES,ANSWERS.jsonl"
        )
    return BenchmarkDataSet(name, source=files.absolute(value))
