"""Exports read by the libraries that they are for, where they are installed: see scripts/check_exports.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from eval.__main__ import main
from tests.support import tiny
from tests.support.input_files import candidate, nested_table, query, write
from tests.support.job_run import rerank, rows

TEXTS = {"d1": "a b", "d2": "c d e", "d3": "f", "d4": "g h i", "d5": "k l"}
QUERIES = {"q1": "a", "q2": "c d"}


def library(name: str) -> Any:
    return pytest.importorskip(name, reason=f"{name} is not installed; scripts/check_exports.py runs this test")


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("job")
    lists = [query(name, [candidate(i, text) for i, text in TEXTS.items()], text) for name, text in QUERIES.items()]
    write(folder / "in.parquet", nested_table(lists))
    assert rerank(folder / "in.parquet", folder / "out", tiny.bert(folder / "model")) == 0
    return folder / "out"


@pytest.fixture
def exported(job: Path, tmp_path: Path) -> Callable[[str], Path]:
    def export(form: str) -> Path:
        words = ["export", str(job), "--to", str(tmp_path / form), "--format", form, "--num_negatives", "2"]
        assert main(words) == 0
        return tmp_path / form

    return export


def tokenizer_of(job: Path) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_file=str(job.parent / "model" / "tokenizer.json"), pad_token="[PAD]")


def ranked(job: Path, query_id: str) -> list[tuple[str, float]]:
    return [(row["doc_id"], row["score"]) for row in rows(job) if row["query_id"] == query_id]


def test_mteb_reads_predictions_as_the_candidates_of_a_reranking_task(
    job: Path, exported: Callable[[str], Path]
) -> None:
    library("mteb")
    retrieval = library("mteb.abstasks.retrieval")
    metrics = library("mteb._evaluators.retrieval_metrics")
    metadata = library("mteb.abstasks.task_metadata").TaskMetadata(
        name="Own",
        description="own lists",
        type="Retrieval",
        dataset={"path": "own", "revision": "1"},
        eval_langs=["eng-Latn"],
        main_score="ndcg_at_10",
    )
    task = type("Own", (retrieval.AbsTaskRetrieval,), {"metadata": metadata})()
    task.dataset, task.data_loaded = {"default": {"test": {}}}, True
    path = exported("mteb") / "predictions.json"
    task.convert_to_reranking(path, top_k=4)
    expected = {query_id: [document for document, _ in ranked(job, query_id)] for query_id in QUERIES}
    top_ranked = task.dataset["default"]["test"]["top_ranked"]
    assert top_ranked == {query_id: documents[:4] for query_id, documents in expected.items()}
    scores = {query_id: dict(ranked(job, query_id)) for query_id in QUERIES}
    judged = {query_id: {documents[1]: 1} for query_id, documents in expected.items()}
    assert metrics.calculate_retrieval_scores(scores, judged, [10]).ndcg["NDCG@10"] == pytest.approx(0.63093)


def test_rank_llm_reads_requests(job: Path, exported: Callable[[str], Path]) -> None:
    data = library("rank_llm.data")
    requests = data.read_requests_from_file(str(exported("rank_llm") / "requests.jsonl"))
    assert [(request.query.qid, request.query.text) for request in requests] == list(QUERIES.items())
    for request in requests:
        read = [(each.docid, each.score, each.doc) for each in request.candidates]
        expected = ranked(job, request.query.qid)
        assert read == [(document, score, {"contents": TEXTS[document]}) for document, score in expected]


def test_flag_embedding_reads_its_training_data(
    job: Path, exported: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dataset = library("FlagEmbedding.abc.finetune.reranker.AbsDataset")
    arguments = library("FlagEmbedding.abc.finetune.reranker.AbsArguments").AbsRerankerDataArguments
    read = arguments(
        train_data=[str(exported("flagembedding") / "train.jsonl")],
        cache_path=str(tmp_path / "cache"),
        train_group_size=3,
        knowledge_distillation=True,
    )
    data = dataset.AbsRerankerTrainDataset(read, tokenizer_of(job))
    texts: list[tuple[str, str]] = []
    monkeypatch.setattr(data, "create_one_example", lambda query, document: texts.append((query, document)))
    for place, (query_id, text) in enumerate(QUERIES.items()):
        texts.clear()
        _, scores = data[place]
        (best, highest), *others = ranked(job, query_id)
        assert (texts[0], scores[0]) == ((text, TEXTS[best]), highest)
        pairs = {(document, score) for (_, document), score in zip(texts[1:], scores[1:], strict=True)}
        assert pairs == {(TEXTS[document], score) for document, score in others[:2]}


class Letters:
    """A tokenizer that gives back the text, so that a space too many shows."""

    def encode(self, text: str, **_: object) -> list[str]:
        return list(text)


def test_tevatron_reads_its_training_data(job: Path, exported: Callable[[str], Path], tmp_path: Path) -> None:
    dataset = library("tevatron.datasets.dataset")
    arguments = library("tevatron.arguments").DataArguments
    read = arguments(train_dir=str(exported("tevatron")), dataset_proc_num=1)
    data = dataset.HFTrainDataset(Letters(), read, cache_dir=str(tmp_path / "cache"))
    data.preprocessor = dataset.TrainPreProcessor  # for local files it has none, and takes them for tokenised
    for row, (query_id, text) in zip(data.process(), QUERIES.items(), strict=True):
        best, *others = [document for document, _ in ranked(job, query_id)]
        assert row["query"] == list(text)
        assert row["positives"] == [list(TEXTS[best])]
        assert row["negatives"] == [list(TEXTS[document]) for document in others[:2]]
