"""Check a model's weights, and this program with them, against the scores that the vendor has published.

Exit code 0: they agree; 1: they do not; 2: the weights are not available, or no scores of the model are published.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eval.commands.requests import VerifyRequest
from eval.published.verification import Published
from eval.ranking.summary import align
from transforms.base.errors import UserError
from transforms.scoring import Reranker, catalogue
from transforms.scoring.recognition import recognise
from transforms.scoring.weights import checkpoints

SHOWN = 50  # characters of a document


def run(request: VerifyRequest) -> int:
    """Scores what is published of the model; returns the exit code.

    Raises:
        UserError: nothing is published, or an option does not fit.
    """
    own = None if Path(request.model).is_dir() else catalogue.named(request.model)
    revision = request.revision or (own.revision if own else None)
    try:
        weights = checkpoints.locate(request.model, revision)
    except UserError as problem:
        raise UserError(f"weights not available: {problem}") from None
    agree = True
    for published in request.published(recognise(weights, request.model_like).name):
        reranker = Reranker.load(
            request.model,
            revision=revision,
            like=request.model_like,
            device=request.device,
            dtype=request.dtype,
            **published.options,
        )
        scores = [reranker.score(query, [document])[0] for query, document, _ in published.pairs]
        lines, agrees = compare(published, scores)
        print("\n".join(lines))
        print(f"{'pass' if agrees else 'FAIL'}: {request.model} against {published.source}")
        agree = agree and agrees
    return 0 if agree else 1


def compare(published: Published, scores: Sequence[float]) -> tuple[list[str], bool]:
    """A table of what was published and what came out, and whether that agrees; NaN never does."""
    rows = [["document", "published", "here", "difference"]]
    for (_, document, expected), score in zip(published.pairs, scores, strict=True):
        shown = document if len(document) <= SHOWN else document[: SHOWN - 3] + "..."
        rows.append([shown, f"{expected:.5f}", f"{score:.5f}", f"{score - expected:+.5f}"])
    agrees = all(
        abs(score - expected) <= published.tolerance
        for (_, _, expected), score in zip(published.pairs, scores, strict=True)
    )
    return [*align(rows), f"A difference of {published.tolerance:g} is tolerated."], agrees
