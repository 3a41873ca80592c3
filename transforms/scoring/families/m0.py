"""jina-reranker-m0's text side: Qwen2-VL's language model with a two-layer head on the hidden state of a score token.

Source of the prompt, the cuts and the constants: the checkpoint's own modeling.py, `compute_score`. Its vision tower is
not loaded.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import linear
from transformers import PreTrainedTokenizerBase

from transforms.base.errors import UserError
from transforms.scoring.families.causal import CausalReranker, Readings, check_bare, check_seam
from transforms.scoring.families.pairs import Pairs, documents_of, read_pairs
from transforms.scoring.families.tokenise import Form, Tokens
from transforms.scoring.packed.execution import Placement
from transforms.scoring.packed.ragged import ragged
from transforms.scoring.results import RankingTask
from transforms.scoring.settings import M0Settings
from transforms.scoring.weights import backbones, checkpoints, requirements
from transforms.scoring.weights.checkpoints import Checkpoint, Tensors

KINDS = ("qwen2_vl",)
DOCUMENT = "**Document**:\n{}\n"
DOCUMENT_FORM = Form(*DOCUMENT.split("{}"))
QUERY = "**Query**:\n{}"
SCORE_TOKEN = ragged([[100]])  # a token of the vocabulary that the vendor appends to every prompt
LOGIT_BIAS = 2.65  # taken from the logit before the sigmoid
SHORTEST = 16


class Reader:
    """Tasks to prompts; the two parts of a prompt are tokenised apart, each once for all prompts that it stands in."""

    def __init__(self, settings: M0Settings, tokenizer: PreTrainedTokenizerBase) -> None:
        self._settings = settings
        self._tokenizer = tokenizer

    def __call__(self, tasks: Sequence[RankingTask], tokens: Tokens) -> Readings:
        """See `causal.Read`."""
        queries, documents = [QUERY.format(task.query) for task in tasks], documents_of(tasks)
        pairs = read_pairs(tasks, queries, documents, tokens, DOCUMENT_FORM)
        lost: Sequence[int] = (0,) * pairs.total
        if cuts := self._cuts(documents, pairs, tokens):
            shorter, lost = zip(*(cuts.get(text, (text, 0)) for text in documents), strict=True)
            pairs = read_pairs(tasks, queries, shorter, tokens, DOCUMENT_FORM)
        query, document = pairs.query.sizes, pairs.document.sizes
        room = self._settings.max_length - len(SCORE_TOKEN.data)
        shown = np.minimum(document, room)
        query_read = np.minimum(query, room - shown)
        ids = tokens.join(pairs.document.cut(0, shown), pairs.query.cut(0, query_read), SCORE_TOKEN)
        truncated = np.array(lost)[pairs.pairs] + document - shown
        return Readings(ids, pairs, truncated, query - query_read, np.zeros(len(ids), dtype=np.int64))

    def _cuts(self, documents: Sequence[str], pairs: Pairs, tokens: Tokens) -> dict[str, tuple[str, int]]:
        """Of documents that are too long: what is read of each, and how many tokens it lost.

        As the vendor does, a document that reaches the limit is decoded from its first tokens and encoded again.
        """
        limit = self._settings.document_limit
        # A part of a prompt has more tokens than its document alone, which is tokenised only where it may be too long.
        long = pairs.pairs[pairs.document.sizes >= limit].tolist()
        suspects = list(dict.fromkeys(documents[pair] for pair in long))
        ids = tokens.read(suspects).ids
        return {
            suspects[place]: (str(self._tokenizer.decode(ids[place][:limit])), int(ids.sizes[place]) - limit)
            for place in np.flatnonzero(ids.sizes >= limit).tolist()
        }


def resolve(checkpoint: Checkpoint, settings: M0Settings) -> M0Settings:
    """Check that the lengths and the files fit together.

    Raises:
        UserError: they do not, or the checkpoint is none of jina-reranker-m0.
    """
    outline = checkpoints.outline(checkpoint)
    config = backbones.check(checkpoint, KINDS, outline)
    requirements.check(checkpoint, "prompt")
    _head(checkpoint, outline, config.hidden_size)
    longest = backbones.positions(config)
    if not SHORTEST <= settings.max_length <= longest:
        raise UserError(f"--max_length {settings.max_length}: {checkpoint.name} takes {SHORTEST} to {longest} tokens")
    document, query = settings.document_limit, settings.max_query_length
    if document < 1 or query < 1 or document + query > settings.max_length:
        raise UserError(
            f"--max_doc_length {document} and --max_query_length {query}: give positive lengths that "
            f"--max_length {settings.max_length} holds together"
        )
    return settings


def load(checkpoint: Checkpoint, settings: M0Settings, placement: Placement) -> CausalReranker:
    """Load the language model and the head, the latter in float32; see `checkpoints.build` for the errors."""
    tensors = checkpoints.read_tensors(checkpoint, lambda key: not key.startswith(("visual.", "lm_head.")))
    tokenizer = checkpoints.load_tokenizer(checkpoint)
    check_bare(tokenizer, checkpoint.name)
    check_seam(tokenizer, DOCUMENT, QUERY, name=checkpoint.name)
    backbone = backbones.load(checkpoint, KINDS, tensors, placement)
    first, first_bias, second, second_bias = (
        tensor.float().to(placement.device) for tensor in _head(checkpoint, tensors, backbone.size)
    )

    def score(hidden: torch.Tensor) -> torch.Tensor:
        return (linear(linear(hidden, first, first_bias).relu(), second, second_bias) - LOGIT_BIAS).sigmoid()

    return CausalReranker(tokenizer, Reader(settings, tokenizer), backbone, score)


def _head(checkpoint: Checkpoint, tensors: Tensors, size: int) -> list[torch.Tensor]:
    """Weight and bias of the head's first layer, then of its second, for hidden states of this size."""
    shapes = {
        "score.0.weight": (size, size),
        "score.0.bias": (size,),
        "score.2.weight": (1, size),
        "score.2.bias": (1,),
    }
    for key, shape in shapes.items():
        if key not in tensors or tensors[key].shape != shape:
            raise UserError(
                f"model {checkpoint.name}: the weights lack {key} of shape {list(shape)}; give jina-reranker-m0, or a "
                "model trained from it"
            )
    return [tensors[key] for key in shapes]
