"""The comparison as plain data: what stands beside what, and what is in no average."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from eval.table.cells import Cell, FailedCell
from eval.table.content import contents
from tests.support.benchmark_cells import PLAIN, TABLE_FIRST_STAGE, benchmark, cell

V3 = "jinaai/jina-reranker-v3"
BGE = "BAAI/bge-reranker-v2-m3"


def section_of(name: str, cells: list[Cell]) -> dict[str, Any]:
    """A benchmark's section."""
    return dict(next(section for section in contents(cells, [])["benchmarks"] if section["name"] == name))


def row(cells: list[Cell], name: str, model: str) -> dict[str, Any]:
    """A model's row of a benchmark's averages."""
    return dict(next(each for each in section_of(name, cells)["rows"] if each["model"] == model))


def marks(*cells: Cell) -> dict[tuple[str, str], list[str]]:
    content = contents(cells, [])
    return {(section["name"], row["model"]): row["marks"] for section in content["datasets"] for row in section["rows"]}


def test_an_average_over_all_data_sets_stands_beside_card_and_paper() -> None:
    line = row(benchmark(V3, "beir", added=1.0), "beir", V3)
    assert (line["card"], line["paper"], line["count"], line["total"]) == (61.94, 61.85, 13, 13)
    assert line["measured"] == pytest.approx(62.8531, abs=0.001)
    assert line["difference_card"] == pytest.approx(0.9131, abs=0.001)
    assert line["difference_paper"] == pytest.approx(1.0031, abs=0.001)


def test_an_average_over_a_part_is_not_shown() -> None:
    cells = benchmark(V3, "beir")
    line = row(cells[1:], "beir", V3)
    assert (line["measured"], line["difference_card"], line["difference_paper"]) == (None, None, None)
    assert (line["count"], line["total"], line["missing"]) == (12, 13, [cells[0].dataset])
    of_model = [each for each in contents(cells[1:], [])["missing"]["incomplete"] if each["model"] == V3]
    assert of_model == [{"benchmark": "BEIR", "model": V3, "count": 12, "total": 13, "missing": ["TREC-COVID"]}]


def test_a_data_set_that_the_model_was_trained_on_is_in_no_average() -> None:
    cells = benchmark(V3, "beir")
    cells[11] = replace(cells[11], trained_on="trained on data of this set")
    line = row(cells, "beir", V3)
    assert (line["measured"], line["count"], line["missing"]) == (None, 12, ["beir/scifact"])
    assert marks(*cells)["beir/scifact", V3] == ["‡"]


def test_a_model_without_cells_keeps_its_published_average() -> None:
    line = row([PLAIN], "mkqa", "Qwen/Qwen3-Reranker-4B")
    assert (line["card"], line["paper"], line["measured"], line["count"]) == (67.52, 69.25, None, 0)
    assert "67.52" in line["notes"][0]


def test_the_first_stage_is_measured_where_it_made_the_candidates() -> None:
    cells = [replace(each, first_stage=0.55) for each in benchmark(V3, "miracl")]
    shorter = [replace(cells[0], depth=5), *cells[1:]]
    assert row(shorter, "miracl", "jinaai/jina-embeddings-v3")["marks"] == ["†"]
    line = row(cells, "miracl", "jinaai/jina-embeddings-v3")
    assert line["marks"] == []
    assert (line["role"], line["paper"], line["measured"]) == ("first stage", 58.9, pytest.approx(55.0))
    others = [cell(V3, each.dataset, each.value, "bm25") for each in cells]
    assert row(others, "miracl", "jinaai/jina-embeddings-v3")["count"] == 0


def test_a_data_set_is_compared_with_what_is_published_of_it() -> None:
    [section] = contents([cell(V3, "beir/scifact", 0.7751, TABLE_FIRST_STAGE, first_stage=0.724)], [])["datasets"]
    [line] = section["rows"]
    assert (section["title"], section["benchmark"], section["first_stage"]) == ("SciFact", "BEIR", 72.4)
    assert (line["published"], line["source"]) == (76.51, "paper, Table 3")
    assert (line["measured"], line["difference"], line["gain"]) == (
        pytest.approx(77.51),
        pytest.approx(1.0),
        pytest.approx(5.11),
    )
    assert line["marks"] == []


@pytest.mark.parametrize(
    "other",
    [
        cell(V3, "beir/nq", 0.7, "bm25"),
        cell(V3, "beir/nq", 0.7, None),
        cell(V3, "beir/nq", 0.7, TABLE_FIRST_STAGE, depth=50),
        cell(V3, "coir/apps", 0.7, TABLE_FIRST_STAGE),  # CoIR's first stage is another
        cell(V3, "beir/nq", 0.7, TABLE_FIRST_STAGE, departures={"group_size": 4}),
    ],
)
def test_another_protocol_than_the_published_one_is_marked(other: Cell) -> None:
    assert marks(other)[other.dataset, V3] == ["†"]


