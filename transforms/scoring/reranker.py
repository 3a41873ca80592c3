"""Text to scores: find a model, load it, score lists of documents against queries.

reranker = Reranker.load("jinaai/jina-reranker-v2-base-multilingual")
scores = reranker.score("organic skincare", ["Aloe vera ...", "A new tyre ..."])
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import count
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from transforms.base.collector import at_rest
from transforms.base.errors import UserError
from transforms.scoring import catalogue, early
from transforms.scoring.ahead import one_ahead
from transforms.scoring.choices import is_address
from transforms.scoring.families import cross_encoder, embedding, listwise, m0, yes_no
from transforms.scoring.families.tokenise import Tokens
from transforms.scoring.model import Model
from transforms.scoring.packed import best_batch, execution, run_batches
from transforms.scoring.packed.execution import Execution, Placement
from transforms.scoring.packed.packing import Packed, pack
from transforms.scoring.packed.run_batches import Outputs
from transforms.scoring.packed.sequences import Sequences
from transforms.scoring.recognition import recognise
from transforms.scoring.results import Failure, RankingTask, Scores, concatenate
from transforms.scoring.scorer import Progress, Scorer, ScorerSpecification, no_progress
from transforms.scoring.tokenising.apart import apart
from transforms.scoring.tokenising.tokeniser import TextTokeniser, tokeniser_of
from transforms.scoring.weights import backbones, checkpoints, gpu_layers
from transforms.scoring.weights.checkpoints import Checkpoint

# Pairs that are tokenised and planned together: enough to sort by length, few enough that tokenising the next ones
# hides behind scoring these.
CHUNK_PAIRS = 4096


class HasSequences(Protocol):
    """What `prepare` returns: the model's inputs, and whatever the family needs to finish."""

    sequences: Sequences


class Tokenised(NamedTuple):
    """Some tasks, ready for the model."""

    prepared: HasSequences
    pairs: int
    seconds: float  # that it took


class Family(Protocol):
    """How one kind of model turns tasks into token sequences and what it computed on them into scores."""

    tokenizer: PreTrainedTokenizerBase
    takes_instruction: bool  # whether its input has a place for a query's instruction

    def prepare(self, tasks: Sequence[RankingTask], tokens: Tokens) -> Any:
        """Tokenise, cut and build the model's inputs; returns something with `sequences`."""

    def forward(self, packed: Packed) -> torch.Tensor:
        """One float32 row for each read of the packed sequences, shape [R, width]."""

    def finish(self, prepared: Any, outputs: Outputs, /) -> Scores:
        """What the model gave for the sequences, to the scores of all pairs."""


class FamilyModule(Protocol):
    """What the module of a family offers beside its `Settings`."""

    def resolve(self, checkpoint: Checkpoint, settings: Any, /) -> Any:
        """Settings with nothing left open, checked against the checkpoint; raises UserError."""

    def load(self, checkpoint: Checkpoint, settings: Any, placement: Placement, /) -> Family:
        """The loaded model; raises UserError where the files do not fit together."""


FAMILIES: dict[str, FamilyModule] = {
    "cross_encoder": cross_encoder,
    "embedding": embedding,
    "listwise": listwise,
    "m0": m0,
    "yes_no": yes_no,
}


_numbers = count()
_measured: dict[int, Reranker] = {}  # by number; the last one alone, until it is loaded

# Settings that the first jobs began without: in a fingerprint only where they are given.
LATER = frozenset({"window_score"})


