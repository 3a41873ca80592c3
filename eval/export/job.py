"""One pass over a finished job's lists: choose positives and negatives, and write them in a format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eval.export.card import Table, card
from eval.export.formats import FORMATS, Example, Row, writer_of
from eval.export.id_types import id_types, typed
from eval.export.lists import ScoredList, finished_job, read_lists
from eval.export.negatives import Miner
from eval.export.request import ExportRequest
from eval.export.texts import TABLES, TextTables, collected
from eval.ranking.qrels import read_qrels
from transforms.base import files
from transforms.base.errors import UserError
from transforms.base.words import number_of
from transforms.job import directory

CARD = "README.md"
OWN = {CARD, *(form.file for form in FORMATS.values()), *(file for file, _ in TABLES.values())}
SINGULAR = {"rows": "row", "lists": "list", "documents": "document", "queries": "query"}
NOT_JUDGED = "lists left out: the query is not in the qrels"
Scores = NDArray[np.float32]


def _minmax(scores: Scores) -> Scores:
    low, high = np.float64(scores.min()), np.float64(scores.max())  # whose difference float32 may not hold
    return ((scores - low) / (high - low)).astype(np.float32) if high > low else np.ones_like(scores)


def _sigmoid(scores: Scores) -> Scores:
    from scipy.special import expit  # takes seconds

    between: Scores = expit(scores.astype(np.float64)).astype(np.float32)
    return between


TRANSFORMS: Mapping[str, Callable[[Scores], Scores]] = {
    "none": lambda scores: scores,
    "sigmoid": _sigmoid,
    "minmax": _minmax,
}


class Selection:
    """Turns lists into examples, and counts what it leaves out."""

    def __init__(self, request: ExportRequest) -> None:
        self._form = FORMATS[request.format]
        self._transform = TRANSFORMS[request.score_transform]
        self._needs = request.mining.num_negatives if request.format == "n-tuple" else 1
        self._relevant: dict[str, set[str]] | None = None
        if request.qrels is not None:
            grades = read_qrels(request.qrels).grades
            self._relevant = {query: {i for i, grade in of.items() if grade > 0} for query, of in grades.items()}
        # Lists without a difference of positives and negatives have all of their documents.
        self.mines = self._form.positives == "always" or self._relevant is not None
        self._miner = Miner(request.mining, max(map(len, (self._relevant or {}).values()), default=1))
        self.counts: Counter[str] = Counter(dict.fromkeys(("lists", "documents"), 0))

    def examples(self, lists: Iterable[ScoredList]) -> Iterator[Example]:
        for scored in lists:
            scores = self._transform(scored.scores)
            example = Example(scored, scores.tolist(), [], [])
            if self.mines:
                chosen = self._chosen(example, scores)
                if chosen is None:
                    continue
                example = chosen
            self.counts["lists"] += 1
            self.counts["documents"] += len(example.positives) + len(example.negatives) or len(example.scores)
            yield example

    def _chosen(self, example: Example, scores: Scores) -> Example | None:
        documents = example.scored.documents
        relevant = {documents[0]} if self._relevant is None else self._relevant.get(example.scored.query_id)
        if relevant is None:
            self.counts[NOT_JUDGED] += 1
            return None
        positive = np.fromiter((document in relevant for document in documents), bool, len(documents))
        if not positive.any():
            self.counts["lists left out: no positive among the documents"] += 1
            return None
        negatives = self._miner.choose(scores, positive)
        if len(negatives) < self._needs and self._form.positives == "always":
            self.counts["lists left out: too few negatives"] += 1
            return None
        return example._replace(positives=np.flatnonzero(positive).tolist(), negatives=negatives)

    def check_common(self) -> None:
        """Once all lists are read.

        Raises:
            UserError: the qrels have none of their queries.
        """
        if {name for name, count in self.counts.items() if count} == {NOT_JUDGED}:
            raise UserError("--qrels: no query in common with the job's output; give the judgements of this data set")

    def skipped(self) -> dict[str, int]:
        """Documents that are not negatives, by the rule that left them out."""
        return {f"documents skipped by {rule}": count for rule, count in self._miner.skipped.items()}


def export(request: ExportRequest) -> str:
    """Write the files; returns what is in them, in words.

    Raises:
        UserError: the job has not finished, its input or the qrels are wrong, or there is something in the directory.
        OSError: a file cannot be read or written.
    """
    form = FORMATS[request.format]
    columns = {} if form.columns is None else form.columns(request.mining.num_negatives)
    job = finished_job(request.output)
    types = id_types(job) if request.keep_id_types else {}
    to = files.absolute(request.to)
    earlier = _earlier(request, to)
    selection = Selection(request)
    with_ids = request.format == "ids"
    with _whole(to, earlier), collected() if with_ids else nullcontext() as texts:
        lists = read_lists(request.output, job, texts=form.texts)
        rows = (row for example in selection.examples(_noted(lists, texts)) for row in form.rows(example))
        write = writer_of(form, request.mining.num_negatives, types)
        written = 0

        def counted() -> Iterator[Row]:
            nonlocal written
            for row in rows:
                written += 1
                yield row

        def fill(stream: BinaryIO) -> None:
            write(stream, counted())
            selection.check_common()
            if texts is not None:
                texts.check()

        files.make_directory(to)
        files.sweep(to)
        files.write_atomically(files.join(to, form.file), fill)
        files.delete(files.join(to, name) for name in earlier if name != form.file)
        tables = {} if texts is None else texts.write(to, types)
        counts = {"rows": written, **selection.counts, **tables, **selection.skipped()}
        data = {"train": form.file} | {name: TABLES[name][0] for name in tables}
        options = {"qrels": request.qrels, "score_transform": request.score_transform}
        options |= {name: value for name, value in asdict(request.mining).items() if selection.mines}
        kinds = {"train": columns} if columns else {}
        kinds |= {name: {TABLES[name][1]: pa.string(), "text": pa.string()} for name in tables}
        opened = {name: Table(data[name], typed(of, types)) for name, of in kinds.items()}
        text = card(job, request.format, form.about, opened, options, counts)
        files.write_text_atomically(files.join(to, CARD), text)
    return f"{in_words(counts)}\nwritten to {request.to}: {', '.join([*data.values(), CARD])}"


@contextmanager
def _whole(to: str, earlier: Collection[str]) -> Iterator[None]:
    """Where the body fails, delete what it wrote of a new export: the same command begins again. Of one that replaces
    another what is there remains."""
    with directory.no_empty_directories(to):
        try:
            yield
        except BaseException:
            if not earlier:
                with suppress(OSError):  # the error of the body counts
                    files.delete(files.join(to, name) for name in OWN.intersection(files.list_names(to)))
            raise


def in_words(counts: Mapping[str, int]) -> str:
    """Counts by what is counted, whose first word is a plural of SINGULAR: "1 row, 2 lists left out: ..."."""
    firsts = ((count, *name.partition(" ")) for name, count in counts.items())
    return ", ".join(number_of(count, SINGULAR[word], word) + space + rest for count, word, space, rest in firsts)


def _earlier(request: ExportRequest, to: str) -> list[str]:
    """The files of an earlier export that are to be replaced; errors as of `export`."""
    names = [name for name in files.list_names(to) if not name.startswith(".")]
    if names and not request.overwrite:
        raise UserError(f"--to {request.to}: has {names[0]} in it; give a new or an empty directory, or --overwrite")
    if others := [name for name in names if name not in OWN]:
        raise UserError(
            f"--to {request.to}: has {others[0]} in it, which no export wrote; give a new or an empty directory"
        )
    return names


def _noted(lists: Iterable[ScoredList], texts: TextTables | None) -> Iterator[ScoredList]:
    for scored in lists:
        if texts is not None:
            texts.add(scored)
        yield scored
