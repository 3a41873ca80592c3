"""Causal language models as scorers of pairs: one prompt a pair, the score read off the last token's hidden state.

What the prompt is and what is made of the hidden state is each family's own: `yes_no`, `m0`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from transforms.base.errors import UserError
from transforms.scoring.families.pairs import Pairs
from transforms.scoring.families.tokenise import Tokens
from transforms.scoring.packed.packing import Packed
from transforms.scoring.packed.ragged import Counts, Ids, Ragged
from transforms.scoring.packed.run_batches import Outputs
from transforms.scoring.packed.sequences import Sequences, read_once
from transforms.scoring.results import Failure, RankingTask, Scores
from transforms.scoring.weights.backbones import Backbone

# The least share of tokens that sharing prefixes must save: below it, gathering the prefix's keys and values anew for
# each document, and batches by query instead of by length, take as long as what is saved.
SHARING_PAYS = 0.1

# Texts whose first or last characters a tokenizer may join with its neighbour's, each in its own way.
EDGES = ("", "a", " a ", "\n", "\na\n", " \n a \n ", ".", "?!\n", "\r\n", "1", "'s", "\t", "　", "é", "<|im_end|>")


class Readings(NamedTuple):
    """The pairs of some tasks as the model reads them; N of them can be read.

    Attributes:
        ids: N prompts.
        pairs: the texts of the prompts, and which pairs they are of.
        truncated: tokens cut of the document's part of each prompt, shape [N].
        query_truncated: tokens cut of the query's part, shape [N].
        prefixes: tokens before those of the document, the same for all documents of the query, shape [N].
    """

    ids: Ragged
    pairs: Pairs
    truncated: Counts
    query_truncated: Counts
    prefixes: Counts


Read = Callable[[Sequence[RankingTask], Tokens], Readings]


@dataclass
class Prepared:
    """The prompts of some pairs, and what is known of the pairs before any is scored."""

    sequences: Sequences
    owners: Counts  # the pair of each sequence
    failures: dict[int, Failure]  # pair -> why it has no sequence
    ledger: NDArray[np.int32]  # shape [pairs, 3]: tokens, truncated tokens, the query's truncated tokens


class CausalReranker:
    """A causal language model as a scorer of pairs; see `transforms.scoring.reranker.Family`."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        read: Read,
        backbone: Backbone,
        score: Callable[[torch.Tensor], torch.Tensor],
        *,
        takes_instruction: bool = False,
    ) -> None:
        """Make a family of its parts.

        Args:
            tokenizer: of the checkpoint.
            read: tasks to prompts.
            backbone: the language model.
            score: hidden states of the last tokens, float32 of shape [N, hidden size], to scores of shape [N, 1].
            takes_instruction: whether the prompts have a place for a query's instruction.
        """
        self.tokenizer = tokenizer
        self._read = read
        self.backbone = backbone
        self._score = score
        self.takes_instruction = takes_instruction

    def prepare(self, tasks: Sequence[RankingTask], tokens: Tokens) -> Prepared:
        """Tokenise, cut and join every pair; a text that cannot be tokenised fails its pairs."""
        ids, read, truncated, query_truncated, prefixes = self._read(tasks, tokens)
        sequences = read_once(ids, ids.sizes - 1, prefixes=(read.tasks, prefixes))
        if not self.backbone.causal or shareable(sequences) < SHARING_PAYS:
            sequences = read_once(ids, ids.sizes - 1)
        ledger = np.zeros((read.total, 3), dtype=np.int32)
        ledger[read.pairs] = np.stack([ids.sizes, truncated, query_truncated], axis=1)
        return Prepared(sequences, read.pairs, read.failures, ledger)

    def forward(self, packed: Packed) -> torch.Tensor:
        """Scores of the packed pairs, float32, shape [N, 1]."""
        return self._score(self.backbone(packed).float())

    def finish(self, prepared: Prepared, outputs: Outputs) -> Scores:
        """Each row is its pair's score."""
        score = np.full(len(prepared.ledger), np.nan, dtype=np.float32)
        lacking = Failure("out_of_memory", "the pair does not fit into memory alone")
        failures = prepared.failures | dict.fromkeys(prepared.owners[outputs.missing].tolist(), lacking)
        score[prepared.owners] = outputs.rows[:, 0]
        tokens, truncated, query_truncated = prepared.ledger.T
        return Scores(
            score=score,
            tokens=tokens,
            truncated_tokens=truncated,
            query_truncated_tokens=query_truncated,
            failures=failures,
        )


def shareable(sequences: Sequences) -> float:
    """The share of all tokens that need not be computed where common prefixes, one a group, are computed once."""
    _, first = np.unique(sequences.groups, return_index=True)
    repeated = sequences.prefixes.sum() - sequences.prefixes[first].sum()
    return float(repeated / max(sequences.lengths.sum(), 1))


def encode(tokenizer: PreTrainedTokenizerBase, text: str) -> Ids:
    """Token ids of a text of ours, without special tokens at its ends."""
    return np.array(tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids, dtype=np.int32)


def check_bare(tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    """Make sure that the tokenizer adds no special tokens to a text, since a prompt has all of its own.

    Raises:
        UserError: it does, so that the vendor's code would put them into the prompt.
    """
    if added := tokenizer.backend_tokenizer.encode("").tokens:
        raise UserError(
            f"model {name}: its tokenizer.json or tokenizer_config.json adds {', '.join(added)} to every text, as the "
            "tokenizer of the family's own models does not; give a checkpoint with their tokenizer"
        )


def check_seam(
    tokenizer: PreTrainedTokenizerBase, before: str, after: str, name: str, texts: Collection[str] = EDGES
) -> None:
    """Make sure that two neighbouring parts of a prompt can be tokenised apart, and so each once for many prompts.

    Args:
        tokenizer: of the checkpoint.
        before: the part before the seam, with `{}` where the user's text stands, or without.
        after: the part after it, likewise.
        name: of the checkpoint, for messages.
        texts: to try in the places of the user's.

    Raises:
        UserError: the tokenizer joins some texts over the seam.
    """
    for left in texts:
        for right in texts:
            parts = (before.replace("{}", left), after.replace("{}", right))
            if [*encode(tokenizer, "".join(parts))] != [token for part in parts for token in encode(tokenizer, part)]:
                raise UserError(
                    f"model {name}: its tokenizer reads {''.join(parts)!r} otherwise than its two parts, as the "
                    "tokenizer of the family's own models does not; give a checkpoint with their tokenizer"
                )