@dataclass(frozen=True)
class Specification:
    """A model to load, everything settled and checked that can be without loading it; a `ScorerSpecification`.

    Attributes:
        model: its catalogue entry.
        checkpoint: its files.
        settings: of its family, complete.
        execution: where and how it runs.
        measured: number of the loaded model that this process has kept for it since its batch size was measured.
    """

    model: Model
    checkpoint: Checkpoint
    settings: Any
    execution: Execution
    hosted: bool = False
    measured: int | None = field(default=None, compare=False)

    @property
    def leaves_cpu_free(self) -> bool:
        """Where a GPU computes."""
        return self.execution.device != "cpu"

    def fingerprint(self) -> dict[str, Any]:
        """What decides the scores besides the execution: identity of the weights, family, settings."""
        return {
            "model": self.checkpoint.identity(),
            "like": self.model.name,
            "family": self.model.family,
            "settings": {
                name: value for name, value in asdict(self.settings).items() if name not in LATER or value is not None
            },
        }

    def parameters(self) -> float:
        """In billions: the catalogue's figure, else as counted in the weights' files."""
        return self.model.parameters or sum(t.numel() for t in checkpoints.outline(self.checkpoint).values()) / 1e9

    def gpus(self) -> int:
        """GPUs of this machine that worker processes can share out; none where one of them was chosen."""
        return torch.cuda.device_count() if self.execution.device == "cuda" else 0

    def with_best_batch(self, tasks: Iterable[RankingTask], *, keep: bool) -> Specification:
        """The same with the batch size that serves the model best on its GPU, measured; see `best_batch.best_budget`.

        On a CPU the same, and no task is read: the speed there hardly depends on it, and what hardly matters
        should not differ from one job to the next.

        Args:
            tasks: some of the input.
            keep: whether the model stays in this process until `load` asks for it; else its memory is given back, since
                the device may be left to workers.
        """
        if self.execution.device == "cpu":
            return self
        _measured.clear()
        reranker = self.load()
        execution = replace(self.execution, batch_tokens=reranker.best_batch_tokens(list(tasks)))
        reranker.specification = replace(reranker.specification, execution=execution)
        reranker.batch_tokens = execution.batch_tokens
        if not keep:
            del reranker
            torch.cuda.empty_cache()
            return replace(self, execution=execution)
        number = next(_numbers)
        _measured[number] = reranker
        return replace(self, execution=execution, measured=number)

    @at_rest()
    def load(self) -> Reranker:
        """The loaded model: the one that was measured, or else from its files, which are fetched first where this is
        another machine than the one that specified it."""
        if self.measured is not None and (measured := _measured.pop(self.measured, None)) is not None:
            return measured
        return Reranker(replace(self, checkpoint=checkpoints.locate(self.checkpoint.name, self.checkpoint.revision)))


def specify(
    name: str | os.PathLike[str],
    *,
    revision: str | None = None,
    like: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    batch_tokens: int | None = None,
    threads: int | None = None,
    attention: str = "auto",
    options: Mapping[str, Any] | None = None,
    remote: bool = False,
    fills_heads: bool = True,
) -> ScorerSpecification:
    """Find a model and settle how to run it, without loading its weights.

    Args:
        name: an embedded model's short name, a directory, a hub id, or the address of a rerank API.
        revision: commit, tag or branch on the hub; None for the catalogue's, else the main branch.
        like: treat the checkpoint as that model of the catalogue.
        device: "auto", "cpu", "cuda" or "cuda:N".
        dtype: "auto", "float32", "bfloat16" or "float16".
        batch_tokens: tokens of a forward pass, at most; None for the device's default.
        threads: of the CPU; None for all.
        attention: "auto", or the kernel that shall compute it, a name in `attention.KERNELS`.
        options: fields of the family's Settings; None values stand for the vendor's default.
        remote: it will run on other machines, whose CUDA devices and kernels are taken as named.
        fills_heads: see `execution.Execution`.

    Raises:
        UserError: the model is unavailable, or an option does not apply or does not fit.
    """
    name = os.fspath(name)
    if is_address(name):
        local = {"revision": revision, "model_like": like, "batch_tokens": batch_tokens, "threads": threads}
        choices = {"device": device, "dtype": dtype, "attention": attention}
        local |= {name: value for name, value in choices.items() if value != "auto"}
        return early.endpoint_of(name, local | dict(options or {}))
    # Before a download that may take long.
    run = execution.resolve(device, dtype, batch_tokens, threads, attention, remote, fills_heads)
    return specify_model(name, run, revision=revision, like=like, options=options, remote=remote)


@at_rest()
def specify_model(
    name: str,
    run: Execution,
    *,
    revision: str | None = None,
    like: str | None = None,
    options: Mapping[str, Any] | None = None,
    remote: bool = False,
) -> Specification:
    """`specify` for a model that is loaded here, and how it runs settled but for the attention kernel."""
    entry = catalogue.named(name)
    located = checkpoints.locate(name, revision or (entry.revision if entry else None))
    model = recognise(located, like)
    settings = catalogue.with_options(model, options or {})
    settings = FAMILIES[model.family].resolve(located, settings)
    if not (remote and run.device.startswith("cuda")):
        run = run.with_kernel(backbones.head_size(located))
    return Specification(model, located, settings, run)


