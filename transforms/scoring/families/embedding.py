"""Sentence encoders: each text is embedded by itself, and a pair's score is the similarity of its two embeddings.

Any sentence-transformers directory of a known architecture with mean, cls or last-token pooling; jina-code-embeddings
and jina-embeddings-v3 are such.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize
from transformers import PreTrainedTokenizerBase

from transforms.base.errors import UserError
from transforms.scoring.families import sentence_transformers_config
from transforms.scoring.families.pairs import documents_of
from transforms.scoring.families.sentence_transformers_config import SentenceTransformersConfig
from transforms.scoring.families.tokenise import Form, Tokens
from transforms.scoring.packed.execution import Placement
from transforms.scoring.packed.packing import Packed
from transforms.scoring.packed.ragged import Counts, Ids, ragged
from transforms.scoring.packed.run_batches import Outputs, Rows
from transforms.scoring.packed.sequences import Sequences, read_once
from transforms.scoring.results import Failure, RankingTask, Scores
from transforms.scoring.settings import EmbeddingSettings, Pooling
from transforms.scoring.weights import backbones, checkpoints, vendor_layouts
from transforms.scoring.weights.backbones import Backbone
from transforms.scoring.weights.checkpoints import Checkpoint, Tensors

KINDS = ("bert", "roberta", "xlm-roberta", "modernbert", "qwen2", "qwen3", "jina_embeddings_v3")
SHORTEST = 16

Side = Literal["query", "document"]
QUERY: Side = "query"
DOCUMENT: Side = "document"
SIDES = (QUERY, DOCUMENT)
# How the prompts of a side are called in sentence-transformers' files, alone or after a task and one of the marks.
PROMPT_NAMES: Mapping[Side, tuple[str, ...]] = {"query": ("query",), "document": ("document", "passage")}
TASK_MARKS = ("_", ".")


class Inputs(NamedTuple):
    """Some texts as the model reads them; N of them can be read."""

    sequences: Sequences
    texts: Counts  # which text each sequence is, shape [N]
    truncated: Counts  # its tokens that the model never sees, shape [N]
    failures: dict[int, Failure]  # of the other texts


@dataclass
class Store:
    """The embeddings of a shard's texts, each computed once; a text's place is known before its embedding is."""

    known: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))  # by place
    rows: list[Rows | Failure | None] = field(default_factory=list)  # None: not computed, or not yet
    lengths: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int32))  # tokens read, and cut

    def begin(self, places: Counts, total: int) -> Counts:
        """Those of the places that are new, each once; `total` is how many places there are by now."""
        more = total - len(self.rows)
        self.known, self.lengths = np.pad(self.known, (0, more)), np.pad(self.lengths, ((0, more), (0, 0)))
        self.rows += [None] * more
        chosen = np.zeros(total, dtype=np.bool_)
        chosen[places] = True
        new = np.flatnonzero(chosen & ~self.known)
        self.known[new] = True
        return new

    def rows_at(self, places: Sequence[int]) -> list[Rows | Failure]:
        """The embeddings at some places, each computed by now."""
        return [row for place in places if (row := self.rows[place]) is not None]


@dataclass
class Prepared:
    """Some pairs, and the texts among theirs that no earlier pair had."""

    sequences: Sequences
    places: Counts  # of each sequence's embedding
    pairs: Counts  # places of the query's and of the document's embedding, shape [pairs, 2]
    lengths: NDArray[np.int32]  # of these, tokens read and cut, shape [pairs, 2, 2]
    store: Store


class Embedder:
    """An encoder as a scorer of pairs; see `transforms.scoring.reranker.Family`."""

    takes_instruction = False

    def __init__(
        self, settings: EmbeddingSettings, tokenizer: PreTrainedTokenizerBase, models: Sequence[Backbone]
    ) -> None:
        """Args: complete settings; the checkpoint's tokenizer; one model, or one for queries and one for documents."""
        assert settings.max_length is not None
        self.settings = settings
        self.tokenizer = tokenizer
        self._models = models
        self.forms = {QUERY: Form(settings.query_prompt or ""), DOCUMENT: Form(settings.document_prompt or "")}
        before, after = frame_of(tokenizer)
        self._before, self._after = ragged([before]), ragged([after])
        self._room = settings.max_length - len(before) - len(after)
        self._loses_beginning = tokenizer.truncation_side == "left"
        self._stores: WeakKeyDictionary[Tokens, Store] = WeakKeyDictionary()

    def prepare(self, tasks: Sequence[RankingTask], tokens: Tokens) -> Prepared:
        """Tokenise and cut the texts that are new to the shard, which is known by its `tokens`."""
        store = self._stores.setdefault(tokens, Store())
        tasks = [task for task in tasks if task.documents]
        queries = tokens.numbers([task.query for task in tasks], self.forms[QUERY])
        documents = tokens.numbers(documents_of(tasks), self.forms[DOCUMENT])
        # A text has a place for each side that it is on.
        places = [np.repeat(queries, [len(task.documents) for task in tasks]), documents]
        pairs = np.stack(places, axis=1) * len(SIDES) + np.arange(len(SIDES))
        new = store.begin(pairs, tokens.count * len(SIDES))
        read = self.inputs(tokens, new // len(SIDES), new % len(SIDES))
        for text, failure in read.failures.items():
            store.rows[int(new[text])] = failure
        store.lengths[new[read.texts]] = np.stack([read.sequences.lengths, read.truncated], axis=1)
        return Prepared(read.sequences, new[read.texts], pairs, store.lengths[pairs], store)

    def inputs(self, tokens: Tokens, numbers: Counts, sides: Counts) -> Inputs:
        """The model's inputs for some texts, and why there is none for some.

        Args:
            tokens: of the shard.
            numbers: there, of the texts in the forms of their sides, shape [N].
            sides: the sides' places in SIDES, shape [N].
        """
        ids, failures = tokens.of(numbers)
        seen = np.minimum(ids.sizes, self._room)
        unseen = ids.sizes - seen
        ids = tokens.join(self._before, ids.cut(unseen if self._loses_beginning else 0, seen), self._after)
        for text in np.flatnonzero(ids.sizes == 0).tolist():
            failures.setdefault(text, Failure("tokenizer_error", "the text has no tokens that could be embedded"))
        places = np.setdiff1d(np.arange(len(ids)), list(failures)) if failures else np.arange(len(ids))
        ids = ids.take(places)
        reads = ids.sizes - 1 if self.settings.pooling == "last" else np.zeros(len(ids), dtype=np.int64)
        parts = sides[places] if len(self._models) > 1 else None
        return Inputs(read_once(ids, reads, parts=parts), places, unseen[places], failures)

    def forward(self, packed: Packed) -> torch.Tensor:
        """Embeddings of the packed texts, float32, shape [R, size]."""
        pooled = self._models[packed.part](packed).float()
        rows = pooled[:, : self.settings.size]
        return normalize(rows, dim=1) if self.settings.similarity == "cosine" else rows

    def finish(self, prepared: Prepared, outputs: Outputs) -> Scores:
        """Similarities of all pairs."""
        store = prepared.store
        for place, row in zip(prepared.places.tolist(), outputs, strict=True):
            missing = Failure("out_of_memory", "the text does not fit into memory alone")
            store.rows[place] = missing if row is None else row[0]
        score = np.full(len(prepared.pairs), np.nan, dtype=np.float32)
        failures: dict[int, Failure] = {}
        scored: list[tuple[int, Rows, Rows]] = []
        for pair, (query, document) in enumerate(map(store.rows_at, prepared.pairs.tolist())):
            if isinstance(query, Failure):
                failures[pair] = query
            elif isinstance(document, Failure):
                failures[pair] = document
            else:
                scored.append((pair, query, document))
        if scored:
            chosen, queries, documents = zip(*scored, strict=True)
            score[list(chosen)] = np.einsum("ij,ij->i", np.stack(queries), np.stack(documents))
        lengths = prepared.lengths
        return Scores(
            score=score,
            tokens=lengths[:, :, 0].sum(1, dtype=np.int32),
            truncated_tokens=lengths[:, 1, 1],
            query_truncated_tokens=lengths[:, 0, 1],
            failures=failures,
        )


def frame_of(tokenizer: PreTrainedTokenizerBase) -> tuple[Ids, Ids]:
    """The special tokens that the tokenizer places before and after a text alone."""
    encoded = tokenizer.backend_tokenizer.encode("a")
    inside = [place for place, sequence in enumerate(encoded.sequence_ids) if sequence is not None]
    before, after = encoded.ids[: inside[0]], encoded.ids[inside[-1] + 1 :]
    return np.array(before, dtype=np.int32), np.array(after, dtype=np.int32)


def prompt_of(side: Side, settings: EmbeddingSettings, layout: SentenceTransformersConfig, name: str) -> str:
    """What is put before the texts of a side.

    Its own setting if there is one; else, of the prompts that the files have (or the catalogue, where they have none),
    that of the task and side, without a task that of the side, or the files' default.

    Args:
        side: whose texts.
        settings: as given.
        layout: what the checkpoint's files say.
        name: of the checkpoint, for messages.

    Raises:
        UserError: there is none for the task, or there are some for tasks and no task is given.
    """
    own = settings.query_prompt if side == "query" else settings.document_prompt
    if own is not None:
        return own
    prompts = layout.prompts or settings.prompts
    names = PROMPT_NAMES[side]
    if settings.task is not None:
        names = tuple(f"{settings.task}{mark}{side_name}" for side_name in names for mark in TASK_MARKS)
    defined = [prompts[candidate] for candidate in names if candidate in prompts]
    if defined:
        return defined[0]
    if settings.task is not None:
        raise UserError(f"--task {settings.task}: {name} has no prompt {' or '.join(names)}, but {', '.join(prompts)}")
    if layout.default_prompt is not None:
        return prompts.get(layout.default_prompt, "")
    if any(prompts.values()) and not any(known in prompts for names in PROMPT_NAMES.values() for known in names):
        raise UserError(f"model {name}: it has prompts for several tasks; choose one by --task: {', '.join(prompts)}")
    return ""


def resolve(checkpoint: Checkpoint, settings: EmbeddingSettings) -> EmbeddingSettings:
    """Fill in what the checkpoint's files say, and check that it agrees with what the catalogue says.

    Raises:
        UserError: it does not, or the checkpoint is of another kind or its files do not fit together.
    """
    for weights in variants(checkpoint, settings, checkpoints.outline(checkpoint)):
        config = backbones.check(checkpoint, KINDS, weights)
    layout = sentence_transformers_config.read(checkpoint)
    name = checkpoint.name
    _check_agreement(settings, layout, name)
    pooling: Pooling | None = settings.pooling or layout.pooling
    if pooling is None:
        raise UserError(
            f"model {name}: no file says how to pool; give a sentence-transformers directory or --model_like"
        )
    query, document = (prompt_of(side, settings, layout, name) for side in SIDES)
    if pooling == "mean" and not layout.pools_prompt and (query or document):
        raise UserError(f"model {name}: its files leave prompts out of the mean, which is not supported")
    longest = backbones.positions(config)
    stored = checkpoint.tokenizer_config.get("model_max_length")
    length = settings.max_length or layout.max_length or min(longest, stored if isinstance(stored, int) else longest)
    if not SHORTEST <= length <= longest:
        raise UserError(f"--max_length {length}: {name} takes {SHORTEST} to {longest} tokens")
    size = settings.size or min(config.hidden_size if layout.size is None else layout.size, config.hidden_size)
    if size != config.hidden_size and size not in (settings.sizes or range(1, config.hidden_size)):
        choices = ", ".join(map(str, settings.sizes)) or f"1 to {config.hidden_size}"
        raise UserError(f"--size {size}: the embeddings of {name} can have size {choices}")
    return replace(
        settings,
        max_length=length,
        size=size,
        query_prompt=query,
        document_prompt=document,
        pooling=pooling,
        similarity="cosine" if layout.normalised else settings.similarity or layout.similarity or "cosine",
        prompts={},
    )


def _check_agreement(settings: EmbeddingSettings, layout: SentenceTransformersConfig, name: str) -> None:
    """Make sure that the checkpoint's files do not contradict what the catalogue says of the model."""
    says = {"pooling": layout.pooling} | {f"prompt {key}": text for key, text in layout.prompts.items()}
    known = {"pooling": settings.pooling} | {f"prompt {key}": text for key, text in settings.prompts.items()}
    for what in known:
        if None not in (known[what], says.get(what)) and known[what] != says[what]:
            raise UserError(
                f"model {name}: its files say {what} {says[what]!r}, the catalogue {known[what]!r}; check --model_like"
            )


def load(checkpoint: Checkpoint, settings: EmbeddingSettings, placement: Placement) -> Embedder:
    """Load an encoder without any head; see `checkpoints.build` for the errors."""
    tensors = checkpoints.read_tensors(checkpoint)
    models = [
        backbones.load(checkpoint, KINDS, weights, placement, mean=settings.pooling == "mean")
        for weights in variants(checkpoint, settings, tensors)
    ]
    return Embedder(settings, checkpoints.load_tokenizer(checkpoint), models)


def variants(checkpoint: Checkpoint, settings: EmbeddingSettings, tensors: Tensors) -> Iterator[Tensors]:
    """The weights of the one model for all texts, or of that for queries and that for documents."""
    if settings.adapters is None:
        yield tensors
    else:
        yield from (vendor_layouts.with_adapter(checkpoint, tensors, adapter) for adapter in settings.adapters)
