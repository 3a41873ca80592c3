"""The tests' figures, against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from eval.ranking.significance import Difference, compare, holm, sign_flip_p


def test_two_wins_and_a_tie() -> None:
    # Differences .5, .5, 0: mean 1/3, standard deviation sqrt(1/12), its error 1/6, so t = 2 with 2 degrees of freedom,
    # where p = 1 - t / sqrt(t^2 + 2) and the quantile of 97.5 % is 4.302653. Of the 4 assignments of signs to the two
    # that differ, the one seen and its opposite lie as far out: p = 2/4.
    got = compare([0.5, 0.5, 1.0], [1.0, 1.0, 1.0])
    expected = (1 / 3, 1 / 3 - 4.302653 / 6, 1 / 3 + 4.302653 / 6, 0.5, 1 - 2 / math.sqrt(6), 2, 1, 0)
    assert tuple(got) == pytest.approx(expected, abs=1e-6)


def test_the_baseline_is_what_is_taken_away() -> None:
    got = compare([1.0, 0.5, 0.25, 0.5], [0.5, 0.5, 0.5, 0.25])
    assert got.mean == -0.125
    assert (got.wins, got.ties, got.losses) == (1, 1, 2)


UNTESTED = {
    "identical": ([0.3, 0.7, 1.0], [0.3, 0.7, 1.0], Difference(0.0, None, None, 1.0, None, 0, 3, 0)),
    "alike but for rounding": ([0.1 + 0.2, 0.5], [0.3, 0.5], Difference(0.0, None, None, 1.0, None, 0, 2, 0)),
    "one query": ([0.25], [0.75], Difference(0.5, None, None, 1.0, None, 1, 0, 0)),
    "one query and no difference": ([0.25], [0.25], Difference(0.0, None, None, 1.0, None, 0, 1, 0)),
    "the same difference on all": ([0.5, 0.25], [0.25, 0.0], Difference(-0.25, None, None, 0.5, None, 0, 0, 2)),
}


@pytest.mark.parametrize(("baseline", "system", "expected"), UNTESTED.values(), ids=UNTESTED.keys())
def test_what_does_not_vary_has_no_t_test(baseline: list[float], system: list[float], expected: Difference) -> None:
    got = compare(baseline, system)
    assert got._replace(mean=round(got.mean, 12)) == expected


SIGN_FLIPS = {
    "all one way, 5": ([1, 2, 3, 4, 5], 2 / 32),
    "all the other way, 5": ([-1, -2, -3, -4, -5], 2 / 32),
    "with ties": ([1, 0, 2, 0, 3, 4, 0, 5], 2 / 32),
    "few among many ties, tried in all ways": ([1, 2, 3, 4, 5, *[0] * 95], 2 / 32),
    # Sums at least 4 of +-1 +-2 +-3: 1+2+3 and -1+2+3 of 8; as many at most -4.
    "one against": ([-1, 2, 3], 4 / 8),
    # Of 2^4 sums of +-1, 2 or more in 5, as many -2 or less.
    "three of four": ([1, 1, 1, -1], 10 / 16),
    "a sum of 0": ([1, 2, -3], 1.0),
    "none": ([], 1.0),
    "one": ([7], 1.0),
    "13, the most that are tried in all ways": ([1] * 13, 2 / 2**13),
    "14, drawn at random": ([1] * 14, 2 / 10_000),
}


@pytest.mark.parametrize(("differences", "expected"), SIGN_FLIPS.values(), ids=SIGN_FLIPS.keys())
def test_sign_flips(differences: list[int], expected: float) -> None:
    assert sign_flip_p(np.array(differences, np.float64)) == pytest.approx(expected, rel=1e-12)


def test_random_draws_are_the_same_each_time_and_near_the_normal_law() -> None:
    # The sum of 100 signs has standard deviation 10; 20 or more either way: P(|Z| >= 19/10) = .0574 with the correction
    # for continuity. 9,999 draws have a standard error of .0023.
    differences = np.array([1.0] * 60 + [-1.0] * 40)
    first, second = sign_flip_p(differences), sign_flip_p(differences)
    assert first == second
    assert first == pytest.approx(0.0574, abs=0.01)


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),  # .01 x 3; .03 x 2; .04 x 1, but not below .06
        ([0.5, 0.9], [1.0, 1.0]),
        ([0.02], [0.02]),
        ([None, 0.02], [None, 0.04]),
        ([None, None], [None, None]),
        ([], []),
    ],
)
def test_holm(p_values: list[float | None], expected: list[float | None]) -> None:
    assert holm(p_values) == pytest.approx(expected)
