"""Embeddings of texts, for a dense first stage.

encoder = Encoder.load("jinaai/jina-code-embeddings-0.5b", task="nl2code")
queries = encoder.embed(["sort a list"], "query")
documents = encoder.embed(["sorted(items)", "print(items)"], "document")
scores = queries @ documents.T
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np

from transforms.base.errors import UserError
from transforms.base.words import kind_of
from transforms.scoring.ahead import one_ahead
from transforms.scoring.choices import is_address
from transforms.scoring.families import embedding
from transforms.scoring.families.embedding import SIDES, Inputs, Side
from transforms.scoring.families.tokenise import Tokens
from transforms.scoring.packed import execution, run_batches
from transforms.scoring.packed.run_batches import Rows
from transforms.scoring.reranker import Specification, specify_model
from transforms.scoring.scorer import ScorerSpecification

CHUNK_TEXTS = 4096  # tokenised and planned together


def embeds(specification: ScorerSpecification) -> TypeGuard[Specification]:
    """Whether it is of a model that an Encoder can be loaded from."""
    return specification.model.embeds


class Encoder:
    """A loaded model that embeds texts."""

    def __init__(self, specification: Specification) -> None:
        """Load the weights.

        Raises:
            UserError: the model is not a sentence encoder, or its files do not fit together.
        """
        if not embeds(specification):
            family = specification.model.family.replace("_", "-")
            raise UserError(f"model {specification.checkpoint.name}: a {family}, which gives no embeddings of texts")
        self.specification = specification
        placement = specification.execution.begin()
        self._device = placement.device
        self._embedder = embedding.load(specification.checkpoint, specification.settings, placement)

    @classmethod
    def load(cls, name: str | os.PathLike[str], *, like: str | None = None, **choices: Any) -> Encoder:
        """Find and load a model: `reranker.specify`, with the family's settings as keywords."""
        name = os.fspath(name)
        if is_address(name):
            raise UserError(f"{name}: an endpoint gives no embeddings; give a model")
        run = {key: choices.pop(key) for key in ("device", "dtype", "batch_tokens", "threads") if key in choices}
        revision = choices.pop("revision", None)
        return cls(specify_model(name, execution.resolve(**run), revision=revision, like=like, options=choices))

    def embed(self, texts: Sequence[str], side: Side) -> Rows:
        """Embeddings of the texts, as those of queries or as those of documents; each distinct text is computed once.

        Returns:
            Shape [texts, size]; a row is NaN where the text could not be tokenised or did not fit into memory.

        Raises:
            UserError: the texts are not a list of texts, or there is no such side.
        """
        if isinstance(texts, (str, Mapping)) or not isinstance(texts, Sequence):
            raise UserError(f"texts: {kind_of(texts)}; give a list of texts, also for one text")
        if side not in SIDES:
            raise UserError(f"side: {side!r}; give {' or '.join(SIDES)}")
        if wrong := [place for place, text in enumerate(texts) if not isinstance(text, str)]:
            raise UserError(f"texts[{wrong[0]}]: {kind_of(texts[wrong[0]])} in it; give a text")
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        distinct = list(places)
        embedded = np.full((len(distinct), self.specification.settings.size), np.nan, dtype=np.float32)
        start = 0
        for texts_read, inputs in self._tokenised(distinct, side):
            outputs = run_batches.run(
                inputs.sequences,
                self._embedder.forward,
                budget=self.specification.execution.batch_tokens,
                device=self._device,
                counts=Counter(),
            )
            embedded[start + inputs.texts] = outputs.rows
            start += texts_read
        return embedded[[places[text] for text in texts]]

    def _tokenised(self, texts: Sequence[str], side: Side) -> Iterator[tuple[int, Inputs]]:
        """The model's inputs for so many texts at a time; while those are embedded the next ones are tokenised."""

        def tokenise(chunk: Sequence[str]) -> tuple[int, Inputs]:
            tokens = Tokens(self._embedder.tokenizer)
            numbers = tokens.numbers(chunk, self._embedder.forms[side])
            return len(chunk), self._embedder.inputs(tokens, numbers, np.full(len(chunk), SIDES.index(side)))

        starts = range(0, len(texts), CHUNK_TEXTS)
        return one_ahead(tokenise, (texts[start : start + CHUNK_TEXTS] for start in starts))
