"""A job takes any scorer that has what `ScorerSpecification` asks for."""

from __future__ import annotations

import pytest

from pipelines.rerank import dry_run
from tests.support.constant_scorer import ConstantSpecification
from transforms.base.errors import UserError
from transforms.handler import RerankerHandler
from transforms.rerank import Reading


def test_a_third_kind_of_scorer_is_one_class() -> None:
    assert RerankerHandler(ConstantSpecification()).load_model().score("query", ["a", "b"]) == [0.5, 0.5]


def test_no_host_is_asked_for_an_estimate() -> None:
    with pytest.raises(UserError, match="asking the endpoint would cost"):
        dry_run.report(ConstantSpecification(hosted=True), [], Reading(), dry_run.Wanted())
