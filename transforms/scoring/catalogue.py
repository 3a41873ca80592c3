"""The models as data. A new model of a known family is one entry here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transforms.errors import UserError
from transforms.scoring import cross_encoder
from transforms.scoring.checkpoint import Checkpoint


@dataclass(frozen=True)
class Model:
    """What is known of a model beyond its files.

    Attributes:
        name: hub id, or the short name of an embedded model.
        family: module and class that score with it; see `transforms.scoring.reranker.FAMILIES`.
        settings: the vendor's defaults.
        licence: SPDX identifier.
        parameters: in billions.
        revision: the hub commit to take where none is asked for; None for the main branch.
        signature: words that stand in config.json's `architectures` or `auto_map` of this model's files alone, by which
            a directory tells what it is; empty where it does not.
    """

    name: str
    family: str
    settings: Any
    licence: str
    parameters: float
    revision: str | None = None
    signature: str = ""


MODELS = (
    Model(
        name="small-cross-encoder",
        family="cross_encoder",
        settings=cross_encoder.Settings(),
        licence="Apache-2.0",
        parameters=0.019,
    ),
    Model(
        name="jinaai/jina-reranker-v2-base-multilingual",
        family="cross_encoder",
        settings=cross_encoder.Settings(long_documents="window", activation="sigmoid"),
        licence="CC-BY-NC-4.0",
        parameters=0.28,
        signature="configuration_xlm_roberta.XLMRobertaFlashConfig",
    ),
    Model(
        name="BAAI/bge-reranker-v2-m3",
        family="cross_encoder",
        settings=cross_encoder.Settings(max_length=512, truncation="only_document"),
        licence="Apache-2.0",
        parameters=0.57,
        revision="953dc6f6f85a1b2dbfca4c34a2796e7dde08d41e",
    ),
)

# A one-label classifier that no entry describes: its raw logit, cut as sentence-transformers' CrossEncoder cuts.
UNLISTED = Model("", "cross_encoder", cross_encoder.Settings(), licence="unknown", parameters=0)


def named(name: str) -> Model | None:
    """The entry of this name, if there is one."""
    return next((model for model in MODELS if model.name == name), None)


def recognise(checkpoint: Checkpoint, like: str | None = None) -> Model:
    """The entry to score a checkpoint by: the one named, else that of its name, else that of its config.json.

    Args:
        checkpoint: the model's files.
        like: name of an entry whose prompt, limits and score convention are to be used.

    Raises:
        UserError: no entry is called `like`.
    """
    if like is not None:
        model = named(like)
        if model is None:
            known = ", ".join(model.name for model in MODELS)
            raise UserError(f"--model_like {like}: not in the catalogue, which has {known}")
        return model
    signs = f"{checkpoint.config.get('architectures')} {checkpoint.config.get('auto_map')}"
    recognised = (model for model in MODELS if model.signature and model.signature in signs)
    return named(checkpoint.name) or next(recognised, UNLISTED)


def with_options(model: Model, options: Mapping[str, Any]) -> Any:
    """The model's settings with the user's own in place of the vendor's; options that are None are left out.

    Raises:
        UserError: an option does not apply to the model's family.
    """
    given = {name: value for name, value in options.items() if value is not None}
    known = {field.name for field in dataclasses.fields(model.settings)}
    foreign = [f"--{name}" for name in given if name not in known]
    if foreign:
        what = model.name or "this model"
        raise UserError(
            f"{', '.join(foreign)}: does not apply to {what}, a {model.family.replace('_', '-')}; leave it out"
        )
    return dataclasses.replace(model.settings, **given)
