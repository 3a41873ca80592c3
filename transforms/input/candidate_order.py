"""The order in which a listwise model reads a query's candidates: its score of one depends on those read before."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from transforms.base.errors import UserError

ORDER = re.compile("given|best_first|worst_first|random:[0-9]+")


def check_order(order: str) -> str:
    """The order itself.

    Raises:
        UserError: there is none of that name.
    """
    if not ORDER.fullmatch(order):
        raise UserError(f"--candidate_order {order}: give given, best_first, worst_first or random:SEED, SEED a number")
    return order


def candidate_order(order: str, query_id: str, doc_ids: Sequence[str], given_positions: ArrayLike) -> NDArray[np.int64]:
    """Which candidate is read first, second and so on, as indices into `doc_ids`.

    A random order follows from the seed and the ids alone, so that it is the same on every machine, in every shard and
    for every order of the input.

    Args:
        order: "given" (the list's own), "best_first" (the first stage's), "worst_first" (its reverse) or "random:SEED".
        query_id: whose candidates they are.
        doc_ids: the candidates, distinct, in the first stage's order.
        given_positions: place of each in the input's list, shape [candidates].
    """
    kind, _, seed = order.partition(":")
    if kind == "given":
        return np.argsort(given_positions, kind="stable")
    if kind == "random":
        digests = [_digest(seed, query_id, doc_id) for doc_id in doc_ids]
        return np.array(sorted(range(len(digests)), key=digests.__getitem__), dtype=np.int64)
    best_first = np.arange(len(doc_ids))
    return best_first if kind == "best_first" else best_first[::-1]


def _digest(*parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).digest()
