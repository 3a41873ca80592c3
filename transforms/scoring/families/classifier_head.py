"""The part of a cross-encoder after its backbone: what turns the hidden states that are read into one logit a pair.

Two layouts: the head of a sequence classifier of transformers, and the modules that sentence-transformers puts after
pooling (Ettin's rerankers: Dense, LayerNorm, Dense). Either is small and stays in float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from transformers import (
    BertForSequenceClassification,
    ModernBertForSequenceClassification,
    PreTrainedModel,
    RobertaForSequenceClassification,
    XLMRobertaForSequenceClassification,
)

from transforms.base.errors import UserError
from transforms.scoring.families.sentence_transformers_config import Head
from transforms.scoring.weights.checkpoints import Checkpoint, read_json


class Classifier(NamedTuple):
    """A sequence classifier of transformers.

    Attributes:
        model: its class.
        head: the modules that are applied in turn to what is read, shape [N, 1, hidden size].
    """

    model: type[PreTrainedModel]
    head: tuple[str, ...]


CLASSIFIERS: Mapping[str, Classifier] = {  # by `model_type` in config.json
    "bert": Classifier(BertForSequenceClassification, ("bert.pooler", "classifier")),
    "roberta": Classifier(RobertaForSequenceClassification, ("classifier",)),
    "xlm-roberta": Classifier(XLMRobertaForSequenceClassification, ("classifier",)),
    "modernbert": Classifier(ModernBertForSequenceClassification, ("head", "classifier")),
}

# Of sentence-transformers' Dense: names of activations that stand in its config.json.
ACTIVATIONS: Mapping[str, type[torch.nn.Module]] = {
    f"torch.nn.modules.{module}.{kind.__name__}": kind
    for module, kind in (
        ("linear", torch.nn.Identity),
        ("activation", torch.nn.GELU),
        ("activation", torch.nn.ReLU),
        ("activation", torch.nn.SiLU),
        ("activation", torch.nn.Tanh),
    )
}
MOST_FEATURES = 1 << 16  # of a Dense, so that a damaged number of them takes no memory; models have some thousands
POOLED, SCORES = "sentence_embedding", "scores"  # what sentence-transformers calls a module's input and output


def modular(checkpoint: Checkpoint, head: Head, size: int) -> torch.nn.Sequential:
    """The head that is stored as modules of sentence-transformers, in float32.

    Args:
        checkpoint: the model's files.
        head: its modules.
        size: of the backbone's hidden states.

    Raises:
        UserError: it is of other modules, or its files do not fit together.
    """
    layers: list[torch.nn.Module] = []
    for place, (kind, folder) in enumerate(head.modules):
        described = read_json(checkpoint, str(Path(folder) / "config.json"))
        output = SCORES if place == len(head.modules) - 1 else POOLED
        if kind == "Dense":
            linear, activation = _dense(checkpoint, folder, described, size, output)
            layers += [linear, activation]
            size = linear.out_features
        elif kind == "LayerNorm" and output == POOLED:
            norm = torch.nn.LayerNorm(size)
            _fill(checkpoint, folder, norm, "norm.")
            layers.append(norm)
        else:
            raise _unlike(checkpoint, f"a head that ends in {kind}" if output == SCORES else f"the module {kind}")
    if size != 1 or head.pooling == "last":
        raise _unlike(checkpoint, f"{size} scores a pair, of the {head.pooling} hidden state")
    return torch.nn.Sequential(*layers).requires_grad_(False).eval()


def _dense(
    checkpoint: Checkpoint, folder: str, described: Mapping[str, Any], size: int, output: str
) -> tuple[torch.nn.Linear, torch.nn.Module]:
    source = described.get("module_input_name", POOLED)
    target = described.get("module_output_name") or source
    activation = described.get("activation_function", "torch.nn.modules.activation.Tanh")
    if (source, target) != (POOLED, output) or described.get("use_residual") or str(activation) not in ACTIVATIONS:
        raise _unlike(checkpoint, f"{folder}/config.json with {dict(described)}")
    made_size = described.get("out_features")
    if described.get("in_features") != size or type(made_size) is not int or not 1 <= made_size <= MOST_FEATURES:
        raise UserError(
            f"model {checkpoint.name}: {folder}/config.json takes {described.get('in_features')!r} features where "
            f"{size} are given, and makes {made_size!r} (out_features); the files do not belong together"
        )
    linear = torch.nn.Linear(size, made_size, bias=bool(described.get("bias", True)))
    _fill(checkpoint, folder, linear, "linear.")
    return linear, ACTIVATIONS[str(activation)]()


def _fill(checkpoint: Checkpoint, folder: str, module: torch.nn.Module, prefix: str) -> None:
    """Put the weights of a folder's model.safetensors into a module."""
    path = checkpoint.directory / folder / "model.safetensors"
    try:
        tensors = load_file(path)
        module.load_state_dict({key.removeprefix(prefix): tensor.float() for key, tensor in tensors.items()})
    except Exception as error:  # missing, damaged, or weights of other names or shapes
        raise UserError(
            f"model {checkpoint.name}: {folder}/model.safetensors does not hold the weights that its config.json "
            "describes; fetch it again"
        ) from error


def _unlike(checkpoint: Checkpoint, requirement: str) -> UserError:
    return UserError(
        f"model {checkpoint.name}: its files ask for {requirement}; what can be done here is Dense and LayerNorm one "
        "after the other, the last a Dense with one score"
    )
