"""Listwise rerankers: jina-reranker-v3 and v3.5, causal models that read a query and some of its documents together.

A document's score is the cosine of two projected hidden states: at the token after the document and at the token after
the query, which comes last. A list that does not fit into one context is read in several, and their query embeddings
are averaged. Source of all rules: the checkpoint's own modeling.py (`rerank`, `_truncate_texts`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import linear, relu
from transformers import PreTrainedTokenizerBase

from transforms.base.errors import UserError
from transforms.scoring.choices import GROUP_SIZE
from transforms.scoring.families import listwise_prompt
from transforms.scoring.families.causal import check_bare, encode
from transforms.scoring.families.tokenise import Tokens
from transforms.scoring.packed.execution import Placement
from transforms.scoring.packed.packing import Ids, Packed, TokenSequence
from transforms.scoring.packed.run_batches import Rows
from transforms.scoring.results import Failure, RankingTask, Scores
from transforms.scoring.weights import backbones, checkpoints, requirements
from transforms.scoring.weights.backbones import Backbone
from transforms.scoring.weights.checkpoints import Checkpoint

# How Qwen's tokenizers split text into words before they look for tokens. After punctuation and a line break a new word
# begins, unless another line break follows; so text after a passage's opening tag can be tokenised apart from it.
QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
KINDS = ("qwen3",)  # `model_type` in config.json
PROJECTOR = ("projector.0.weight", "projector.2.weight")
LAST_GROUP = np.iinfo(np.int16).max  # that the ledger's column can name; it stands for all from there on


@dataclass(frozen=True)
class Settings:
    """What decides a listwise model's input; all lengths in tokens.

    Attributes:
        max_length: of a context; None for what the checkpoint allows. The vendor's rule counts the documents and twice
            the query, but not the prompt's own words, so that a context can be longer by these.
        max_doc_length: longest document, longer ones are cut.
        max_query_length: longest query, longer ones are cut.
        group_size: documents in a context, at most. The model card says 64, the vendor's code has 125.
        instruction: for queries that have none of their own; None for none.
        special_tokens: what becomes of the tokenizer's special strings in user text. "vendor" removes the two at which
            embeddings are read and lets the others act, so that a document can close the prompt; "escape" turns all of
            them into plain text.
    """

    max_length: int | None = None
    max_doc_length: int = 2048
    max_query_length: int = 512
    group_size: int = GROUP_SIZE
    instruction: str | None = None
    special_tokens: Literal["vendor", "escape"] = "vendor"
    marks: ClassVar[int] = 1  # how many times the query's token stands in the prompt


class WindowedSettings(Settings):
    """Those of jina-reranker-v3.5, whose prompt has the query's token twice and is read at the later one."""

    marks: ClassVar[int] = 2


class Reading(NamedTuple):
    """A query or a document as the model reads it."""

    text: str
    counted: int  # tokens after cutting, by which groups are closed; encoded again, the text can have others
    unseen: int  # tokens that were cut


class Context(NamedTuple):
    """Some documents of one query, and the prompt that they are read in."""

    task: int
    pairs: list[int]  # of each document
    documents: list[str]
    stretches: list[tuple[str, ...]]  # before each document's token and before the query's: texts to tokenise apart


@dataclass
class Prepared:
    """The sequences of some tasks, and what is known of the pairs before any is scored."""

    ledger: NDArray[np.int32]  # shape [pairs, 5]: tokens, truncated tokens, the query's truncated, group, position
    sequences: list[TokenSequence] = field(default_factory=list)
    contexts: list[Context] = field(default_factory=list)  # of each sequence
    failures: dict[int, Failure] = field(default_factory=dict)  # pair -> why it is in no sequence


def groups_of(lengths: Sequence[int], room: int, longest: int, size: int) -> list[range]:
    """Which neighbouring documents share a context.

    A group is closed when it is full, or when the room left is not above the length that any document may have.

    Args:
        lengths: tokens of each document.
        room: tokens of a context's documents together.
        longest: tokens that a document may have.
        size: documents in a context, at most.
    """
    groups: list[range] = []
    start, left = 0, room
    for end, length in enumerate(lengths, start=1):
        left -= length
        if end - start >= size or left <= longest:
            groups.append(range(start, end))
            start, left = end, room
    if start < len(lengths):
        groups.append(range(start, len(lengths)))
    return groups


