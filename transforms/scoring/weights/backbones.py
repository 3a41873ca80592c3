"""Transformers' own models without a head: packed tokens in, the last layer's hidden states where they are read out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from transformers import (
    BertConfig,
    BertModel,
    JinaEmbeddingsV3Model,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen2Model,
    Qwen2VLConfig,
    Qwen2VLTextModel,
    Qwen3Config,
    Qwen3Model,
    RobertaConfig,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from transforms.base.errors import UserError, one_line
from transforms.scoring.packed.execution import Placement
from transforms.scoring.packed.packing import Packed
from transforms.scoring.weights import checkpoints, cpu_layers, gpu_layers, requirements, vendor_layouts
from transforms.scoring.weights.checkpoints import Checkpoint, Tensors
from transforms.scoring.weights.last_layer import LastModernBert, LastPostNorm, LastPreNorm


def without_pooler(model_class: type[PreTrainedModel]) -> type[PreTrainedModel]:
    """The model class with its pooler left out, which many checkpoints of encoders do not have."""

    class Headless(model_class):  # type: ignore[misc, valid-type]
        def __init__(self, config: PreTrainedConfig) -> None:
            super().__init__(config, add_pooling_layer=False)

    return Headless


class Architecture(NamedTuple):
    """How a checkpoint of one `model_type` becomes a model.

    Attributes:
        config: contents of config.json to the model's sizes.
        model: transformers' class, without a head.
        prefixes: what may stand before the weights' names on disk, where they were saved under a head.
        roberta_positions: whether places are counted as RoBERTa does, see `roberta_positions`; else from 0.
        layers: where the model keeps its layers.
        last: what takes the last layer's place to compute it only where it is read; None where there is no such thing.
    """

    config: Callable[[dict[str, Any]], PreTrainedConfig]
    model: type[PreTrainedModel]
    prefixes: tuple[str, ...]
    roberta_positions: bool = False
    layers: str = "encoder.layer"
    last: type[torch.nn.Module] | None = LastPostNorm


def _language_part(described: dict[str, Any]) -> PreTrainedConfig:
    text: PreTrainedConfig = Qwen2VLConfig.from_dict(described).get_text_config()
    return text


ARCHITECTURES: Mapping[str, Architecture] = {
    "bert": Architecture(BertConfig.from_dict, without_pooler(BertModel), ("bert.",)),
    "roberta": Architecture(RobertaConfig.from_dict, without_pooler(RobertaModel), ("roberta.",), True),
    "xlm-roberta": Architecture(XLMRobertaConfig.from_dict, without_pooler(XLMRobertaModel), ("roberta.",), True),
    "jina_embeddings_v3": Architecture(
        vendor_layouts.embeddings_v3_config, without_pooler(JinaEmbeddingsV3Model), ("roberta.",), last=None
    ),
    "modernbert": Architecture(
        ModernBertConfig.from_dict, ModernBertModel, ("model.",), layers="layers", last=LastModernBert
    ),
    "qwen2": Architecture(Qwen2Config.from_dict, Qwen2Model, ("model.",), layers="layers", last=LastPreNorm),
    "qwen3": Architecture(Qwen3Config.from_dict, Qwen3Model, ("model.",), layers="layers", last=LastPreNorm),
    "qwen2_vl": Architecture(_language_part, Qwen2VLTextModel, ("model.",), layers="layers", last=LastPreNorm),
}

# Numbers in config.json that transformers makes lists of that length of, even before it looks at the weights.
LISTED = ("num_hidden_layers", "num_labels")
MOST_LISTED = 1 << 10  # the deepest models have some hundred layers
CAUSAL = ("qwen2", "qwen3", "qwen2_vl")  # the kinds of language models


def kind_of(checkpoint: Checkpoint) -> str:
    """The key in ARCHITECTURES: what config.json says, unless that is misleading; a model of another kind has none."""
    return str(vendor_layouts.kind_of(checkpoint.config) or checkpoint.config.get("model_type") or None)


def described(checkpoint: Checkpoint, kinds: Iterable[str]) -> PreTrainedConfig:
    """The sizes of a checkpoint's model.

    Args:
        checkpoint: the model's files.
        kinds: the values of `model_type` that the family scores with.

    Raises:
        UserError: the model is of another kind, its config.json cannot be understood, its tokenizer has more tokens
            than it, or its files ask for what is not supported, see `requirements`.
    """
    kind = kind_of(checkpoint)
    if kind not in kinds:
        raise UserError(
            f"model {checkpoint.name}: config.json says model_type {kind!r}, but {' or '.join(kinds)} is needed here; "
            "check --model and --model_like"
        )
    contents = {key: value for key, value in checkpoint.config.items() if key != "auto_map"}
    for key in LISTED:
        for said in (contents, contents.get("text_config")):
            if isinstance(said, dict) and isinstance(said.get(key), int) and said[key] > MOST_LISTED:
                raise UserError(
                    f"model {checkpoint.name}: config.json says {key} {said[key]}; at most {MOST_LISTED} make sense"
                )
    try:
        config = ARCHITECTURES[kind].config(contents)
    except Exception as error:  # each field is checked in its own way
        raise UserError(f"model {checkpoint.name}: config.json cannot be understood: {one_line(error)}") from error
    for key in ("num_hidden_layers", "num_attention_heads"):
        number = getattr(config, key)
        if not isinstance(number, int) or number < 1:
            raise UserError(f"model {checkpoint.name}: config.json says {key} {number!r}; at least 1 is needed")
    if ARCHITECTURES[kind].roberta_positions and not isinstance(config.pad_token_id, int):
        raise UserError(
            f"model {checkpoint.name}: config.json says pad_token_id {config.pad_token_id!r}; places are counted from "
            "that number on, so one is needed; fetch it again"
        )
    if checkpoint.tokens > config.vocab_size:
        raise UserError(
            f"model {checkpoint.name}: tokenizer.json has token ids up to {checkpoint.tokens - 1}, but "
            f"config.json says vocab_size {config.vocab_size}; the files do not belong together"
        )
    requirements.check(checkpoint, *(() if kind in CAUSAL else ("two-sided backbone",)))
    if kind == "qwen2_vl":
        _check_sections(checkpoint.name, config)
    if has_windows(config) and not (isinstance(window := getattr(config, "sliding_window", None), int) and window > 0):
        raise UserError(
            f"model {checkpoint.name}: config.json has layers with sliding_attention, but no sliding_window above 0; "
            "fetch it again"
        )
    if kind in CAUSAL and has_windows(config) and getattr(config, "is_causal", None) is False:
        raise UserError(
            f"model {checkpoint.name}: config.json says is_causal False, and sliding_attention in layer_types; windows "
            "on both sides are not supported in a language model; give another checkpoint"
        )
    config.use_cache = False
    config.return_dict = True
    config.output_hidden_states = False  # they would be kept for nothing
    return config


def _check_sections(name: str, config: PreTrainedConfig) -> None:
    """Make sure that the rotary angles of time, height and width are those of a head."""
    sections = (config.rope_parameters or {}).get("mrope_section")
    angles = config.hidden_size // config.num_attention_heads // 2
    whole = [one for one in sections if type(one) is int and one >= 0] if isinstance(sections, list) else []
    if whole != sections or sum(whole) != angles:
        raise UserError(
            f"model {name}: config.json says mrope_section {sections!r}; whole numbers are needed that make {angles} "
            "together, half of a head's size; fetch it again"
        )


def has_windows(config: PreTrainedConfig) -> bool:
    """Whether in some of a model's layers a token sees only a window around its place."""
    return "sliding_attention" in (getattr(config, "layer_types", None) or ())


