"""Whether two systems differ by more than chance, from their values query by query. Pure: knows nothing of runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 9_999
SEED = 0
CONFIDENCE = 0.95
# Differences are counted in such units: their sums are then exact, whatever the order of summation, and queries on
# which the systems differ by rounding alone are ties.
UNIT = 1e-9
_BATCH_VALUES = 1 << 20


class Difference(NamedTuple):
    """How a system differs from the baseline over the same queries.

    Attributes:
        mean: of the differences, the system's value less the baseline's.
        low, high: 95 % confidence interval of that mean, by Student's t; None where the differences do not vary.
        p_permutation: of the paired permutation test, two-sided.
        p_t: of the paired t test, two-sided; None where the differences do not vary.
        wins, ties, losses: queries by the sign of their difference.
    """

    mean: float
    low: float | None
    high: float | None
    p_permutation: float
    p_t: float | None
    wins: int
    ties: int
    losses: int


def compare(baseline: Sequence[float], system: Sequence[float]) -> Difference:
    """Compares two systems by their values for the same queries, in the same order, at least one."""
    from scipy.stats import ttest_rel  # takes seconds

    before, after = np.array(baseline, np.float64), np.array(system, np.float64)
    units = np.rint((after - before) / UNIT)
    low = high = p_t = None
    if units.min() < units.max():
        tested = ttest_rel(after, before)
        p_t = float(tested.pvalue)
        low, high = map(float, tested.confidence_interval(CONFIDENCE))
    signs = [int((np.sign(units) == sign).sum()) for sign in (1, 0, -1)]
    return Difference(float((after - before).mean()), low, high, sign_flip_p(units), p_t, *signs)


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % confidence interval of a mean, by Student's t; None where the values do not vary."""
    from scipy.stats import ttest_1samp  # takes seconds

    if len(values) < 2 or min(values) == max(values):
        return None
    low, high = ttest_1samp(values, 0.0).confidence_interval(CONFIDENCE)
    return float(low), float(high)


def sign_flip_p(differences: NDArray[np.float64]) -> float:
    """Two-sided p of the paired permutation test: had the two systems changed places on any queries, how often would
    their means differ so much?

    All assignments are tried where RESAMPLES allows it, else that many drawn at random from SEED.

    Args:
        differences: whole numbers, so that sums are exact; shape [queries].
    """
    from scipy.stats import permutation_test  # takes seconds

    # Equal values change places without effect, so the queries that tie need not be drawn. With one query left, both
    # assignments differ as much; scipy wants two.
    differences = differences[differences != 0]
    if len(differences) < 2:
        return 1.0
    tested: Any = permutation_test(
        (differences,),
        np.sum,
        permutation_type="samples",
        n_resamples=RESAMPLES,
        vectorized=True,
        batch=max(1, _BATCH_VALUES // len(differences)),
        rng=np.random.default_rng(SEED),
    )
    return float(tested.pvalue)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """p-values corrected for their number (Holm 1979); one that is None counts among them and stays None."""
    from statsmodels.stats.multitest import multipletests  # takes seconds

    if not p_values:
        return []
    corrected = multipletests([1.0 if p is None else p for p in p_values], method="holm")[1]
    return [None if p is None else float(c) for p, c in zip(p_values, corrected, strict=True)]
