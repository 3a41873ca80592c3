"""The last layer of a model, computed only where it is read.

A head reads few of a sequence's tokens: the first, the last, or the ends of documents. The last layer's attention needs
keys and values of all of them; what comes after it is computed for the tokens that are read alone. Each class takes the
place of one of transformers' own layers, and uses that layer's modules.
"""

from __future__ import annotations

from typing import Any

import torch

from transforms.scoring.packed.packing import Packed


class LastPostNorm(torch.nn.Module):
    """Takes the place of a layer of BERT's kind: the norm after attention, and after the feed-forward part."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(
        self, hidden: torch.Tensor, mask: torch.Tensor | None = None, *_: Any, packed: Packed, **further: Any
    ) -> torch.Tensor:
        """Hidden states of all tokens, shape [1, T, hidden size], to those at the reads, shape [1, R, hidden size]."""
        attended, _weights = self.layer.attention.self(hidden, mask, packed=packed, **further)
        attended = self.layer.attention.output(attended[:, packed.reads], hidden[:, packed.reads])
        result: torch.Tensor = self.layer.feed_forward_chunk(attended)
        return result


class LastPreNorm(torch.nn.Module):
    """Takes the place of a layer of Qwen's kind: the norm before attention, and before the feed-forward part."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer
        self.project = layer.self_attn.o_proj
        layer.self_attn.o_proj = torch.nn.Identity()

    def forward(self, hidden: torch.Tensor, *_: Any, packed: Packed, **further: Any) -> torch.Tensor:
        """Hidden states of all tokens, shape [1, T, hidden size], to those at the reads, shape [1, R, hidden size]."""
        attended = self.layer.self_attn(hidden_states=self.layer.input_layernorm(hidden), packed=packed, **further)[0]
        hidden = hidden[:, packed.reads] + self.project(attended[:, packed.reads])
        result: torch.Tensor = hidden + self.layer.mlp(self.layer.post_attention_layernorm(hidden))
        return result
