"""What scores pairs, be it a model that is loaded here or one that is asked over the network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from transforms.base.errors import UserError
from transforms.base.words import kind_of
from transforms.scoring.frames import opened, scored_frame, tasks_of
from transforms.scoring.model import Model
from transforms.scoring.results import RankingTask, Scores

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


# Called with pairs and tokens that were done.
Progress = Callable[[float, int], None]


def no_progress(pairs: float, tokens: int) -> None:
    """Ignore progress."""


# A document: its text, or {"title": ..., "text": ...}, whose title is put before the text.
Document = str | Mapping[str, str | None]
Frame = TypeVar("Frame")


@dataclass(frozen=True)
class Ranked:
    """One of the documents that `Scorer.rank` orders.

    Attributes:
        index: its place among the documents that were given.
        score: in the vendor's convention; NaN where there is none.
        text: as the model read it.
        truncated_tokens: tokens of it that the model never saw; None where that is unknown.
    """

    index: int
    score: float
    text: str
    truncated_tokens: int | None


NO_INSTRUCTION = "instruction: this model takes none; leave it out, or write it into the query"


class Scorer(ABC):
    """Scores (query, document) pairs."""

    takes_instruction = False  # whether the model has a place for a query's instruction
    batch_tokens = 0  # of a forward pass, at most; 0 where none is made here
    # What makes its scores, with versions: under "tokenising" token ids, under "layers" a model's layers on a GPU.
    made_by: Mapping[str, str] = MappingProxyType({})

    @abstractmethod
    def score_tasks(self, tasks: Sequence[RankingTask], progress: Callable[[float, int], None] = no_progress) -> Scores:
        """Scores of all pairs with the ledger of what was cut and what failed.

        Args:
            tasks: queries with their documents.
            progress: called now and then with the pairs and tokens that were done since the last call.

        Raises:
            UserError: see `check_instructions`.
        """

    def expect_much(self) -> None:  # noqa: B027  # nothing, unless there is a way
        """Get ready for much work, as that of a job, if there is a way."""

    def begin(self, tasks: Sequence[RankingTask]) -> Callable[[Progress], Scores]:
        """Begin what needs no model: what is returned scores the tasks, as `score_tasks` would.

        Raises:
            UserError: see `check_instructions`.
        """
        return partial(self.score_tasks, tasks)

    def check_instructions(self, tasks: Sequence[RankingTask]) -> None:
        """Make sure that no task has an instruction which the model would not read.

        Raises:
            UserError: one has.
        """
        if not self.takes_instruction and any(task.instruction for task in tasks):
            raise UserError(NO_INSTRUCTION)

    def rank(
        self,
        query: str,
        documents: Sequence[Document],
        *,
        top_k: int | None = None,
        instruction: str | None = None,
    ) -> list[Ranked]:
        """The documents, best first; those without a score come last, equal scores in the order given.

        Args:
            query: its text.
            documents: their texts, or {"title": ..., "text": ...}.
            top_k: how many to give back; None for all.
            instruction: for a model that takes one.

        Raises:
            UserError: the documents are not a list of texts, the model takes no instruction, or top_k is no whole
                number from 0.

        Example:
            >>> from transforms.scoring import Reranker
            >>> reranker = Reranker.load("small-cross-encoder")
            >>> documents = ["Bananas.", {"title": "Paris", "text": "A capital."}]
            >>> found = reranker.rank("capital of France", documents, top_k=1)
            >>> [(ranked.index, ranked.text, ranked.truncated_tokens) for ranked in found]
            [(1, 'Paris A capital.', 0)]
        """
        if top_k is not None and not (isinstance(top_k, Integral) and top_k >= 0):
            raise UserError(f"top_k: {top_k}; give how many documents you want, or None for all")
        task = self.checked(query, documents, instruction)
        scores = self.score_tasks([task])
        unseen = None if scores.truncated_tokens is None else scores.truncated_tokens.tolist()
        order = np.argsort(-scores.score, kind="stable")[:top_k]  # NaN comes last
        return [
            Ranked(place, float(scores.score[place]), task.documents[place], None if unseen is None else unseen[place])
            for place in order.tolist()
        ]

    def score(self, query: str, documents: Sequence[Document], instruction: str | None = None) -> list[float]:
        """Scores of the documents in input order, in the vendor's convention; NaN where there is none; see `rank`.

        Example:
            >>> from transforms.scoring import Reranker
            >>> bananas, paris = Reranker.load("small-cross-encoder").score("capital of France", ["Bananas.", "Paris."])
            >>> paris > bananas
            True
        """
        return self.score_lists([RankingTask(query, documents, instruction)])[0]  # type: ignore[arg-type]

    def score_lists(self, lists: Sequence[tuple[str, Sequence[Document]] | RankingTask]) -> list[list[float]]:
        """Scores of each list's documents in input order, packed across the lists; see `rank` for the errors.

        Example:
            >>> from transforms.scoring import Reranker
            >>> lists = [("capital of France", ["Bananas.", "Paris."]), ("colour of bananas", ["Yellow."])]
            >>> [len(scores) for scores in Reranker.load("small-cross-encoder").score_lists(lists)]
            [2, 1]
        """
        tasks = [self.checked(*_parts_of(given, place)) for place, given in enumerate(lists)]
        ends = np.cumsum([len(task.documents) for task in tasks])
        return [part.tolist() for part in np.split(self.score_tasks(tasks).score, ends[:-1])] if tasks else []

    def score_frame(
        self, frame: Frame, *, query: str = "query", text: str = "text", column: str = "score", progress: bool = False
    ) -> Frame:
        """A table of pairs with their scores as a further column: pandas, Polars, PyArrow or another Arrow table.

        Args:
            frame: one row a pair; of its other columns nothing is read.
            query: name of the column of queries; equal ones are one list, in the order of the rows.
            text: name of the column of documents.
            column: name of the new column, float32; NaN where there is no score.
            progress: whether to show a bar of the pairs that are done.

        Returns:
            The same kind of table, its rows in the same order; Arrow's table for any but pandas' and Polars'.

        Raises:
            UserError: it is not a table, lacks a column or has it twice, has the new one already, or has nulls or
                values that are not text.

        Example:
            >>> import pyarrow as pa
            >>> from transforms.scoring import Reranker
            >>> pairs = pa.table({"query": ["capital of France"] * 2, "text": ["Bananas.", "Paris is the capital."]})
            >>> scored = Reranker.load("small-cross-encoder").score_frame(pairs)
            >>> scored.column_names, scored["score"][1].as_py() > scored["score"][0].as_py()
            (['query', 'text', 'score'], True)
        """
        table = opened(frame)
        tasks, places = tasks_of(table, query, text, column)
        scored: Frame = scored_frame(
            table, column, places, lambda report: self.score_tasks(tasks, report).score, progress
        )
        return scored

    def checked(self, query: Any, documents: Any, instruction: Any = None) -> RankingTask:
        """What somebody gave as a task, each document as one text; see `rank` for the errors."""
        if isinstance(documents, (str, Mapping)) or not isinstance(documents, Sequence):
            raise UserError(f"documents: {kind_of(documents)}; give a list of texts, also for one document")
        if not isinstance(instruction, (str, type(None))):
            raise UserError(f"instruction: {kind_of(instruction)}; give a text")
        if not isinstance(query, str):
            raise UserError(f"query: {kind_of(query)}; give a text")
        task = RankingTask(query, [_text_of(document, place) for place, document in enumerate(documents)], instruction)
        self.check_instructions([task])
        return task


def _parts_of(given: Any, place: int) -> Sequence[Any]:
    """A query, its documents and an instruction if there is one."""
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) not in (2, 3):
        raise UserError(f"lists[{place}]: {kind_of(given)}; give (query, documents), also for one list")
    return given


def _text_of(document: Document, place: int) -> str:
    title, text = (document.get("title"), document.get("text")) if isinstance(document, Mapping) else (None, document)
    if not isinstance(text, str) or not isinstance(title, (str, type(None))):
        wrong = text if not isinstance(text, str) else title
        raise UserError(f"documents[{place}]: {kind_of(wrong)} in it; give a text, or a title and a text")
    return f"{title} {text}" if title else text


class ScorerSpecification(Protocol):
    """A scorer to load, everything settled and checked that can be without loading it; it travels to the workers."""

    @property
    def model(self) -> Model:
        """What is known of it."""

    @property
    def execution(self) -> DataclassInstance:
        """Where and how its arithmetic runs."""

    @property
    def hosted(self) -> bool:
        """Whether somebody else computes the scores, and may charge for them."""

    @property
    def leaves_cpu_free(self) -> bool:
        """Whether this machine's processor waits while scores are computed, so that other work costs no time."""

    def fingerprint(self) -> dict[str, Any]:
        """What decides the scores besides the execution."""

    def parameters(self) -> float | None:
        """In billions; None where that is unknown."""

    def gpus(self) -> int:
        """GPUs of this machine that worker processes can share out."""

    def with_best_batch(self, tasks: Iterable[RankingTask], *, keep: bool) -> ScorerSpecification:
        """The same with the batch size that serves it best here for such tasks; `keep` what is loaded for `load`."""

    def load(self) -> Scorer:
        """The scorer, ready to score."""
