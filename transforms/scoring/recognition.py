"""Which entry of the catalogue a checkpoint is scored by."""

from __future__ import annotations

from transforms.base.errors import UserError
from transforms.scoring.catalogue import MODELS, UNLISTED, UNLISTED_ENCODER, entry
from transforms.scoring.families import sentence_transformers_config
from transforms.scoring.families.classifier_head import CLASSIFIERS
from transforms.scoring.model import Model
from transforms.scoring.weights import backbones
from transforms.scoring.weights.checkpoints import Checkpoint


def recognise(checkpoint: Checkpoint, like: str | None = None) -> Model:
    """The entry to score a checkpoint by: the one named, else that of its name, else that of its config.json.

    Args:
        checkpoint: the model's files.
        like: name of an entry whose prompt, limits and score convention are to be used.

    Raises:
        UserError: no entry is called `like`, or config.json does not say enough.
    """
    if (model := entry(checkpoint.name, like)) is not None:
        return model
    signs = " ".join(str(checkpoint.config.get(key)) for key in ("architectures", "auto_map", "layer_types"))
    recognised = (model for model in MODELS if model.signature and all(words in signs for words in model.signature))
    if (model := next(recognised, None)) is not None:
        return model
    if sentence_transformers_config.describes_encoder(checkpoint):
        return UNLISTED_ENCODER
    kind = str(checkpoint.config.get("model_type"))
    if kind in backbones.ARCHITECTURES and kind not in CLASSIFIERS:
        likely = ", ".join(model.name for model in MODELS if model.family not in ("cross_encoder", "listwise"))
        raise UserError(
            f"model {checkpoint.name}: config.json, which says model_type {kind!r}, does not say which model this is; "
            f"say it with --model_like: {likely}, say"
        )
    return UNLISTED
