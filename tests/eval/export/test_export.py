"""`python -m eval export`: each format read by the library that it is for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from datasets import Features, List, Value, load_dataset
from sentence_transformers import CrossEncoder
from sentence_transformers.cross_encoder import losses
from sentence_transformers.cross_encoder.data_collator import CrossEncoderDataCollator
from sentence_transformers.util import resolve_ids

from eval.__main__ import main
from eval.export.job import TRANSFORMS, in_words
from eval.export.lists import ScoredList
from eval.export.options import NAMES
from eval.export.texts import collected
from tests.support import tiny
from tests.support.exports import QUERIES, TEXTS, export, lines
from tests.support.input_files import candidate, nested_table, query, write
from tests.support.job_run import rerank, rows


def ranked(job: Path, query_id: str) -> list[tuple[str, float]]:
    """The job's own ranking of a query."""
    return [(row["doc_id"], row["score"]) for row in rows(job) if row["query_id"] == query_id]


def test_ids_are_resolved_by_sentence_transformers(job: Path, tmp_path: Path) -> None:
    to = export(job, tmp_path / "to", "ids")
    train, queries, documents = (
        load_dataset(str(to), name, split="train", cache_dir=str(tmp_path / "cache"))
        for name in ("train", "queries", "documents")
    )
    train.set_transform(resolve_ids({"query_id": queries, "document_ids": documents}, output_format="lists"))
    assert [row["query"] for row in train] == list(QUERIES.values())
    for row, query_id in zip(train, QUERIES, strict=True):
        expected = ranked(job, query_id)
        assert row["documents"] == [TEXTS[document] for document, _ in expected]
        assert row["scores"] == [score for _, score in expected]
    assert sorted(documents["document_id"]) == sorted(TEXTS)


def test_an_id_with_two_texts_has_no_place_in_the_id_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lists = [query("q1", [candidate("d1", "a")], "a"), query("q2", [candidate("d1", "b")], "b")]
    write(tmp_path / "in.parquet", nested_table(lists))
    assert rerank(tmp_path / "in.parquet", tmp_path / "out", tiny.bert(tmp_path / "model")) == 0
    assert main(["export", str(tmp_path / "out"), "--to", str(tmp_path / "to"), "--format", "ids"]) == 2
    assert capsys.readouterr().err.endswith(
        "error: --format ids: document_id 'd1' has different texts in different lists; give another format, or other "
        "ids\n"
    )


def test_ids_with_zero_characters_are_told_apart(tmp_path: Path) -> None:
    scores = np.zeros(2, dtype=np.float32)
    with collected() as texts:
        texts.add(ScoredList("q", "", ["a\0b", "a"], scores, ["c", "b\0c"]))
        texts.check()
        assert texts.write(str(tmp_path), {}) == {"queries": 1, "documents": 2}
    assert pq.read_table(tmp_path / "documents.parquet").to_pylist() == [
        {"document_id": "a\0b", "text": "c"},
        {"document_id": "a", "text": "b\0c"},
    ]


def test_labeled_lists_and_pairs_have_all_documents_without_qrels(job: Path, tmp_path: Path) -> None:
    lists = pq.read_table(export(job, tmp_path / "lists", "labeled-list") / "train.parquet").to_pylist()
    pairs = pq.read_table(export(job, tmp_path / "pairs", "labeled-pair") / "train.parquet").to_pylist()
    expected = [(QUERIES[q], TEXTS[document], score) for q in QUERIES for document, score in ranked(job, q)]
    assert [tuple(row.values()) for row in pairs] == expected
    flat = [(row["query"], *pair) for row in lists for pair in zip(row["documents"], row["scores"], strict=True)]
    assert flat == expected


