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

    # What transformers calls the parts of the layer: attention and the projection in it, the norm before each part.
    attention, projection = "self_attn", "o_proj"
    first_norm, second_norm = "input_layernorm", "post_attention_layernorm"

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer
        self.attention_type = getattr(layer, "attention_type", None)  # by which transformers' model gives it its angles
        attention = getattr(layer, self.attention)
        self.project = getattr(attention, self.projection)
        setattr(attention, self.projection, torch.nn.Identity())

    def forward(self, hidden: torch.Tensor, *_: Any, packed: Packed, **further: Any) -> torch.Tensor:
        """Hidden states of all tokens, shape [1, T, hidden size], to those at the reads, shape [1, R, hidden size]."""
        attention, first_norm, second_norm = (
            getattr(self.layer, name) for name in (self.attention, self.first_norm, self.second_norm)
        )
        attended = attention(hidden_states=first_norm(hidden), packed=packed, **further)[0]
        hidden = hidden[:, packed.reads] + self.project(attended[:, packed.reads])
        result: torch.Tensor = hidden + self.layer.mlp(second_norm(hidden))
        return result


class LastModernBert(LastPreNorm):
    """The same for ModernBERT."""

    attention, projection = "attn", "Wo"
    first_norm, second_norm = "attn_norm", "mlp_norm"
