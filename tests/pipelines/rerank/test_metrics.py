"""The names under which a running job counts, as Beam's runners show them."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version
from pathlib import Path

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

from pipelines.rerank.job import build
from pipelines.running.runner import Runner, run_graph
from tests.support import tiny
from tests.support.input_files import candidate, nested_table, query, write
from transforms.handler import made_by
from transforms.input.inputs import inspect
from transforms.input.plan import plan
from transforms.rerank import NAMESPACE, PlannedUnit, Reading, Rerank, stage_seconds
from transforms.scoring.reranker import specify


def test_metrics_of_a_job(tmp_path: Path) -> None:
    rows = [
        query("q1", [candidate("d1", "a b c"), candidate("d2", " ".join("abcdefgh" * 20)), candidate("d3", None)], "a"),
        query("q2", [candidate("d1", "b"), candidate("d2", "c d")], "b"),
        query(None, [candidate("d1", "c"), candidate("d2", "d")], "c"),
    ]
    units = plan(inspect([str(write(tmp_path / "in.parquet", nested_table(rows), row_group_size=1))])).units
    options = {"max_length": 16}
    specification = specify(str(tiny.bert(tmp_path / "model")), device="cpu", dtype="float32", options=options)
    (tmp_path / "out" / "scored").mkdir(parents=True)  # as a job does when it begins
    rerank = Rerank(str(tmp_path / "out"), specification, Reading())
    graph = partial(build, work=[PlannedUnit(unit, frozenset()) for unit in units], rerank=rerank)
    metrics = run_graph(graph, Runner(FnApiRunner(), PipelineOptions([]), local=True), NAMESPACE)

    seconds = stage_seconds(metrics)
    assert set(seconds) == {"read", "tokenise", "forward", "write"}
    assert all(value > 0 for value in seconds.values())
    counted = {name: value for name, value in metrics.items() if not name.endswith("_microseconds")}
    assert counted.pop("forward_tokens") == counted["tokens"]
    assert counted.pop(f"shards tokenised by tokenizers {version('tokenizers')}") == 3
    assert counted == {
        "num_inferences": 3,  # Beam's own: of shards
        "queries": 3,
        "empty_queries": 0,
        "empty_lists": 0,
        "pairs": 7,
        "scored": 4,
        "empty_texts": 0,
        "nan_first_stage_scores": 0,
        "tokens": 34,
        "truncated_tokens": 148,
        "truncated_pairs": 1,
        "truncated_queries": 0,
        "rejected.null_text": 1,
        "rejected_rows.null_text": 1,
        "rejected.null_query_id": 2,
        "rejected_rows.null_query_id": 1,
        "rejected_queries": 1,
        "pairs_in_input_order": 4,
        "forward_passes": 2,
        "padding_tokens": 2 * 64 - 34,
        "out_of_memory_splits": 0,
    }


def test_what_made_the_scores_is_read_off_the_counters() -> None:
    counted = {"pairs": 7, "shards tokenised by tiktoken 1": 3, "shards with layers of liger-kernel 2, triton 3": 3}
    assert made_by(counted) == {"tokenising": ["tiktoken 1"], "layers": ["liger-kernel 2, triton 3"]}
