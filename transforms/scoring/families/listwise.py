"""Listwise rerankers: jina-reranker-v3 and v3.5, causal models that read a query and some of its documents together.

A document's score is the cosine of two projected hidden states: at the token after the document and at the token after
the query, which comes last. A list that does not fit into one context is read in several, and their query embeddings
are averaged. Source of all rules: the checkpoint's own modeling.py (`rerank`, `_truncate_texts`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import linear, relu
from transformers import PreTrainedTokenizerBase

from transforms.base.errors import UserError
from transforms.scoring.families import listwise_prompt
from transforms.scoring.families.causal import check_bare, encode
from transforms.scoring.families.pairs import Pairs, documents_of, read_pairs
from transforms.scoring.families.tokenise import Tokens
from transforms.scoring.packed.execution import Placement
from transforms.scoring.packed.packing import Packed
from transforms.scoring.packed.ragged import Ids, end_to_end, joined, ragged
from transforms.scoring.packed.run_batches import Rows
from transforms.scoring.packed.sequences import NO_PREFIX, Sequences
from transforms.scoring.results import Failure, RankingTask, Scores
from transforms.scoring.settings import ListwiseSettings, WindowedListwiseSettings
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


class Context(NamedTuple):
    """Some documents of one query, and the prompt that they are read in."""

    task: int
    pairs: list[int]  # of each document
    documents: list[str]
    leads: list[str]  # the prompt's text before each document, and before the query's token


@dataclass
class Prepared:
    """The sequences of some tasks, and what is known of the pairs before any is scored."""

    sequences: Sequences
    contexts: list[Context]  # of each sequence
    failures: dict[int, Failure]  # pair -> why it is in no sequence
    ledger: NDArray[np.int32]  # shape [pairs, 5]: tokens, truncated tokens, the query's truncated, group, position


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
        self,
        settings: ListwiseSettings,
        model: Backbone,
        projector: Sequence[torch.Tensor],
        tokenizer: PreTrainedTokenizerBase,
    ) -> None:
        self.settings = settings
        self.tokenizer = tokenizer
        self.backbone = model
        self._projector = projector
        backend = tokenizer.backend_tokenizer
        endings = (listwise_prompt.DOCUMENT_TOKEN, listwise_prompt.QUERY_TOKEN + listwise_prompt.CLOSING)
        self._endings = ragged([encode(tokenizer, ending) for ending in endings])
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
        pairs = read_pairs(tasks, (task.query for task in tasks), documents_of(tasks), tokens)
        ledger = np.zeros((pairs.total, 5), dtype=np.int32)
        contexts = list(self._contexts(tasks, pairs, ledger))
        sequences, failures = self._sequences(contexts, tokens, ledger)
        for number, failure in failures.items():
            pairs.failures.update(dict.fromkeys(contexts[number].pairs, failure))
        read = [context for number, context in enumerate(contexts) if number not in failures]
        return Prepared(sequences, read, pairs.failures, ledger)

    def _settled(self, task: RankingTask) -> RankingTask:
        """The task with its instruction, and with its texts escaped where that is wanted."""
        instruction = self.settings.instruction if task.instruction is None else task.instruction
        if self.settings.special_tokens == "vendor":
            return task._replace(instruction=instruction)
        query, shown, *documents = (
            listwise_prompt.escape(text, self._special) for text in (task.query, instruction or "", *task.documents)
        )
        return RankingTask(query, documents, shown)

    def _contexts(self, tasks: Sequence[RankingTask], pairs: Pairs, ledger: NDArray[np.int32]) -> Iterator[Context]:
        """The contexts of the readable pairs; notes all but the tokens in the ledger."""
        settings = self.settings
        assert settings.max_length is not None
        texts = list(documents_of(tasks))
        counted = np.minimum(pairs.document.sizes, settings.max_doc_length)
        for place in np.flatnonzero(pairs.document.sizes >= settings.max_doc_length).tolist():
            texts[int(pairs.pairs[place])] = self._shortened(pairs.document[place], settings.max_doc_length)
        ledger[pairs.pairs, 1] = pairs.document.sizes - counted
        ledger[pairs.pairs, 2] = np.maximum(pairs.query.sizes - settings.max_query_length, 0)
        numbers, firsts = np.unique(pairs.tasks, return_index=True)
        for number, first, end in zip(
            numbers.tolist(), firsts.tolist(), [*firsts[1:].tolist(), len(pairs.tasks)], strict=False
        ):
            query = tasks[number].query
            if pairs.query.sizes[first] >= settings.max_query_length:
                query = self._shortened(pairs.query[first], settings.max_query_length)
            query = listwise_prompt.sanitise(query)
            room = settings.max_length - 2 * min(int(pairs.query.sizes[first]), settings.max_query_length)
            lengths = counted[first:end].tolist()
            for group, places in enumerate(groups_of(lengths, room, settings.max_doc_length, settings.group_size)):
                members = pairs.pairs[first + places.start : first + places.stop]
                ledger[members, 3], ledger[members, 4] = group, np.arange(len(members))
                documents = [listwise_prompt.sanitise(texts[pair]) for pair in members.tolist()]
                leads = listwise_prompt.leads(query, len(documents), tasks[number].instruction, marks=settings.marks)
                yield Context(number, members.tolist(), documents, leads)

    def _shortened(self, ids: Ids, limit: int) -> str:
        """A text that reaches the limit as the vendor puts it into the prompt: cut there and decoded."""
        return str(self.tokenizer.decode(ids[:limit].tolist()))

    def _sequences(
        self, contexts: Sequence[Context], tokens: Tokens, ledger: NDArray[np.int32]
    ) -> tuple[Sequences, dict[int, Failure]]:
        """The contexts' ids, each read at the tokens placed after each document and after the query.

        A special token splits text for the tokenizer, so that what stands between two of them can be encoded alone:
        lead and document together, or apart where that gives the same ids for certain, so that a document is tokenised
        once for all the places that it stands in. Notes the tokens of documents in the ledger.

        Returns:
            The sequences of all contexts but the failed ones, and these by their number.
        """
        leads = [lead for context in contexts for lead in context.leads]
        # In the place of the document that does not follow the last lead stands a text that is known anyway.
        shown = [text for context in contexts for text in (*context.documents, context.leads[-1])]
        counts = np.array([len(context.leads) for context in contexts], dtype=np.int64)
        last = np.zeros(len(leads), dtype=np.bool_)
        last[np.cumsum(counts) - 1] = True
        apart = np.array([self._separable and not text.startswith(("\r", "\n")) for text in shown], dtype=np.bool_)
        firsts = [
            lead if alone else lead + text
            for lead, text, alone in zip(leads, shown, (apart | last).tolist(), strict=True)
        ]
        ids, failed = tokens.read([*firsts, *shown])
        first, second = ids.take(slice(len(leads))), ids.take(slice(len(leads), None))

        context_of = np.repeat(np.arange(len(contexts)), counts)
        failures: dict[int, Failure] = {}
        for text in sorted(failed, key=lambda text: text % len(leads)):
            stretch = text % len(leads)
            if text < len(leads) or (apart & ~last)[stretch]:
                failures.setdefault(int(context_of[stretch]), failed[text])
        endings = self._endings.take(last.astype(np.int64))
        parts = joined(first, second.cut(0, np.where(apart & ~last, second.sizes, 0)), endings)
        sizes = np.bincount(context_of, parts.sizes, len(contexts)).astype(np.int64)
        whole = end_to_end(parts.flat(), sizes)
        reads = np.cumsum(parts.sizes) - endings.sizes - whole.starts[context_of, 0]
        for number in range(len(contexts)) if self.settings.marks > 1 else ():
            marks = np.count_nonzero(whole[number] == self._endings[1][0])
            if marks != self.settings.marks:
                detail = f"its prompt has {listwise_prompt.QUERY_TOKEN} {marks} times, not {self.settings.marks}"
                detail = f"{detail}; --special_tokens escape makes plain text of it"
                failures.setdefault(number, Failure("tokenizer_error", detail))
        good = np.array([number not in failures for number in range(len(contexts))], dtype=np.bool_)
        pairs = [pair for context, kept in zip(contexts, good, strict=True) if kept for pair in context.pairs]
        ledger[pairs, 0] = second.sizes[~last & good[context_of]]
        none = np.zeros(len(contexts), dtype=np.int64)
        read = end_to_end(reads.astype(np.int32), counts)
        sequences = Sequences(whole, read, sizes, none + NO_PREFIX.group, none, none).take(np.flatnonzero(good))
        return sequences, failures

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


def resolve(checkpoint: Checkpoint, settings: ListwiseSettings) -> ListwiseSettings:
    """Fill in max_length from the checkpoint and check that all fits together.

    Raises:
        UserError: it does not, or the checkpoint is none of a listwise model.
    """
    outline = checkpoints.outline(checkpoint)
    config = backbones.check(checkpoint, KINDS, outline)
    requirements.check(checkpoint, "prompt")
    windowed = backbones.has_windows(config)
    if windowed != isinstance(settings, WindowedListwiseSettings):
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


def load(checkpoint: Checkpoint, settings: ListwiseSettings, placement: Placement) -> Listwise:
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