def test_a_first_stage_is_compared_with_what_is_published_of_it() -> None:
    [section] = contents([cell(V3, "beir/trec-covid", 0.8, "bm25", first_stage=0.6)], [])["datasets"]
    assert (section["first_stage"], section["first_stage_published"]) == (60.0, 59.47)
    assert section["first_stage_source"] == "anserini, regressions beir-v1.0.0-*.flat"
    assert len(section["notes"]) == 1
    assert "TREC-COVID" in section["notes"][0]
    [other] = contents([cell(V3, "beir/nq", 0.8, "bm25")], [])["datasets"]
    assert (other["first_stage_published"], other["notes"]) == (30.55, [])
    [dense] = contents([cell(V3, "beir/nq", 0.8, TABLE_FIRST_STAGE)], [])["datasets"]
    assert (dense["first_stage_published"], dense["first_stage_source"]) == (64.31, "paper, Table 3")
    assert contents([cell(V3, "beir/nq", 0.8, "run:a.trec")], [])["datasets"][0]["first_stage_published"] is None


def test_a_reranker_is_not_compared_with_itself_as_a_first_stage() -> None:
    [section] = contents([cell("sentence-transformers/all-MiniLM-L6-v2", "beir/scifact", 0.66, "bm25")], [])["datasets"]
    assert (section["rows"][0]["published"], section["rows"][0]["difference"]) == (None, None)


def test_a_data_set_in_parts_has_a_row_of_their_means() -> None:
    languages = ("go", "java", "javascript", "php", "python", "ruby")
    cells = [
        cell(V3, f"coir/codesearchnet-{each}", 0.1 * place, first_stage=0.3 + 0.04 * place)
        for place, each in enumerate(languages)
    ]
    cells += [replace(each, model=BGE, value=0.1) for each in cells[1:]]
    *parts, whole = section_of("coir", cells)["matrix"]["rows"]
    assert [part["title"] for part in parts] == [f"CodeSearchNet, {each}" for each in languages]
    assert (whole["title"], whole["mean"], whole["first_stage"]) == (
        "CodeSearchNet, mean of 6",
        True,
        pytest.approx(40.0),
    )
    assert "CoIR" not in contents(cells[:1], [])["missing"]["untouched"]
    of_v3, of_bge = whole["values"]
    assert of_bge is None
    assert (of_v3["measured"], of_v3["gain"]) == (pytest.approx(25.0), pytest.approx(-15.0))
    seen = [replace(each, trained_on="seen") for each in cells[:1]] + cells[1:]
    assert section_of("coir", seen)["matrix"]["rows"][-1]["values"] == [None, None]


def test_an_average_carries_the_marks_of_what_is_in_it() -> None:
    cells = benchmark(V3, "beir")
    assert row(cells, "beir", V3)["marks"] == []
    cells[0] = replace(cells[0], candidates={**cells[0].candidates, "retriever": "bm25"})
    assert row(cells, "beir", V3)["marks"] == ["†"]


def test_rejected_pairs_and_unequal_candidates_are_marked() -> None:
    lossy = cell(V3, "own", 0.7, rejected={"pairs": 2, "by_reason": {}})
    assert marks(lossy, PLAIN) == {("own", V3): ["§"], ("own", "small-cross-encoder"): []}
    shorter = replace(PLAIN, candidates={**PLAIN.candidates, "files": [{"size": 2, "footer_hash": "g"}]})
    assert marks(cell(V3, "own", 0.7), shorter) == {("own", V3): ["¶"], ("own", "small-cross-encoder"): ["¶"]}
    assert set(contents([lossy], [])["marks"]) == {"§"}


def test_own_data_have_no_average() -> None:
    table = contents([PLAIN, cell(V3, "other", 0.6)], [])
    assert {row["count"] for section in table["benchmarks"] for row in section["rows"]} == {0}
    assert [(each["dataset"], each["first_stage"]) for each in table["own"]["rows"]] == [
        ("other", 40.0),
        ("own", 40.0),
    ]
    assert table["own"]["models"] == [V3, "small-cross-encoder"]
    assert table["own"]["rows"][0]["values"][1] is None