def test_triplets_and_tuples_are_of_judged_positives(job: Path, tmp_path: Path, qrels: Path) -> None:
    options = ("--qrels", str(qrels), "--num_negatives", "2")
    triplets = pq.read_table(export(job, tmp_path / "triplet", "triplet", *options) / "train.parquet").to_pylist()
    margins = pq.read_table(export(job, tmp_path / "margin", "margin-mse", *options) / "train.parquet").to_pylist()
    tuples = pq.read_table(export(job, tmp_path / "tuple", "n-tuple", *options) / "train.parquet").to_pylist()
    expected = []
    for query_id, relevant in (("q1", {"d3"}), ("q2", {"d1", "d5"})):
        order = ranked(job, query_id)
        positives = [pair for pair in order if pair[0] in relevant]
        negatives = [pair for pair in order if pair[0] not in relevant][:2]
        expected += [(QUERIES[query_id], positive, negatives) for positive in positives]
    assert [(row["query"], row["positive"], row["negative_1"], row["negative_2"]) for row in tuples] == [
        (text, TEXTS[positive[0]], *(TEXTS[negative[0]] for negative in negatives))
        for text, positive, negatives in expected
    ]
    assert [row["scores"] for row in tuples] == [
        [positive[1], *(negative[1] for negative in negatives)] for _, positive, negatives in expected
    ]
    flat = [(text, positive, negative) for text, positive, negatives in expected for negative in negatives]
    assert [tuple(row.values()) for row in triplets] == [(q, TEXTS[p[0]], TEXTS[n[0]]) for q, p, n in flat]
    assert [row["score"] for row in margins] == pytest.approx([p[1] - n[1] for _, p, n in flat], abs=1e-6)


def test_without_qrels_the_best_document_is_the_positive(job: Path, tmp_path: Path) -> None:
    examples = lines(export(job, tmp_path / "to", "flagembedding", "--num_negatives", "9") / "train.jsonl")
    for row, query_id in zip(examples, QUERIES, strict=True):
        best, *others = ranked(job, query_id)
        assert row == {
            "query": QUERIES[query_id],
            "pos": [TEXTS[best[0]]],
            "neg": [TEXTS[document] for document, _ in others],
            "pos_scores": [best[1]],
            "neg_scores": [score for _, score in others],
        }


def test_layouts_of_other_libraries(job: Path, tmp_path: Path, qrels: Path) -> None:
    first, second, *_ = ranked(job, "q1")
    [row, _] = lines(export(job, tmp_path / "tevatron", "tevatron", "--qrels", str(qrels)) / "train.jsonl")
    assert row["query_id"] == "q1"
    assert list(row) == ["query_id", "query", "positive_passages", "negative_passages"]
    assert row["positive_passages"] == [{"docid": "d3", "text": "f"}]
    assert len(row["negative_passages"]) == 3
    requests = lines(export(job, tmp_path / "rank_llm", "rank_llm") / "requests.jsonl")
    assert list(requests[0]) == ["query", "candidates"]
    assert requests[0]["query"] == {"text": "a", "qid": "q1"}
    assert requests[0]["candidates"][0] == {"docid": first[0], "score": first[1], "doc": {"contents": TEXTS[first[0]]}}
    predictions = json.loads((export(job, tmp_path / "mteb", "mteb") / "predictions.json").read_text())
    assert list(predictions) == ["mteb_model_meta", "default"]
    assert predictions["default"]["test"]["q1"] == dict(ranked(job, "q1"))
    run = (export(job, tmp_path / "trec", "trec") / "run.trec").read_text().splitlines()
    assert run[1].split() == ["q1", "Q0", second[0], "2", f"{second[1]:.9g}", "rerank"]
    assert len(run) == 15


TEXT, NUMBER = Value("string"), Value("float32")
PASSAGES = List({"docid": TEXT, "text": TEXT})
PAIR = {"query": TEXT, "positive": TEXT, "negative": TEXT}
FEATURES: dict[tuple[str, str], dict[str, Any]] = {
    ("ids", "train"): {"query_id": TEXT, "document_ids": List(TEXT), "scores": List(NUMBER)},
    ("ids", "queries"): {"query_id": TEXT, "text": TEXT},
    ("ids", "documents"): {"document_id": TEXT, "text": TEXT},
    ("scores", "train"): {"query_id": TEXT, "doc_id": TEXT, "rank": Value("int32"), "score": NUMBER},
    ("labeled-list", "train"): {"query": TEXT, "documents": List(TEXT), "scores": List(NUMBER)},
    ("labeled-pair", "train"): {"query": TEXT, "document": TEXT, "score": NUMBER},
    ("n-tuple", "train"): {
        **{"query": TEXT, "positive": TEXT, "negative_1": TEXT, "negative_2": TEXT, "negative_3": TEXT},
        "scores": List(NUMBER),
    },
    ("margin-mse", "train"): {**PAIR, "score": NUMBER},
    ("triplet", "train"): PAIR,
    ("flagembedding", "train"): {
        **{"query": TEXT, "pos": List(TEXT), "neg": List(TEXT)},
        **{"pos_scores": List(NUMBER), "neg_scores": List(NUMBER)},
    },
    ("tevatron", "train"): {
        **{"query_id": TEXT, "query": TEXT},
        **{"positive_passages": PASSAGES, "negative_passages": PASSAGES},
    },
    ("rank_llm", "train"): {
        "query": {"text": TEXT, "qid": TEXT},
        "candidates": List({"docid": TEXT, "score": NUMBER, "doc": {"contents": TEXT}}),
    },
}


