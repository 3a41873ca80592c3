from __future__ import annotations

import pytest

from eval.ranking.measures import by_place, mean, parse_measures, per_query, trec_order
from transforms.base.errors import UserError


def values(names: list[str], grades: dict[str, int], ranking: list[str]) -> list[float]:
    """One query's values, to four places."""
    computed = per_query(parse_measures(names), {"q": grades}, {"q": ranking})
    return [round(by_query["q"], 4) for by_query in computed.values()]


def test_order_is_score_then_document_id_both_descending() -> None:
    assert trec_order([(1.0, "b"), (2.0, "a"), (1.0, "é"), (1.0, "c"), (-0.0, "x"), (0.0, "y")]) == list("aécbyx")


def test_values_worked_out_by_hand() -> None:
    # Grades of the ranking: 0 1 2. DCG@10 = 1/log2(3) + 2/log2(4) = 1.6309; ideal = 2 + 1/log2(3) = 2.6309.
    names = [
        "nDCG@10",
        "nDCG@2",
        "RR@10",
        "RR",
        "RR@1",
        "RR(rel=2)@10",
        "R@2",
        "R(rel=2)@2",
        "P@2",
        "SetR",
        "AP",
        "NumRel",
    ]
    got = values(names, {"a": 1, "b": 2, "c": 0, "absent": -1}, ["c", "a", "b"])
    assert got == [0.6199, 0.2398, 0.5, 0.5, 0.0, 0.3333, 0.5, 0.0, 0.5, 1.0, 0.5833, 2.0]


def test_recall_counts_what_is_not_in_the_list() -> None:
    assert values(["SetR", "R@10", "nDCG@10"], {"a": 1, "b": 1, "c": 1, "d": 1}, ["a"]) == [0.25, 0.25, 0.3904]


def test_measures_with_different_gains_do_not_disturb_each_other() -> None:
    # a at 3, b at 4: (9/2 + .4307) / (9 + .6309), (1/2 + 2 * .4307) / (2 + .6309); at 2 and 3 without the unjudged x.
    # Asked for together, ir-measures 0.4.3 gives some of them one another's value, depending on the hash seed.
    names = ["nDCG(gains={0:0,1:9,2:1})@10", "nDCG@10", "nDCG(judged_only=True)@10"]
    assert values(names, {"a": 1, "b": 2, "c": 0}, ["x", "c", "a", "b"]) == [0.512, 0.5174, 0.6199]


def test_an_empty_ranking_and_a_query_without_relevant_documents_are_zero() -> None:
    measures = parse_measures(["nDCG@10", "RR@10", "RR", "R@10", "SetR", "AP", "Judged@10"])
    computed = per_query(measures, {"q1": {"a": 1}, "q2": {"a": 0}}, {"q1": [], "q2": ["b"]})
    assert list(computed.values()) == [{"q1": 0.0, "q2": 0.0}] * 7


def test_grades_that_are_all_negative_are_handed_on_as_0() -> None:
    assert by_place({"a": -2, "absent": -3}, ["b", "a"]) == {"1": 0, "-2": 0}
    assert by_place({"a": -2, "absent": 1}, ["b", "a"]) == {"1": -2, "-2": 1}
    assert by_place({}, ["b", "a"]) == {}


@pytest.mark.parametrize("gain", ["1.5", "1001"])
def test_gains_are_whole_numbers_up_to_the_highest_grade(gain: str) -> None:
    with pytest.raises(UserError, match="gains must be whole numbers from 0 to 1000"):
        parse_measures([f"nDCG(gains={{2:{gain}}})@10"])


def test_ids_may_hold_anything() -> None:
    for first, second in [("a\0b", "a\0c"), ("a b", "a c"), ("", " "), ("😀", "\t"), ("0", "1"), ("-1", "1")]:
        assert values(["nDCG@10", "RR@10", "R@1"], {second: 1, "other": 0}, [first, second]) == [0.6309, 0.5, 0.0]
        assert values(["nDCG@10", "RR@10", "R@1"], {first: 1, "other": 0}, [first, second]) == [1.0, 1.0, 1.0]


def test_the_order_given_counts_whatever_the_ids_are() -> None:
    ranking = ["a", "z", "m"]
    for place, document in enumerate(ranking, start=1):
        assert values(["RR", "RR@10"], {document: 1}, ranking) == [round(1 / place, 4)] * 2


def test_every_query_has_its_own_judgements() -> None:
    grades = {"q1": {"a": 1}, "q2": {"b": 1}, "q3": {"a": 1}}
    (by_query,) = per_query(parse_measures(["RR@10"]), grades, {"q1": ["a", "b"], "q2": ["a", "b"]}).values()
    assert by_query == {"q1": 1.0, "q2": 0.5}


def test_means_and_sums() -> None:
    ndcg, retrieved = parse_measures(["nDCG@10", "NumRet"])
    assert mean(ndcg, [1.0, 0.5, 0.0]) == 0.5
    assert mean(retrieved, [10.0, 5.0, 0.0]) == 15.0


def test_names_are_parsed_in_order_and_once() -> None:
    names = ["R(rel=2)@100", "nDCG@10", "SetR", "nDCG@10", "MRR@10"]
    assert [str(measure) for measure in parse_measures(names)] == ["R(rel=2)@100", "nDCG@10", "SetR", "RR@10"]


def test_all_bad_names_are_reported_together() -> None:
    bad = [
        "ndcg@10",
        "R",
        "nDCG@0",
        "P@",
        "nDCG@1.5",
        "R(rel=0)@10",
        "nDCG(x=1)@10",
        "R@'x'",
        "1",
        "",
        "ERR@10",
        "AP; AP",
    ]
    with pytest.raises(UserError) as error:
        parse_measures(["nDCG@10", *bad])
    message = str(error.value)
    assert [name for name in bad if f"{name!r} (" not in message] == []
    assert "'nDCG@10'" not in message
    assert "'nDCG@0' (the cutoff must be at least 1)" in message
    assert "\n" not in message


def test_places_in_place_of_ids_change_nothing() -> None:
    grades = {"q1": {"a": 2, "b": 1, "c": 0, "d": 1}, "q2": {"a": 1, "e": 3}}
    rankings = {"q1": ["x", "b", "c", "a"], "q2": ["e", "x"]}
    run = {
        query: {document: -float(place) for place, document in enumerate(ranking)}
        for query, ranking in rankings.items()
    }
    names = ["nDCG@10", "nDCG", "AP", "AP@2", "P@3", "R@3", "RR", "RR@3", "Rprec", "Bpref", "SetP", "SetF", "Success@1"]
    names += ["infAP", "IPrec@0.5", "Judged@3", "R(rel=2)@3", "nDCG(gains={0:0,1:1,2:3,3:7})@10"]
    for measure, by_query in per_query(parse_measures(names), grades, rankings).items():
        assert by_query == {metric.query_id: metric.value for metric in measure.iter_calc(grades, run)}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("NERR8@10", "NERR8 needs max_rel"),
        ("INST", "INST needs max_rel"),
        ("BPM", "BPM needs cutoff"),
        ("SDCG@10", "SDCG needs max_rel"),
    ],
)
def test_a_measure_without_a_parameter_that_it_needs_is_named_with_it(name: str, reason: str) -> None:
    with pytest.raises(UserError) as error:
        parse_measures([name])
    assert f"'{name}' ({reason}" in str(error.value)
    assert "<object" not in str(error.value)
