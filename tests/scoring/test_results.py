from __future__ import annotations

from collections import Counter

import numpy as np

from transforms.schema import BEST_WINDOW, SCORED
from transforms.scoring.results import LEDGER, Failure, Scores, concatenate


def test_the_ledger_is_the_columns_of_the_output_behind_the_first_stage() -> None:
    always = ("tokens", "truncated_tokens", "query_truncated_tokens", "windows", "group", "position")
    assert (*always, "best_window", "best_window_token") == LEDGER
    assert list(LEDGER) == [*SCORED.names[6:], *BEST_WINDOW.names]


def test_concatenate_shifts_failures_and_adds_up() -> None:
    first = Scores(
        np.array([0.5, np.nan], dtype=np.float32),
        tokens=np.array([7, 8], dtype=np.int32),
        failures={1: Failure("nan_score", "x")},
        counts=Counter(forward_passes=1),
        seconds={"forward": 1.0},
    )
    second = Scores(
        np.array([np.nan, 2.0], dtype=np.float32),
        tokens=np.array([9, 10], dtype=np.int32),
        failures={0: Failure("out_of_memory", "y")},
        counts=Counter(forward_passes=2, oom_splits=1),
        seconds={"forward": 0.5, "tokenise": 0.25},
    )
    whole = concatenate([first, second])
    assert np.array_equal(whole.score, np.array([0.5, np.nan, np.nan, 2.0], dtype=np.float32), equal_nan=True)
    assert whole.score.dtype == np.float32
    assert whole.tokens is not None
    assert whole.tokens.tolist() == [7, 8, 9, 10]
    assert whole.windows is None
    assert whole.failures == {1: Failure("nan_score", "x"), 2: Failure("out_of_memory", "y")}
    assert whole.counts == {"forward_passes": 3, "oom_splits": 1}
    assert whole.seconds == {"forward": 1.5, "tokenise": 0.25}


def test_concatenate_of_nothing_is_empty() -> None:
    whole = concatenate([])
    assert whole.score.tolist() == []
    assert whole.failures == {}