def test_what_is_missing_is_reported() -> None:
    table = contents([PLAIN, cell(V3, "other", 0.6)], [FailedCell(BGE, "own", "no weights")])["missing"]
    assert table["failed"] == [{"model": BGE, "dataset": "own", "failed": "no weights"}]
    assert table["not_run"] == [[V3, "own"], [BGE, "other"], ["small-cross-encoder", "other"]]
    assert table["untouched"] == ["BEIR", "MIRACL", "MKQA", "CoIR"]


def test_languages_stand_side_by_side() -> None:
    german = {"de": {"queries": 3, "first_stage": 0.5, "reranked": 0.75}}
    both = german | {"th": {"queries": 2, "first_stage": 0.25, "reranked": 0.125}}
    [section] = contents([cell(V3, "x", 0.6, languages=both), cell(BGE, "x", 0.6, languages=german)], [])["datasets"]
    assert section["languages"] == {
        "models": [V3, BGE],
        "rows": [
            {"language": "de", "queries": 3, "first_stage": 50.0, "values": [75.0, 75.0]},
            {"language": "th", "queries": 2, "first_stage": 25.0, "values": [12.5, None]},
        ],
    }


def test_models_that_read_different_candidates_have_no_first_stage_in_common() -> None:
    ours = {"de": {"queries": 3, "first_stage": 0.5, "reranked": 0.75}, "th": {"queries": 1, "reranked": 0.5}}
    theirs = {name: {"queries": 3, "first_stage": 0.25, "reranked": 0.75} for name in ("de", "th")}
    cells = [
        cell(V3, "x", 0.6, languages=ours, first_stage=0.5, list_recall=0.9),
        cell(BGE, "x", 0.6, languages=theirs, first_stage=0.25, list_recall=0.8),
    ]
    [section] = contents(cells, [])["datasets"]
    assert (section["first_stage"], section["list_recall"]) == (None, None)
    assert [row["first_stage"] for row in section["languages"]["rows"]] == [None, 25.0]


def test_an_older_figure_is_marked_and_its_reason_reported() -> None:
    content = contents([replace(PLAIN, outdated="no weights")], [])
    assert [row["marks"] for row in content["datasets"][0]["rows"]] == [["‖"]]
    assert content["missing"]["outdated"] == [["small-cross-encoder", "own", "no weights"]]


V5 = "dense:jinaai/jina-embeddings-v5-text-small"
V3_5 = "jinaai/jina-reranker-v3.5"


def second_protocol(name: str, cells: list[Cell]) -> dict[str, dict[str, Any]]:
    """Rows of a benchmark by the protocol of jina-reranker-v3.5's card, by model."""
    [protocol] = section_of(name, cells)["protocols"]
    assert (protocol["first_stage"], protocol["source"]) == (
        "jinaai/jina-embeddings-v5-text-small",
        "model card of jina-reranker-v3.5",
    )
    return {each["model"]: each for each in protocol["rows"]}


def test_figures_of_two_protocols_stand_apart() -> None:
    by_first = benchmark(V3, "beir", added=1.0)
    by_second = [replace(cell(V3, each.dataset, 0.7, V5), depth=100) for each in by_first]
    line = row(by_first + by_second, "beir", V3)
    assert line["measured"] == pytest.approx(62.8531, abs=0.001)  # as without the others
    other = second_protocol("beir", by_first + by_second)
    assert (other[V3]["published"], other[V3]["measured"]) == (62.1, pytest.approx(70.0))
    assert other[V3]["difference"] == pytest.approx(7.9)
    assert (other[V3_5]["published"], other[V3_5]["measured"], other[V3_5]["count"]) == (63.2, None, 0)
    assert {model: values["published"] for model, values in second_protocol("miracl", [PLAIN]).items()} == {
        V3_5: 74.11,
        V3: 72.20,
        "Qwen/Qwen3-Reranker-4B": 76.56,
        "Qwen/Qwen3-Reranker-0.6B": 67.12,
        "mixedbread-ai/mxbai-rerank-large-v2": 69.65,
        "mixedbread-ai/mxbai-rerank-base-v2": 64.90,
    }
    assert second_protocol("mkqa", [PLAIN]) == {}


def test_a_cell_says_which_protocol_it_follows() -> None:
    first, second = cell(V3, "beir/nq", 0.7, TABLE_FIRST_STAGE), cell(V3, "beir/nq", 0.7, V5)
    [of_first], [of_second] = (contents([each], [])["datasets"][0]["rows"] for each in (first, second))
    assert (of_first["protocol"], of_first["published"], of_first["marks"]) == (None, 74.28, [])
    assert (of_second["protocol"], of_second["published"]) == ("model card of jina-reranker-v3.5", None)
    assert of_second["marks"] == []
    [shorter] = contents([replace(second, depth=50)], [])["datasets"][0]["rows"]
    assert shorter["marks"] == ["†"]