def merge(groups: Sequence[Rows]) -> NDArray[np.float64]:
    """Scores of one query's documents from the embeddings of its groups.

    All documents are scored against one query embedding: the mean over the groups, weighted by the best (1 + score) / 2
    in each; a group without a score has no weight.

    Args:
        groups: for each group the embeddings of its documents and, last, of the query, shape [documents + 1, width].

    Returns:
        The cosines of all documents in order; NaN for an embedding without length.
    """
    exact = [rows.astype(np.float64) for rows in groups]
    # fmax ignores NaN. A cosine does not see the query's length, so the sum of the weights need not be divided by.
    weights = [(1 + np.fmax.reduce(cosines(rows[-1], rows[:-1]), initial=-1)) / 2 for rows in exact]
    query = np.asarray(weights) @ np.stack([rows[-1] for rows in exact])
    return np.concatenate([cosines(query, rows[:-1]) for rows in exact])


def cosines(query: NDArray[np.float64], documents: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosine of the query, shape [width], with each document, shape [N, width]; NaN where one has no length."""
    with np.errstate(invalid="ignore"):
        result: NDArray[np.float64] = documents @ query / (np.linalg.norm(documents, axis=1) * np.linalg.norm(query))
    return result


class Listwise:
    """A causal model with a projector as a scorer of lists; see `transforms.scoring.reranker.Family`."""

    takes_instruction = True

    def __init__(
        self, settings: Settings, model: Backbone, projector: Sequence[torch.Tensor], tokenizer: PreTrainedTokenizerBase
    ) -> None:
        self.settings = settings
        self.tokenizer = tokenizer
        self.backbone = model
        self._projector = projector
        backend = tokenizer.backend_tokenizer
        self._document_end = encode(tokenizer, listwise_prompt.DOCUMENT_TOKEN)
        self._query_end = encode(tokenizer, listwise_prompt.QUERY_TOKEN + listwise_prompt.CLOSING)
        self._special = listwise_prompt.special_strings(
            token.content for token in backend.get_added_tokens_decoder().values()
        )
        strips = any(token.lstrip or token.rstrip for token in backend.get_added_tokens_decoder().values())
        self._separable = not strips and json.dumps(QWEN_WORDS).encode() in backend.pre_tokenizer.__getstate__()

    def prepare(self, tasks: Sequence[RankingTask], tokens: Tokens) -> Prepared:
        """Cut the texts, divide the lists into groups and build the context of each.

        A document that cannot be tokenised fails and is left out of its group; a query that cannot fails its list.
        """
        tasks = [self._settled(task) for task in tasks]
        tokens.add(text for task in tasks for text in (task.query, *task.documents))
        prepared = Prepared(np.zeros((sum(len(task.documents) for task in tasks), 5), dtype=np.int32))
        contexts: list[Context] = []
        first = 0
        for number, task in enumerate(tasks):
            contexts += self._contexts(number, task, first, tokens, prepared)
            first += len(task.documents)
        tokens.add(text for context in contexts for texts in (context.documents, *context.stretches) for text in texts)
        for context in contexts:
            sequence = self._sequence(context, tokens)
            if isinstance(sequence, Failure):
                prepared.failures |= dict.fromkeys(context.pairs, sequence)
            else:
                prepared.sequences.append(sequence)
                prepared.contexts.append(context)
                prepared.ledger[context.pairs, 0] = [len(tokens[document]) for document in context.documents]
        return prepared

    def _settled(self, task: RankingTask) -> RankingTask:
        """The task with its instruction, and with its texts escaped where that is wanted."""
        instruction = self.settings.instruction if task.instruction is None else task.instruction
        if self.settings.special_tokens == "vendor":
            return task._replace(instruction=instruction)
        query, shown, *documents = (
            listwise_prompt.escape(text, self._special) for text in (task.query, instruction or "", *task.documents)
        )
        return RankingTask(query, documents, shown)

    def _contexts(
        self, number: int, task: RankingTask, first: int, tokens: Tokens, prepared: Prepared
    ) -> Iterator[Context]:
        """The contexts of a task whose pairs begin at `first`; notes failures and, but for the tokens, the ledger."""
        settings = self.settings
        assert settings.max_length is not None
        query = self._read(task.query, settings.max_query_length, tokens)
        if isinstance(query, Failure):
            prepared.failures |= dict.fromkeys(range(first, first + len(task.documents)), query)
            return
        readable: list[tuple[int, Reading]] = []
        for pair, text in enumerate(task.documents, start=first):
            reading = self._read(text, settings.max_doc_length, tokens)
            if isinstance(reading, Failure):
                prepared.failures[pair] = reading
            else:
                readable.append((pair, reading))
        lengths = [reading.counted for _, reading in readable]
        room = settings.max_length - 2 * query.counted
        for group, places in enumerate(groups_of(lengths, room, settings.max_doc_length, settings.group_size)):
            pairs, readings = zip(*(readable[place] for place in places), strict=True)
            for position, (pair, reading) in enumerate(zip(pairs, readings, strict=True)):
                prepared.ledger[pair, 1:] = reading.unseen, query.unseen, group, position
            documents = [reading.text for reading in readings]
            *leads, last = listwise_prompt.leads(query.text, len(documents), task.instruction, marks=settings.marks)
            stretches = [self._apart(lead, document) for lead, document in zip(leads, documents, strict=True)]
            yield Context(number, list(pairs), documents, [*stretches, (last,)])

    def _read(self, text: str, limit: int, tokens: Tokens) -> Reading | Failure:
        """A text as the vendor puts it into the prompt: one that reaches the limit is cut there and decoded."""
        ids = tokens[text]
        if isinstance(ids, Failure):
            return ids
        if len(ids) >= limit:
            text = str(self.tokenizer.decode(ids[:limit].tolist()))
        return Reading(listwise_prompt.sanitise(text), min(len(ids), limit), max(len(ids) - limit, 0))

    def _apart(self, lead: str, document: str) -> tuple[str, ...]:
        """Lead and document as texts whose ids, one after the other, are those of both together.

        Apart where that is certain, so that a document is tokenised once for all the places that it stands in.
        """
        apart = self._separable and not document.startswith(("\r", "\n"))
        return (lead, document) if apart else (lead + document,)

    def _sequence(self, context: Context, tokens: Tokens) -> TokenSequence | Failure:
        """The context's ids, read at the tokens placed after each document and after the query.

        A special token splits text for the tokenizer, so that what stands between two of them can be encoded alone.
        """
        endings = [*[self._document_end] * len(context.documents), self._query_end]
        parts: list[Ids] = []
        reads: list[int] = []
        size = 0
        for texts, ending in zip(context.stretches, endings, strict=True):
            for text in texts:
                ids = tokens[text]
                if isinstance(ids, Failure):
                    return ids
                parts.append(ids)
                size += len(ids)
            reads.append(size)
            parts.append(ending)
            size += len(ending)
        whole: Ids = np.concatenate(parts)
        marks = np.count_nonzero(whole == self._query_end[0])
        if self.settings.marks > 1 and marks != self.settings.marks:
            detail = f"its prompt has {listwise_prompt.QUERY_TOKEN} {marks} times, not {self.settings.marks}"
            return Failure("tokenizer_error", f"{detail}; --special_tokens escape makes plain text of it")
        return TokenSequence(whole, np.array(reads, dtype=np.int32), size)

    def forward(self, packed: Packed) -> torch.Tensor:
        """Embeddings at the reads of the packed contexts, float32, shape [R, width]."""
        first, second = self._projector
        return linear(relu(linear(self.backbone(packed).float(), first)), second)

    def finish(self, prepared: Prepared, rows: Sequence[Rows | None]) -> Scores:
        """Scores of all pairs.

        A group without a result is left out of its list: its pairs have no score, and the others are scored as if its
        documents had not been listed. Such a group did not fit into memory, or has an embedding that is not finite.
        """
        score = np.full(len(prepared.ledger), np.nan, dtype=np.float32)
        failures = dict(prepared.failures)
        for _, members in groupby(zip(prepared.contexts, rows, strict=True), key=lambda member: member[0].task):
            pairs: list[int] = []
            embeddings: list[Rows] = []
            for context, group in members:
                if group is None:
                    detail = f"its group of {len(context.pairs)} documents does not fit into memory alone"
                    failures |= dict.fromkeys(context.pairs, Failure("out_of_memory", detail))
                elif np.isfinite(group).all():
                    pairs += context.pairs
                    embeddings.append(group)
            if embeddings:
                score[pairs] = merge(embeddings)
        tokens, truncated, query_truncated, group_numbers, positions = prepared.ledger.T
        return Scores(
            score=score,
            tokens=tokens,
            truncated_tokens=truncated,
            query_truncated_tokens=query_truncated,
            group=np.minimum(group_numbers, LAST_GROUP).astype(np.int16),
            position=positions.astype(np.int16),
            failures=failures,
        )


def resolve(checkpoint: Checkpoint, settings: Settings) -> Settings:
    """Fill in max_length from the checkpoint and check that all fits together.

    Raises:
        UserError: it does not, or the checkpoint is none of a listwise model.
    """
    outline = checkpoints.outline(checkpoint)
    config = backbones.check(checkpoint, KINDS, outline)
    requirements.check(checkpoint, "prompt")
    windowed = backbones.has_windows(config)
    if windowed != isinstance(settings, WindowedSettings):
        raise UserError(
            f"model {checkpoint.name}: config.json has {'' if windowed else 'no '}layers with sliding_attention, as "
            f"jina-reranker-{'v3.5' if windowed else 'v3'} has; check --model_like"
        )
    first, second = (outline[key].shape if key in outline else () for key in PROJECTOR)
    if len(first) != 2 or len(second) != 2 or first[1] != config.hidden_size or second[1] != first[0]:
        shapes = ", ".join(f"{key} {list(outline[key].shape) if key in outline else 'missing'}" for key in PROJECTOR)
        raise UserError(
            f"model {checkpoint.name}: its weights hold no projector for hidden size {config.hidden_size} ({shapes}); "
            "the checkpoint is incomplete or of another kind"
        )
    stored = checkpoint.tokenizer_config.get("model_max_length")
    positions = config.max_position_embeddings
    longest = min(positions, stored) if isinstance(stored, int) else positions
    settings = replace(settings, max_length=longest if settings.max_length is None else settings.max_length)
    assert settings.max_length is not None
    for option, lowest, highest in (
        ("max_length", 16, positions),
        ("max_doc_length", 1, settings.max_length),
        ("max_query_length", 1, settings.max_length),
        ("group_size", 1, LAST_GROUP),
    ):
        value = getattr(settings, option)
        if not lowest <= value <= highest:
            raise UserError(f"--{option} {value}: with {checkpoint.name} it must be from {lowest} to {highest}")
    if settings.special_tokens not in ("vendor", "escape"):
        raise UserError(f"--special_tokens {settings.special_tokens}: give vendor or escape")
    return settings


def load(checkpoint: Checkpoint, settings: Settings, placement: Placement) -> Listwise:
    """Load a checkpoint whose settings are resolved; see `backbones.load` for the errors.

    Raises:
        UserError: also where its tokenizer lacks the tokens at which embeddings are read.
    """
    tensors = checkpoints.read_tensors(checkpoint, lambda key: not key.startswith("lm_head."))
    tokenizer = checkpoints.load_tokenizer(checkpoint)
    check_bare(tokenizer, checkpoint.name)
    for token in (listwise_prompt.DOCUMENT_TOKEN, listwise_prompt.QUERY_TOKEN):
        if len(encode(tokenizer, token)) != 1:
            raise UserError(f"model {checkpoint.name}: its tokenizer has no token {token}; use the model's own")
    model = backbones.load(checkpoint, KINDS, tensors, placement)
    return Listwise(settings, model, [tensors[key].float().to(placement.device) for key in PROJECTOR], tokenizer)