class Reranker(Scorer):
    """A loaded model that scores (query, document) pairs.

    Attributes:
        specification: what it was loaded from.
        device: the one that it is on; of several GPUs the one that this process has taken.
        family: the model and how it is used.
    """

    def __init__(self, specification: Specification) -> None:
        """Load the weights; see `specify` for what can be chosen and `checkpoints.build` for the errors."""
        self.specification = specification
        placement = specification.execution.begin()
        self.device = placement.device
        self.family: Family = FAMILIES[specification.model.family].load(
            specification.checkpoint, specification.settings, placement
        )
        self.takes_instruction = self.family.takes_instruction
        self.batch_tokens = specification.execution.batch_tokens
        self._tokeniser: TextTokeniser = tokeniser_of(self.family.tokenizer.backend_tokenizer)
        layers = gpu_layers.made_by(placement.device, placement.dtype)
        self.made_by = {"tokenising": self._tokeniser.name} | ({"layers": layers} if layers else {})

    @classmethod
    def load(
        cls,
        name: str | os.PathLike[str],
        *,
        revision: str | None = None,
        like: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        batch_tokens: int | None = None,
        threads: int | None = None,
        attention: str = "auto",
        **options: Any,
    ) -> Reranker:
        """Find and load a model: `specify`, with the family's settings as keywords."""
        name = os.fspath(name)
        if is_address(name):
            raise UserError(f"{name}: an endpoint is not loaded; use specify(ADDRESS, options={{...}}).load()")
        run = execution.resolve(device, dtype, batch_tokens, threads, attention)
        return cls(specify_model(name, run, revision=revision, like=like, options=options))

    def expect_much(self) -> None:
        """Beside a GPU, tokenise in processes from now on; those of a machine's GPUs share its cores."""
        if self.specification.leaves_cpu_free:
            self._tokeniser = apart(self.family.tokenizer.backend_tokenizer, max(1, torch.cuda.device_count()))

    def best_batch_tokens(self, tasks: Sequence[RankingTask]) -> int:
        """The batch size that serves this model best on its device for such tasks; see `best_batch.best_budget`."""
        sequences = self.family.prepare(tasks, Tokens(self.family.tokenizer)).sequences
        return best_batch.best_budget(sequences, self.family.forward, self.device)

    def batches(self, tasks: Sequence[RankingTask]) -> list[Packed]:
        """What the model is given for the tasks, tokenised together: its forward passes in turn, not filled up."""
        sequences: Sequences = self.family.prepare(tasks, Tokens(self.family.tokenizer)).sequences
        batches = run_batches.plan(sequences, self.specification.execution.batch_tokens)
        return [pack(sequences.take(batch), self.device) for batch in batches]

    def score_tasks(self, tasks: Sequence[RankingTask], progress: Callable[[float, int], None] = no_progress) -> Scores:
        """Scores of all pairs with the ledger of what was cut and what failed.

        Tokenising some tasks overlaps with the forward passes of those before them. Which sequences share a forward
        pass depends on the tasks and the settings alone.

        Args:
            tasks: queries with their documents.
            progress: called after each forward pass with the pairs and tokens that it did; a pair read in several
                windows counts by parts.

        Raises:
            UserError: see `check_instructions`.
        """
        return self.begin(tasks)(progress)

    def begin(self, tasks: Sequence[RankingTask]) -> Callable[[Progress], Scores]:
        """Begin to tokenise, in a thread; what is returned scores the tasks, as `score_tasks` would.

        Raises:
            UserError: see `check_instructions`.
        """
        self.check_instructions(tasks)
        prepare = partial(self._prepare, tokens=Tokens(self.family.tokenizer, self._tokeniser))
        tokenised = one_ahead(prepare, chunks_of(tasks, CHUNK_PAIRS))
        return lambda progress: concatenate([self._run(chunk, progress) for chunk in tokenised])

    def _prepare(self, tasks: Sequence[RankingTask], tokens: Tokens) -> Tokenised:
        start = time.perf_counter()
        prepared = self.family.prepare(tasks, tokens)
        return Tokenised(prepared, sum(len(task.documents) for task in tasks), time.perf_counter() - start)

    def _run(self, tokenised: Tokenised, progress: Callable[[float, int], None]) -> Scores:
        start = time.perf_counter()
        prepared, pairs, _ = tokenised
        pairs_a_sequence = pairs / max(len(prepared.sequences), 1)
        counts: Counter[str] = Counter()
        outputs = run_batches.run(
            prepared.sequences,
            self.family.forward,
            budget=self.specification.execution.batch_tokens,
            device=self.device,
            counts=counts,
            progress=lambda sequences, tokens: progress(sequences * pairs_a_sequence, tokens),
        )
        scores = self.family.finish(prepared, outputs)
        for pair in np.flatnonzero(~np.isfinite(scores.score)):
            scores.failures.setdefault(int(pair), Failure("nan_score", f"the model's score is {scores.score[pair]}"))
            scores.score[pair] = np.nan
        scores.counts += counts
        scores.seconds = {"tokenise": tokenised.seconds, "forward": time.perf_counter() - start}
        return scores


def chunks_of(tasks: Sequence[RankingTask], pairs: int) -> Iterator[Sequence[RankingTask]]:
    """Neighbouring tasks, at most so many pairs together; a longer list is a chunk alone."""
    start = total = 0
    for end, task in enumerate(tasks):
        if end > start and total + len(task.documents) > pairs:
            yield tasks[start:end]
            start, total = end, 0
        total += len(task.documents)
    if tasks:
        yield tasks[start:]