@pytest.mark.parametrize(("form", "name"), FEATURES)
def test_datasets_opens_every_table_with_its_types(job: Path, tmp_path: Path, form: str, name: str) -> None:
    to = export(job, tmp_path / "to", form)
    table = load_dataset(str(to), name, split="train", cache_dir=str(tmp_path / "cache"))
    assert table.features == Features(FEATURES[form, name])
    assert len(table) > 0
    assert {form for form, _ in FEATURES} == set(NAMES) - {"mteb", "trec"}  # which are no tables


def test_scores_can_be_put_between_0_and_1(job: Path, tmp_path: Path) -> None:
    raw = np.array([score for _, score in ranked(job, "q1")])
    for name, expected in (
        ("sigmoid", 1 / (1 + np.exp(-raw))),
        ("minmax", (raw - raw.min()) / (raw.max() - raw.min())),
    ):
        to = export(job, tmp_path / name, "labeled-list", "--score_transform", name)
        np.testing.assert_allclose(pq.read_table(to / "train.parquet")["scores"][0].as_py(), expected, atol=1e-6)


@pytest.mark.filterwarnings("error")
def test_scores_of_any_size_can_be_put_between_0_and_1() -> None:
    scores = np.array([3e38, 0, -3e38], dtype=np.float32)
    assert TRANSFORMS["minmax"](scores).tolist() == [1, 0.5, 0]
    assert TRANSFORMS["minmax"](scores[:1]).tolist() == [1]
    assert TRANSFORMS["sigmoid"](scores).tolist() == [1, 0.5, 0]


LOSSES = {
    "labeled-pair": ["MSELoss", "BinaryCrossEntropyLoss"],
    "labeled-list": ["ListNetLoss", "ListMLELoss", "PListMLELoss", "LambdaLoss", "RankNetLoss", "ADRMSELoss"],
    "n-tuple": ["MarginMSELoss"],
    "margin-mse": ["MarginMSELoss"],
    "triplet": ["MultipleNegativesRankingLoss", "CachedMultipleNegativesRankingLoss"],
}


