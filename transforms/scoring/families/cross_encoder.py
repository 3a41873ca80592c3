"""Cross-encoders: BERT, XLM-RoBERTa and ModernBERT classifiers with one label; jina-reranker-v2 and bge are such.

The pair is one sequence, `<s> query </s></s> document </s>` or the tokenizer's own form of that; the score is the
head's logit for the first token, or for the mean of all, or that logit's sigmoid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from transforms.base.errors import UserError
from transforms.scoring.families import sentence_transformers_config
from transforms.scoring.families.classifier_head import CLASSIFIERS, modular
from transforms.scoring.families.pairs import (
    Template,
    Windows,
    documents_of,
    longest_first,
    read_pairs,
    template_of,
    windows,
)
from transforms.scoring.families.tokenise import Tokens
from transforms.scoring.packed.execution import Placement
from transforms.scoring.packed.packing import Packed
from transforms.scoring.packed.ragged import Counts
from transforms.scoring.packed.run_batches import Outputs
from transforms.scoring.packed.sequences import Sequences
from transforms.scoring.results import Failure, RankingTask, Scores
from transforms.scoring.settings import CrossEncoderSettings
from transforms.scoring.weights import backbones, checkpoints
from transforms.scoring.weights.backbones import Backbone
from transforms.scoring.weights.checkpoints import Checkpoint
from transforms.scoring.weights.vendor_layouts import RERANKER_V2, transformers_names

MOST_WINDOWS = np.iinfo(np.int16).max  # what the ledger's column can hold


class Cuts(NamedTuple):
    """How N pairs are read: the first tokens of each query, shape [N], with W stretches of the documents."""

    query: Counts
    document: Windows


def cut(query: Counts, document: Counts, settings: CrossEncoderSettings, template: Template) -> Cuts:
    """How much of queries and of documents of so many tokens, shape [N], the model reads.

    Sources: windows, jina-reranker-v2's modeling_xlm_roberta.py, `rerank`; longest_first, the tokenizers library's
    truncation; only_document, FlagEmbedding's FlagReranker.
    """
    assert settings.max_length is not None
    room = settings.max_length - template.size
    if settings.long_documents == "window":
        limit = settings.max_length // 2 if settings.max_query_length is None else settings.max_query_length
        query = np.minimum(query, limit - template.alone)
        stretches = windows(document, room - query, settings.overlap_tokens)
        if settings.window_score == "first":
            firsts = np.flatnonzero(np.diff(stretches.text, prepend=-1))
            stretches = Windows(*(each[firsts] for each in stretches))
        return Cuts(query, stretches)
    if settings.truncation == "only_document":
        limit = settings.max_length * 3 // 4 if settings.max_query_length is None else settings.max_query_length
        query = np.minimum(query, min(limit, room - 1))  # the document gets a token at least
        document = np.minimum(document, room - query)
    else:
        if settings.max_query_length is not None:
            query = np.minimum(query, settings.max_query_length)
        query, document = longest_first(query, document, room)
    pairs = np.arange(len(query))
    return Cuts(query, Windows(pairs, np.zeros_like(pairs), document))


@dataclass
class Prepared:
    """The sequences of some pairs, and what is known of the pairs before any is scored."""

    sequences: Sequences
    owners: Counts  # the pair of each sequence
    failures: dict[int, Failure]  # pair -> why it has no sequence
    ledger: NDArray[np.int32]  # shape [pairs, 4]: tokens, truncated tokens, the query's truncated tokens, windows
    starts: Counts  # the document's token at which each sequence begins


class CrossEncoder:
    """A sequence classifier as a scorer of pairs; see `transforms.scoring.reranker.Family`."""

    takes_instruction = False

    def __init__(
        self,
        settings: CrossEncoderSettings,
        backbone: Backbone,
        head: Callable[[torch.Tensor], torch.Tensor],
        tokenizer: PreTrainedTokenizerBase,
        prompt: str = "",
    ) -> None:
        """Make a family of its parts.

        Args:
            settings: resolved.
            backbone: the model.
            head: of shape [N, 1, hidden size] in float32 to N logits.
            tokenizer: of the checkpoint; its truncation_side says which end of a long text is lost.
            prompt: what is put before every query.
        """
        self.settings = settings
        self.tokenizer = tokenizer
        self._prompt = prompt
        self._loses_beginning = tokenizer.truncation_side == "left"
        self._template = template_of(tokenizer)
        self._head = head
        self.backbone = backbone

    def prepare(self, tasks: Sequence[RankingTask], tokens: Tokens) -> Prepared:
        """Tokenise and cut every pair; a text that cannot be tokenised fails its pairs."""
        queries = [self._prompt + task.query for task in tasks]
        query, document, _, pairs, total, failures, _ = read_pairs(tasks, queries, documents_of(tasks), tokens)
        cuts = cut(query.sizes, document.sizes, self.settings, self._template)
        many = np.bincount(cuts.document.text, minlength=len(pairs))
        short_enough = many <= MOST_WINDOWS
        failures |= {int(pairs[place]): _too_long(many[place]) for place in np.flatnonzero(~short_enough)}
        last = np.cumsum(many) - 1
        query_unseen = query.sizes - cuts.query
        unseen = document.sizes - (cuts.document.first + cuts.document.tokens)[last]
        of, first, length = (each[short_enough[cuts.document.text]] for each in cuts.document)
        from_end = self._loses_beginning and self.settings.long_documents != "window"
        query = query.cut(query_unseen if self._loses_beginning else 0, cuts.query)
        document = document.take(of).cut(first + unseen[of] if from_end else first, length)
        sequences = self._template.join(query.take(of), document, tokens.join)
        ledger = np.zeros((total, 4), dtype=np.int32)
        tokens_read = np.bincount(of, sequences.lengths, len(pairs))
        ledger[pairs[short_enough]] = np.stack([tokens_read, unseen, query_unseen, many], axis=1)[short_enough]
        return Prepared(sequences, pairs[of], failures, ledger, first)

    def forward(self, packed: Packed) -> torch.Tensor:
        """Scores of the packed pairs, float32, shape [N, 1]."""
        # Transformers' heads take the first token of [N, tokens, hidden size].
        logits = self._head(self.backbone(packed).float()[:, None]).flatten(1)
        return logits.sigmoid() if self.settings.activation == "sigmoid" else logits

    def finish(self, prepared: Prepared, outputs: Outputs) -> Scores:
        """The score of each pair is its best window's (jina-reranker-v2's `rerank`), or as window_score says."""
        score = np.full(len(prepared.ledger), -np.inf, dtype=np.float32)
        lacking = Failure("out_of_memory", "a sequence of the pair does not fit into memory alone")
        failures = prepared.failures | dict.fromkeys(prepared.owners[outputs.missing].tolist(), lacking)
        with np.errstate(invalid="ignore"):
            np.maximum.at(score, prepared.owners, outputs.rows[:, 0])  # a NaN window makes the pair NaN
        best = None if self.settings.window_score is None else best_windows(prepared, outputs)
        if best is not None and self.settings.window_score == "mean":
            score = best.mean
        score[list(failures)] = np.nan
        tokens, truncated, query_truncated, windows = prepared.ledger.T
        return Scores(
            score=score,
            tokens=tokens,
            truncated_tokens=truncated,
            query_truncated_tokens=query_truncated,
            windows=windows.astype(np.int16) if self.settings.long_documents == "window" else None,
            best_window=None if best is None else best.number,
            best_window_token=None if best is None else best.token,
            failures=failures,
        )


class BestWindows(NamedTuple):
    """Of each pair: the number of its best window, the document's token at which that begins, the mean of all scores.

    Shape [pairs] each; 0 where no window has a score.
    """

    number: NDArray[np.int16]
    token: NDArray[np.int32]
    mean: NDArray[np.float32]


def best_windows(prepared: Prepared, outputs: Outputs) -> BestWindows:
    """Which window of each pair has the highest score, the first of those alike; see `CrossEncoder.finish`."""
    pairs = len(prepared.ledger)
    best = BestWindows(np.zeros(pairs, np.int16), np.zeros(pairs, np.int32), np.zeros(pairs, np.float32))
    scored = zip(prepared.owners.tolist(), prepared.starts.tolist(), outputs, strict=True)
    for owner, group in groupby(scored, key=itemgetter(0)):
        read = [(start, row[0, 0]) for _, start, row in group if row is not None]
        if read:
            starts, values = zip(*read, strict=True)
            number = int(np.argmax(values))
            best.number[owner], best.token[owner] = number, starts[number]
            best.mean[owner] = np.mean(values, dtype=np.float64)
    return best


def _too_long(many: int) -> Failure:
    return Failure("too_long", f"{many:,} windows")


def resolve(checkpoint: Checkpoint, settings: CrossEncoderSettings) -> CrossEncoderSettings:
    """Fill in max_length from the checkpoint and check that the lengths and the files fit together.

    Raises:
        UserError: they do not, or the checkpoint is none of a cross-encoder.
    """
    config = described(checkpoint)
    outline = checkpoints.outline(checkpoint)
    sentence_transformers_config.prompt_before_query(checkpoint)
    limit = sentence_transformers_config.pair_limit(checkpoint)
    head = sentence_transformers_config.head(checkpoint)
    if head is None:
        model_class = CLASSIFIERS[backbones.kind_of(checkpoint)].model
        checkpoints.fitting(model_class, config, transformers_names(outline, RERANKER_V2), name=checkpoint.name)
    else:
        backbones.check(checkpoint, tuple(CLASSIFIERS), outline)
        modular(checkpoint, head, config.hidden_size)
    positions = backbones.positions(config)
    stored = checkpoint.tokenizer_config.get("model_max_length") if limit is None else limit
    longest = min(positions, stored) if isinstance(stored, int) else positions
    settings = replace(settings, max_length=longest if settings.max_length is None else settings.max_length)
    assert settings.max_length is not None
    if settings.window_score and settings.long_documents != "window":
        raise UserError(f"--window_score {settings.window_score}: needs --long_documents window; give that too")
    if not 16 <= settings.max_length <= positions:
        raise UserError(f"--max_length {settings.max_length}: {checkpoint.name} takes 16 to {positions} tokens")
    query, ceiling = settings.max_query_length, settings.max_length - 8
    if settings.long_documents == "window":
        ceiling = settings.max_length // 2
    if query is not None and not 4 <= query <= ceiling:
        raise UserError(
            f"--max_query_length {query}: with --max_length {settings.max_length} and --long_documents "
            f"{settings.long_documents} it must be from 4 to {ceiling}"
        )
    return settings


def load(checkpoint: Checkpoint, settings: CrossEncoderSettings, placement: Placement) -> CrossEncoder:
    """Load a checkpoint, jina-reranker-v2's own layout included; see `checkpoints.build` for the errors."""
    config, kind = described(checkpoint), backbones.kind_of(checkpoint)
    tensors = checkpoints.read_tensors(checkpoint)
    tokenizer = checkpoints.load_tokenizer(checkpoint)
    prompt = sentence_transformers_config.prompt_before_query(checkpoint)
    modules = sentence_transformers_config.head(checkpoint)
    head: torch.nn.Module
    if modules is not None:
        head = modular(checkpoint, modules, config.hidden_size).to(placement.device)
        backbone = backbones.load(checkpoint, (kind,), tensors, placement, mean=modules.pooling == "mean")
        return CrossEncoder(settings, backbone, head, tokenizer, prompt)
    classifier = CLASSIFIERS[kind]
    model = checkpoints.build(
        classifier.model,
        config,
        transformers_names(tensors, RERANKER_V2),
        placement,
        name=checkpoint.name,
        float32=tuple(f"{module}." for module in classifier.head),
    )
    head = torch.nn.Sequential(*(model.get_submodule(module) for module in classifier.head))
    base: Any = model.base_model
    if hasattr(base, "pooler"):  # part of the head, so run on what is read alone
        base.pooler = None
    mean = getattr(config, "classifier_pooling", "cls") == "mean"
    backbone = Backbone(base, kind, mean=mean, fills_heads=placement.fills_heads)
    return CrossEncoder(settings, backbone, head, tokenizer, prompt)


def described(checkpoint: Checkpoint) -> PreTrainedConfig:
    """The sizes of a cross-encoder's model.

    Raises:
        UserError: it is none of CLASSIFIERS, or not with one label.
    """
    config = backbones.described(checkpoint, CLASSIFIERS)
    if config.num_labels != 1 and sentence_transformers_config.head(checkpoint) is None:
        raise UserError(f"model {checkpoint.name}: {config.num_labels} labels in config.json; a reranker has one")
    return config
