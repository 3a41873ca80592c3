"""What names and options alone say of a model, before the code that scores with it, which takes seconds to import."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from transforms.base.errors import UserError
from transforms.base.request import refusals
from transforms.scoring import catalogue
from transforms.scoring.choices import check_device, is_address
from transforms.scoring.hosted import endpoint
from transforms.scoring.hosted.endpoint import EndpointSpecification
from transforms.scoring.model import Model
from transforms.scoring.places import directory_of
from transforms.scoring.weights.directory import read_config


def complaints(
    name: str | None,
    *,
    revision: str | None,
    like: str | None,
    run: Mapping[str, Any],
    options: Mapping[str, Any],
    order: str = "best_first",
) -> Iterator[str]:
    """What is wrong with a name that can be no model's, its directory, and options that do not apply; a part of a line
    each. Of a model on the hub nothing else is known without its files.

    Args:
        name: as `reranker.specify` takes it; None where it is missing.
        revision: on the hub.
        like: name of the entry of the catalogue that it is to be treated as.
        run: how it is to run, by option, as far as that is settled.
        options: fields of its settings; None values stand for the vendor's default.
        order: of candidates.
    """
    model: Model | None = None
    if name is not None and is_address(name):
        model, options = endpoint.MODEL, {"revision": revision, "model_like": like, **run, **options}
        yield from refusals(
            lambda: endpoint.check_place(name),
            lambda: endpoint.check_settings(catalogue.with_options(endpoint.MODEL, options)),
        )
    else:
        yield from refusals(lambda: check_device(run.get("device", "auto")))
        if name is not None:
            yield from refusals(partial(check_directory, name, revision))
        try:
            model = catalogue.entry(name or "", like)
        except UserError as unlisted:
            yield str(unlisted)
        if model is not None:
            yield from refusals(partial(catalogue.with_options, model, options))
    if model is not None:
        yield from refusals(partial(check_order_applies, order, name or model.name, model))


def check_directory(name: str, revision: str | None) -> None:
    """Refuse a model's name that names a directory of this machine without a model in it.

    Args:
        name: as `reranker.specify` takes it.
        revision: on the hub.

    Raises:
        UserError: see `places.directory_of` and `weights.directory.read_config`.
    """
    if (directory := directory_of(name, revision)) is not None:
        read_config(name, directory)


def check_order_applies(order: str, name: str, model: Model) -> None:
    """Refuse an order of candidates for a model that reads each alone.

    Raises:
        UserError: it does.
    """
    if order != "best_first" and not model.reads_lists:
        raise UserError(f"--candidate_order {order}: {name} scores each document alone; leave it out")


def endpoint_of(url: str, options: Mapping[str, Any]) -> EndpointSpecification:
    """The rerank API at an address; nothing is sent.

    Raises:
        UserError: the address is none, or an option does not apply or does not fit.
    """
    return endpoint.specify(url, catalogue.with_options(endpoint.MODEL, options))


def check_encoder(name: str, like: str | None) -> None:
    """Refuse a model of the catalogue that gives no embeddings.

    Raises:
        UserError: it gives none.
    """
    model = catalogue.entry(name, like)
    if is_address(name) or (model is not None and not model.embeds):
        raise UserError(f"--retriever dense:{name}: it gives no embeddings of texts; give a sentence encoder")