@pytest.mark.parametrize(("form", "loss"), [(form, loss) for form, of in LOSSES.items() for loss in of])
def test_a_training_step_of_sentence_transformers(job: Path, tmp_path: Path, form: str, loss: str) -> None:
    """Its collator takes the labels from the table; each other column is an input of the loss, in their order."""
    to = export(job, tmp_path / "to", form, "--score_transform", "minmax")
    table = load_dataset(str(to), "train", split="train", cache_dir=str(tmp_path / "cache"))
    folder = Path(shutil.copytree(job.parent / "model", tmp_path / "model"))
    tiny.change(folder / "tokenizer_config.json", pad_token="[PAD]")  # sentence-transformers' own code pads
    model = CrossEncoder(str(folder), device="cpu", num_labels=1, max_length=32)
    batch = CrossEncoderDataCollator(preprocess_fn=model.preprocess)([*table])
    labels = batch.pop("label", None)
    assert (labels is None) == (form == "triplet")
    value = getattr(losses, loss)(model)([*batch.values()], labels)
    value.backward()
    assert torch.isfinite(value)
    assert any(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_every_loss_that_learns_from_scores_has_a_format() -> None:
    every = {name for name in losses.__all__ if name.endswith("Loss")}
    assert {loss for of in LOSSES.values() for loss in of} == every - {"CrossEntropyLoss"}  # which is of classes


def test_texts_that_the_job_kept_need_no_input(job: Path, tmp_path: Path) -> None:
    lists = [query("q1", [candidate(i, text, title=f"{text} {text}") for i, text in TEXTS.items()], "a")]
    source = Path(write(tmp_path / "in.parquet", nested_table(lists)))
    model = job.parent / "model"
    assert rerank(source, tmp_path / "kept", model, "--keep_columns", "query,title,text") == 0
    assert rerank(source, tmp_path / "plain", model) == 0
    expected = export(tmp_path / "plain", tmp_path / "1", "labeled-list") / "train.parquet"
    source.unlink()
    exported = export(tmp_path / "kept", tmp_path / "2", "labeled-list") / "train.parquet"
    assert pq.read_table(exported).to_pylist() == pq.read_table(expected).to_pylist()


def test_titles_that_the_job_did_not_keep_come_from_the_input(
    job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    titled = write(tmp_path / "in.parquet", nested_table([query("q1", [candidate("d1", "a", title="b")], "a")]))
    bare = write(tmp_path / "bare.parquet", nested_table([query("q1", [candidate("d1", "a")], "a")]))
    for name, source, template, expected in (
        ("titled", titled, [], "b a"),
        ("bare", bare, [], "a"),
        ("text", titled, ["--text_template", "{text}"], "a"),
    ):
        words = ["--keep_columns", "query,text", *template]
        assert rerank(Path(source), tmp_path / name, job.parent / "model", *words) == 0
        (row,) = pq.read_table(
            export(tmp_path / name, tmp_path / f"to-{name}", "labeled-pair") / "train.parquet"
        ).to_pylist()
        assert row["document"] == expected
    Path(titled).unlink()
    export(tmp_path / "text", tmp_path / "again", "labeled-pair")
    words = ["export", str(tmp_path / "titled"), "--to", str(tmp_path / "no"), "--format", "labeled-pair"]
    assert main(words) == 2
    assert "and its documents may have titles, which the job did not keep; put it back" in capsys.readouterr().err


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory, job: Path) -> Path:
    """A finished job of pairs with ids that are integers, over two files."""
    folder = tmp_path_factory.mktemp("numbered")
    for number in (1, 2):
        pairs = {"query_id": [number, number], "doc_id": [10**12, -7], "query": ["a", "a"], "text": ["b", "c d"]}
        types = {"query_id": pa.int32(), "doc_id": pa.int64(), "query": pa.string(), "text": pa.string()}
        pq.write_table(pa.table(pairs, schema=pa.schema(types)), folder / f"{number}.parquet")
    assert rerank([folder / "1.parquet", folder / "2.parquet"], folder / "out", job.parent / "model") == 0
    return folder / "out"


def test_ids_can_keep_the_types_of_the_input(numbered: Path, tmp_path: Path) -> None:
    to = export(numbered, tmp_path / "scores", "scores", "--keep_id_types")
    table = pq.read_table(to / "scores.parquet")
    assert {name: str(table.schema.field(name).type) for name in table.column_names} == {
        **{"query_id": "int32", "doc_id": "int64", "rank": "int32", "score": "float"}
    }
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        (int(row["query_id"]), int(row["doc_id"]), row["rank"], row["score"]) for row in rows(numbered)
    ]
    loaded = load_dataset(str(to), "train", split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.features["query_id"] == Value("int32")
    to = export(numbered, tmp_path / "ids", "ids", "--keep_id_types")
    train, documents = (pq.read_table(to / f"{name}.parquet") for name in ("train", "documents"))
    assert sorted(train["document_ids"][0].as_py()) == [-7, 10**12]
    assert sorted(documents["document_id"].to_pylist()) == [-7, 10**12]
    plain = export(numbered, tmp_path / "plain", "scores")
    assert pq.read_schema(plain / "scores.parquet").field("doc_id").type == pa.string()


def test_ids_of_text_stay_text(job: Path, tmp_path: Path) -> None:
    to = export(job, tmp_path / "to", "scores", "--keep_id_types")
    assert pq.read_schema(to / "scores.parquet").field("query_id").type == pa.string()


def test_card_says_what_was_exported_and_left_out(job: Path, tmp_path: Path, qrels: Path) -> None:
    text = (
        export(job, tmp_path / "to", "n-tuple", "--qrels", str(qrels), "--num_negatives", "4") / "README.md"
    ).read_text()
    assert text.startswith("---\nconfigs:\n- config_name: train\n")
    assert "| rows | 1 |" in text
    assert "| lists left out: too few negatives | 1 |" in text  # q2 has three documents beside its positives
    assert "| lists left out: the query is not in the qrels | 1 |" in text
    assert "in.parquet" in text
    assert str(job) not in text


def test_a_count_of_one_is_in_the_singular() -> None:
    counts = {"rows": 1, "lists": 1_000, "documents": 2, "lists left out: too few negatives": 1}
    assert in_words(counts) == "1 row, 1,000 lists, 2 documents, 1 list left out: too few negatives"
