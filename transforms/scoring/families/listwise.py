"""Listwise rerankers: jina-reranker-v3 and v3.5, causal models that read a query and some of its documents together.

A document's score is the cosine of two projected hidden states: at the token after the document and at the token after
the query, which comes last. A list that does not fit into one context is read in several, and their query embeddings
are averaged. Source of all rules: the checkpoint's own modeling.py (`rerank`, `_truncate_texts`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
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
from transforms.scoring.families.listwise_groups import Groups, grouped, merge
from transforms.scoring.families.pairs import Pairs, documents_of, read_pairs
from transforms.scoring.families.tokenise import Tokens
from transforms.scoring.packed.execution import Placement
from transforms.scoring.packed.packing import Packed
from transforms.scoring.packed.ragged import Counts, Ids, end_to_end, ragged, ranges
from transforms.scoring.packed.run_batches import Outputs, Rows
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
LINE_BREAKS = ("\r", "\n")
KINDS = ("qwen3",)  # `model_type` in config.json
PROJECTOR = ("projector.0.weight", "projector.2.weight")
LAST_GROUP = np.iinfo(np.int16).max  # that the ledger's column can name; it stands for all from there on


class Context(NamedTuple):
    """Some documents of one query that are read together."""

    task: int
    pairs: list[int]  # of each document


class Stretches(NamedTuple):
    """The text of all contexts, cut after each token that is read; each array has shape [stretches].

    Attributes:
        before: numbers in `Tokens` of the prompt's text before each document and, last in a context, the query's token;
            with the document where the two cannot be tokenised apart.
        documents: numbers of the documents, for the ledger where they stand in `before` already; last in a context, of
            any one.
        apart: whether there is a document that does not.
        last: whether it is a context's last one, which has none.
    """

    before: Counts
    documents: Counts
    apart: NDArray[np.bool_]
    last: NDArray[np.bool_]


@dataclass
class Prepared:
    """The sequences of some tasks, and what is known of the pairs before any is scored."""

    sequences: Sequences
    contexts: list[Context]  # of each sequence
    failures: dict[int, Failure]  # pair -> why it is in no sequence
    ledger: NDArray[np.int32]  # shape [pairs, 5]: tokens, truncated tokens, the query's truncated, group, position


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
        texts = documents_of(tasks)
        pairs = read_pairs(tasks, [task.query for task in tasks], texts, tokens)
        assert self.settings.max_length is not None
        groups = grouped(
            pairs,
            self.settings.max_length,
            self.settings.max_doc_length,
            self.settings.max_query_length,
            self.settings.group_size,
        )
        ledger = np.zeros((pairs.total, 5), dtype=np.int32)
        ledger[pairs.pairs, 1] = np.maximum(pairs.document.sizes - self.settings.max_doc_length, 0)
        ledger[pairs.pairs, 2] = np.maximum(pairs.query.sizes - self.settings.max_query_length, 0)
        ledger[pairs.pairs, 3] = np.repeat(groups.numbers, groups.sizes)
        ledger[pairs.pairs, 4] = ranges(np.zeros_like(groups.sizes), groups.sizes)
        members = [part.tolist() for part in np.split(pairs.pairs, groups.firsts[1:])]
        contexts = list(map(Context, groups.tasks.tolist(), members))
        stretches = self._stretches(tasks, texts, pairs, groups, tokens)
        sequences, failures = self._sequences(contexts, stretches, tokens, ledger)
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

    def _stretches(
        self, tasks: Sequence[RankingTask], texts: Sequence[str], pairs: Pairs, groups: Groups, tokens: Tokens
    ) -> Stretches:
        """The contexts' text as the vendor would write it, tokenised.

        A special token splits text for the tokenizer, so that what stands between two of them can be encoded alone:
        the words before a document and the document together, or apart where that gives the same ids for certain, so
        that a document is tokenised once for all the places that it stands in.
        """
        marks = self.settings.marks
        queries = [
            self._query(tasks[task].query, pairs.query[first]) for task, _, first, _ in zip(*groups, strict=True)
        ]
        openings = [
            listwise_prompt.opening(query, size, tasks[task].instruction, marks=marks)
            for query, task, size in zip(queries, groups.tasks.tolist(), groups.sizes.tolist(), strict=True)
        ]
        between = map(listwise_prompt.between, range(1, groups.sizes.max(initial=1)))
        written = [*openings, *between]
        places = ranges(np.zeros_like(groups.sizes), groups.sizes)
        group_of = np.repeat(np.arange(len(queries)), groups.sizes)
        before_each = np.where(places == 0, group_of, len(queries) + places - 1)
        before, documents = tokens.numbers(written)[before_each], pairs.numbers.copy()
        shown, changed = self._shown(texts, pairs)
        documents[changed] = tokens.numbers([shown[place] for place in changed])
        joint = [place for place, text in enumerate(shown) if not self._separable or text.startswith(LINE_BREAKS)]
        before[joint] = tokens.numbers([written[before_each[place]] + shown[place] for place in joint])
        apart = np.ones(len(documents), dtype=np.bool_)
        apart[joint] = False
        ends, last = groups.firsts + groups.sizes, tokens.numbers(list(map(listwise_prompt.last, queries)))
        return Stretches(
            np.insert(before, ends, last),
            np.insert(documents, ends, documents[groups.firsts]),
            np.insert(apart, ends, False),
            np.insert(np.zeros_like(apart), ends, True),
        )

    def _shown(self, texts: Sequence[str], pairs: Pairs) -> tuple[list[str], list[int]]:
        """The documents as they stand in a prompt, and by place those that do not as they are given."""
        limit = self.settings.max_doc_length
        shown = [texts[pair] for pair in pairs.pairs.tolist()]
        long = np.flatnonzero(pairs.document.sizes >= limit).tolist()
        for place in long:
            shown[place] = self._shortened(pairs.document[place], limit)
        marked = [place for place, text in enumerate(shown) if "|" in text]
        for place in marked:
            shown[place] = listwise_prompt.sanitise(shown[place])
        return shown, list({*long, *marked})

    def _query(self, text: str, ids: Ids) -> str:
        """A query as it stands in the prompt."""
        limit = self.settings.max_query_length
        return listwise_prompt.sanitise(text if len(ids) < limit else self._shortened(ids, limit))

    def _shortened(self, ids: Ids, limit: int) -> str:
        """A text that reaches the limit as the vendor puts it into the prompt: cut there and decoded."""
        return str(self.tokenizer.decode(ids[:limit].tolist()))

    def _sequences(
        self, contexts: Sequence[Context], stretches: Stretches, tokens: Tokens, ledger: NDArray[np.int32]
    ) -> tuple[Sequences, dict[int, Failure]]:
        """The contexts' ids, each read at the tokens placed after each document and after the query.

        Notes the tokens of documents in the ledger.

        Returns:
            The sequences of all contexts but the failed ones, and these by their number.
        """
        before, documents, apart, last = stretches
        counts = np.array([len(context.pairs) + 1 for context in contexts], dtype=np.int64)
        context_of = np.repeat(np.arange(len(contexts)), counts)
        (first, failed), (second, unread) = tokens.of(before), tokens.of(documents)
        failures: dict[int, Failure] = {}
        failed |= {stretch: failure for stretch, failure in unread.items() if apart[stretch] and stretch not in failed}
        for stretch in sorted(failed):
            failures.setdefault(int(context_of[stretch]), failed[stretch])
        endings = self._endings.take(last.astype(np.int64))
        parts = tokens.join(first, second.cut(0, np.where(apart, second.sizes, 0)), endings)
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
        pairs = [pair for context, is_good in zip(contexts, good, strict=True) if is_good for pair in context.pairs]
        ledger[pairs, 0] = second.sizes[~last & good[context_of]]
        none = np.zeros(len(contexts), dtype=np.int64)
        read = end_to_end(reads.astype(np.int32), counts)
        sequences = Sequences(whole, read, sizes, none + NO_PREFIX.group, none, none).take(np.flatnonzero(good))
        return sequences, failures

    def forward(self, packed: Packed) -> torch.Tensor:
        """Embeddings at the reads of the packed contexts, float32, shape [R, width]."""
        first, second = self._projector
        return linear(relu(linear(self.backbone(packed).float(), first)), second)

    def finish(self, prepared: Prepared, outputs: Outputs) -> Scores:
        """Scores of all pairs.

        A group without a result is left out of its list: its pairs have no score, and the others are scored as if its
        documents had not been listed. Such a group did not fit into memory, or has an embedding that is not finite.
        """
        score = np.full(len(prepared.ledger), np.nan, dtype=np.float32)
        failures = dict(prepared.failures)
        for _, members in groupby(zip(prepared.contexts, outputs, strict=True), key=lambda member: member[0].task):
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
    for option, value, lowest, highest in (
        ("max_length", settings.max_length, 16, positions),
        ("max_doc_length", settings.max_doc_length, 1, settings.max_length),
        ("max_query_length", settings.max_query_length, 1, settings.max_length),
        ("group_size", settings.group_size, 1, LAST_GROUP),
    ):
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