def head_size(checkpoint: Checkpoint) -> int:
    """Numbers in an attention head of a checkpoint's model; errors as of `described`."""
    config = described(checkpoint, ARCHITECTURES)
    size: int = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return size


def _renamed(architecture: Architecture, tensors: Tensors) -> Tensors:
    """The tensors under the names that the model has for them without a head."""
    named = dict(tensors)
    for prefix in architecture.prefixes:
        named |= {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
    return named


def check(checkpoint: Checkpoint, kinds: Sequence[str], outline: Tensors) -> PreTrainedConfig:
    """The sizes of a checkpoint's model, after a look at whether its files fit together.

    Args:
        checkpoint: the model's files.
        kinds: the values of `model_type` that the family scores with.
        outline: names and shapes of its weights.

    Raises:
        UserError: they do not; or see `described`.
    """
    config = described(checkpoint, kinds)
    architecture = ARCHITECTURES[kind_of(checkpoint)]
    checkpoints.fitting(architecture.model, config, _renamed(architecture, outline), name=checkpoint.name)
    return config


def positions(config: PreTrainedConfig) -> int:
    """Tokens of the longest sequence that a model of these sizes takes."""
    counts_padding = config.model_type in ("roberta", "xlm-roberta")  # whose first rows of positions belong to it
    return int(config.max_position_embeddings) - (config.pad_token_id + 1 if counts_padding else 0)


class Backbone:
    """A model without a head.

    Attributes:
        size: of its hidden states.
        causal: of a language model, whether a token sees only earlier ones.
    """

    def __init__(self, model: Any, kind: str, *, mean: bool = False, fills_heads: bool = True) -> None:
        """Make the model ready.

        Args:
            model: of transformers' class for the kind; it is changed.
            kind: a key in ARCHITECTURES.
            mean: to give the mean of each sequence's hidden states instead of those that are read.
            fills_heads: to give the reads that fill up a pass too.
        """
        architecture = ARCHITECTURES[kind]
        self.model = model
        self._padding = model.config.pad_token_id if architecture.roberta_positions else None
        self._typed = getattr(model.config, "type_vocab_size", 1) > 1
        self._mean = mean
        self._fills_heads = fills_heads
        self._select = not mean and architecture.last is None
        if not mean and architecture.last is not None:
            layers = model.get_submodule(architecture.layers)
            layers[-1] = architecture.last(layers[-1])
        weight = next(model.parameters())
        if cpu_layers.usable(weight.device, weight.dtype):
            cpu_layers.replace(model)
        elif gpu_layers.usable(weight.device, weight.dtype):
            gpu_layers.replace(model)
        self.size = int(model.config.hidden_size)
        self.causal = getattr(model.config, "is_causal", None) is not False

    def __call__(self, packed: Packed) -> torch.Tensor:
        """Hidden states of the last layer.

        Returns:
            At the reads, in the model's dtype, shape [R, hidden size]; or the means of sequences without common
            prefixes that are each read once, float32, the same shape.
        """
        positions = packed.places() if self._padding is None else roberta_positions(packed, self._padding)
        types = {"token_type_ids": packed.types[None]} if self._typed else {}
        hidden: torch.Tensor = self.model(
            input_ids=packed.ids[None], position_ids=positions[None], packed=packed, **types
        ).last_hidden_state[0]
        if self._mean:
            hidden = means(hidden, packed)
        elif self._select:
            hidden = hidden[packed.reads]
        return hidden if self._fills_heads else hidden[: len(packed.reads) - packed.unread]


def means(hidden: torch.Tensor, packed: Packed) -> torch.Tensor:
    """Mean of each sequence's tokens, [T, hidden size] to float32 of shape [R, hidden size]; 0 where none is read."""
    end = len(hidden) - packed.padding
    rows = torch.cat(
        [
            hidden[run.start : run.start + run.sequences * run.length]
            .view(run.sequences, run.length, -1)
            .float()
            .mean(1)
            for run in packed.runs
            if run.start < end  # the others fill up the batch
        ]
    )
    return torch.nn.functional.pad(rows, (0, 0, 0, packed.unread))


def roberta_positions(packed: Packed, padding: int) -> torch.Tensor:
    """RoBERTa's places of the tokens: from padding + 1, where tokens that equal the padding token are skipped.

    Source: transformers' `create_position_ids_from_input_ids`, here for packed sequences. Returns int64, shape [T].
    """
    counted = (packed.ids != padding).long()
    before = torch.cumsum(counted, 0)
    starts = packed.offsets[:-1].long()
    # Pass the output size to avoid a device sync.
    base = (before - counted)[starts].repeat_interleave(packed.offsets.diff(), output_size=len(counted))
    return (before - base) * counted + padding


def load(
    checkpoint: Checkpoint, kinds: Sequence[str], tensors: Tensors, placement: Placement, *, mean: bool = False
) -> Backbone:
    """Build a checkpoint's model without its head from its weights, others among them ignored; errors as of `check`."""
    config, kind = described(checkpoint, kinds), kind_of(checkpoint)
    architecture = ARCHITECTURES[kind]
    named = _renamed(architecture, tensors)
    model = checkpoints.build(architecture.model, config, named, placement, name=checkpoint.name)
    return Backbone(model, kind, mean=mean, fills_heads=placement.fills_heads)
