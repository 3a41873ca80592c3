"""What is timed side by side: this project's core and whole job, and how others would score the same pairs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from transformers import AutoModel, AutoModelForCausalLM

from eval.throughput import least_time
from transforms.base.errors import UserError
from transforms.layout import REPORT
from transforms.scoring import RankingTask, Reranker
from transforms.scoring.families.tokenise import Tokens
from transforms.scoring.packed.sequences import TokenSequence
from transforms.scoring.weights.checkpoints import quiet


class ArmResult(NamedTuple):
    """What an arm did."""

    tokens: int  # of the pairs
    computed: int  # padding included
    seconds: float | None = None  # where the arm knows better than a clock around it: without its start
    rates: Mapping[str, float] = MappingProxyType({})  # floating-point operations a second, by kind


Arm = Callable[[Sequence[RankingTask]], ArmResult]
Batched = Callable[[int], Arm]  # how many inputs it pads together -> the arm


def core(reranker: Reranker) -> Arm:
    """The scoring core."""

    def run(tasks: Sequence[RankingTask]) -> ArmResult:
        counts = reranker.score_tasks(tasks).counts
        return ArmResult(counts["forward_tokens"], counts["forward_tokens"] + counts["padding_tokens"])

    return run


def ceiling(reranker: Reranker) -> Arm:
    """The least time that the machine could take for what the core computes."""

    def run(tasks: Sequence[RankingTask]) -> ArmResult:
        batches = reranker.batches(tasks)
        # A family need not have a backbone by its protocol; each that can be timed here has one.
        model = reranker.family.backbone.model  # type: ignore[attr-defined]
        causal = reranker.specification.model.family != "cross_encoder"
        kernel = reranker.specification.execution.attention
        least = least_time.measure(model, batches, causal=causal, kernel=kernel)
        tokens = sum(len(batch.ids) for batch in batches)
        return ArmResult(
            tokens, tokens, least.seconds, {"matrix": least.matrix_rate, "attention": least.attention_rate}
        )

    return run


def core_apart(reranker: Reranker) -> Arm:
    """The core with each document under a query of its own, so that no two prompts share their beginning."""

    def run(tasks: Sequence[RankingTask]) -> ArmResult:
        return core(reranker)([task._replace(documents=[text]) for task in tasks for text in task.documents])

    return run


def job(model: str, options: Sequence[str], folder: Path) -> Arm:
    """The whole Beam job in a process of its own, on a Parquet file; timed from its plan to its last shard.

    Args:
        model: as --model takes it.
        options: further ones of `pipelines.rerank`.
        folder: for its input and output.
    """

    def run(tasks: Sequence[RankingTask]) -> ArmResult:
        pairs = sum(len(task.documents) for task in tasks)
        path = folder / f"{pairs}.parquet"
        if not path.exists():
            write_candidates(tasks, path)
        output = folder / "out"
        command = [sys.executable, "-m", "pipelines.rerank", f"--input={path}", f"--output={output}", "--overwrite"]
        done = subprocess.run([*command, f"--model={model}", *options], check=False, capture_output=True, text=True)
        if done.returncode:
            raise UserError(f"the job failed: {done.stderr.strip().splitlines()[-1:]}")
        report = json.loads((output / REPORT).read_text(encoding="utf-8"))
        return ArmResult(report["tokens"]["total"], report["tokens"]["computed"], report["last_run"]["seconds"])

    return run


def write_candidates(tasks: Sequence[RankingTask], path: Path) -> None:
    """Tasks as the main job's nested input, with made-up ids."""
    lists = [
        {
            "query_id": f"q{number}",
            "query": task.query,
            "candidates": [{"doc_id": f"d{place}", "text": text} for place, text in enumerate(task.documents)],
        }
        for number, task in enumerate(tasks)
    ]
    pq.write_table(pa.Table.from_pylist(lists), path, row_group_size=max(1, len(lists) // 8))


def sentence_transformers(
    folder: Path, device: str, dtype: torch.dtype, max_length: int | None = None
) -> Batched | None:
    """sentence-transformers' CrossEncoder with its own defaults but these; None where it is not installed."""
    try:
        from sentence_transformers import CrossEncoder
    except ImportError:
        return None
    with quiet():
        encoder = CrossEncoder(str(folder), device=device, max_length=max_length, model_kwargs={"dtype": dtype})
    batches: list[tuple[torch.Tensor, int]] = []  # tokens, left on the device so as not to wait for it, and padding too
    padding = encoder.tokenizer.pad_token_id

    def count(module: Any, arguments: tuple[torch.Tensor]) -> None:
        batches.append(((arguments[0] != padding).sum(), arguments[0].numel()))

    encoder.model.get_input_embeddings().register_forward_pre_hook(count)

    def run(size: int, tasks: Sequence[RankingTask]) -> ArmResult:
        batches.clear()
        pairs = [(task.query, document) for task in tasks for document in task.documents]
        encoder.predict(pairs, batch_size=size, show_progress_bar=False)
        return ArmResult(int(sum(tokens for tokens, _ in batches)), sum(computed for _, computed in batches))

    return lambda size: partial(run, size)


def sequences_of(reranker: Reranker, tasks: Sequence[RankingTask]) -> list[TokenSequence]:
    """The model's inputs for the tasks, in their order."""
    return list(reranker.family.prepare(tasks, Tokens(reranker.family.tokenizer)).sequences)


def _plain(kind: Any, folder: Path, reranker: Reranker, dtype: torch.dtype) -> tuple[Any, torch.device]:
    """transformers' own model on the device of the core."""
    with quiet():
        model = kind.from_pretrained(folder, dtype=dtype).eval()
    return model.to(reranker.device), reranker.device


def padded_language_model(folder: Path, reranker: Reranker, dtype: torch.dtype) -> Batched:
    """The plain way to score prompts: batches padded on the left, logits of the last token.

    The prompts are made as by the core.
    """
    model, device = _plain(AutoModelForCausalLM, folder, reranker, dtype)

    @torch.inference_mode()
    def run(size: int, tasks: Sequence[RankingTask]) -> ArmResult:
        tokens = computed = 0
        sequences = sequences_of(reranker, tasks)
        for batch in (sequences[start : start + size] for start in range(0, len(sequences), size)):
            longest = max(len(sequence.ids) for sequence in batch)
            ids = np.zeros((len(batch), longest), dtype=np.int64)
            mask = np.zeros_like(ids)
            for row, sequence in enumerate(batch):
                ids[row, longest - len(sequence.ids) :] = sequence.ids
                mask[row, longest - len(sequence.ids) :] = 1
            inputs = {
                "input_ids": torch.from_numpy(ids).to(device),
                "attention_mask": torch.from_numpy(mask).to(device),
            }
            model(**inputs, logits_to_keep=1, use_cache=False).logits.float().cpu()
            tokens += int(mask.sum())
            computed += mask.size
        return ArmResult(tokens, computed)

    return lambda size: partial(run, size)


def one_query_at_a_time(folder: Path, reranker: Reranker, dtype: torch.dtype) -> Arm:
    """The plain forward of a listwise model: each context alone, all hidden states.

    The contexts are made as by the core.
    """
    model, device = _plain(AutoModel, folder, reranker, dtype)

    @torch.inference_mode()
    def run(tasks: Sequence[RankingTask]) -> ArmResult:
        tokens = 0
        for sequence in sequences_of(reranker, tasks):
            ids = torch.from_numpy(sequence.ids.astype(np.int64))[None].to(device)
            hidden = model(input_ids=ids, use_cache=False).last_hidden_state
            hidden[0, torch.from_numpy(sequence.reads.astype(np.int64)).to(device)].float().cpu()
            tokens += len(sequence.ids)
        return ArmResult(tokens, tokens)

    return run
