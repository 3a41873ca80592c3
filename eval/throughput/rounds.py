"""The measurement itself: all arms in turns, and the table that is made of it."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

from eval.ranking.summary import align
from eval.throughput import arms, least_time, random_models
from eval.throughput.arms import Arm, Batched
from eval.throughput.options import (
    APART,
    CEILING,
    CORE,
    DEFAULT,
    JOB,
    JOB_PAIRS,
    PEER_BATCH,
    PLAIN,
    SAME_DTYPE,
    UNFUSED,
)
from eval.throughput.peers import at_batch, batches_for, best_batches
from eval.throughput.request import ThroughputRequest
from eval.throughput.sizes import has_weights
from eval.throughput.tasks import of_length, take
from transforms.base.cost import cost_of
from transforms.base.errors import UserError
from transforms.base.versions import version
from transforms.base.words import number_of
from transforms.scoring import RankingTask, Reranker, catalogue
from transforms.scoring.packed.execution import DTYPES, resolve
from transforms.scoring.reranker import specify_model
from transforms.scoring.weights import gpu_layers

WARM_UP = 8  # documents
LARGE = 0.7  # billions of parameters, above which a CPU is asked for by --large


def measure(request: ThroughputRequest, lists: Sequence[RankingTask], folder: Path) -> dict[str, Any]:
    """All figures of a command line, as JSON can hold them.

    Args:
        request: what to measure.
        lists: what to score.
        folder: for checkpoints, and what the job reads and writes.

    Raises:
        UserError: the model is unavailable, or cannot be run so.
    """
    reranker, place = load(request, take(lists, request.sizes[0]), folder)
    specification = reranker.specification
    chosen = all_arms(request, reranker, place, folder)
    device = reranker.device

    def some(pairs: int) -> list[RankingTask]:
        taken, each = take(lists, pairs), request.tokens_per_pair
        return taken if each is None else of_length(taken, each, reranker.family.tokenizer)

    least = JOB_PAIRS if device.type == "cuda" and JOB in chosen else 0
    first, *further = request.sizes if max(request.sizes) >= least else (*request.sizes, least)

    def at(pairs: int, names: Collection[str]) -> dict[str, Arm]:
        """The arms of these names that are measured at so many pairs."""
        return {name: arm for name, arm in chosen.items() if name in names and (name != JOB or pairs >= least)}

    tasks = some(first)
    rows = rounds(at(first, chosen), tasks, request.repeats, device)
    for pairs in further:
        more = rounds(at(pairs, (CORE, JOB)), some(pairs), 1, device)
        rows |= {f"{name}, {number_of(pairs, 'pair', 'pairs')}": row for name, row in more.items()}
    for row in rows.values():
        row["cost_per_1000"] = (
            None if request.price_per_hour is None else cost_of(1000 / row["pairs_per_second"], request.price_per_hour)
        )
    return {
        "model": request.model,
        "pairs": first,
        "tokens_per_pair": rows[CORE]["tokens"] / first,
        "lists": len(tasks),
        "execution": {**vars(specification.execution)},
        "settings": {"group_size": getattr(specification.settings, "group_size", None)},
        "machine": machine(device),
        "arms": rows,
        "peers": best_batches(rows),
    }


def load(request: ThroughputRequest, tasks: Sequence[RankingTask], folder: Path) -> tuple[Reranker, str]:
    """The model for such tasks, and the directory or name that it was loaded from."""
    assert request.model is not None  # without one only the host is measured
    choices: dict[str, Any] = {
        "device": request.device,
        "dtype": request.dtype,
        "attention": request.attention,
        "batch_tokens": request.batch_tokens,
    }
    options = {"group_size": request.group_size, "max_length": request.max_length}
    entry = catalogue.named(request.model)
    place, like = request.model, request.model_like
    if not has_weights(request.model):
        waits = request.large or (torch.cuda.is_available() and request.device != "cpu")
        if entry is not None and entry.parameters > LARGE and not waits:
            raise UserError(
                f"--model {request.model}: {entry.parameters}B parameters on a CPU; say --large to wait for it"
            )
        like = random_models.make(request.model, folder / "model", request.tokenizer).like
        place = str(folder / "model")
    specification = specify_model(place, resolve(**choices), like=like, options=options)
    if specification.model.family == "embedding":
        raise UserError(f"--model {request.model}: give a reranker that is loaded here")
    if request.batch_tokens is None:
        specification = specification.with_best_batch(tasks, keep=True)  # as the job does
    return specification.load(), place


def all_arms(request: ThroughputRequest, reranker: Reranker, place: str, folder: Path) -> dict[str, Arm]:
    """What is to be measured of a model, by name; the first is the core."""
    specification, run = reranker.specification, reranker.specification.execution
    directory, dtype, device = specification.checkpoint.directory, DTYPES[run.dtype], str(reranker.device)
    arms_here: dict[str, Arm] = {CORE: arms.core(reranker), CEILING: arms.ceiling(reranker)}
    if reranker.device.type == "cuda" and UNFUSED not in request.without:
        other = Reranker(specification)
        if gpu_layers.restore(other.family.backbone.model):  # type: ignore[attr-defined] # as of `arms.ceiling`
            arms_here[UNFUSED] = arms.core(other)
    batches = batches_for(request.sizes[0])
    others: list[tuple[str, Batched | None, list[int]]] = []
    if specification.model.family == "cross_encoder":
        kinds = {DEFAULT: (torch.float32, [PEER_BATCH]), SAME_DTYPE: (dtype, batches)}
        if dtype == torch.float32:
            kinds = {DEFAULT: (dtype, batches)}
        others += [
            (name, arms.sentence_transformers(directory, device, kind, request.max_length), sizes)
            for name, (kind, sizes) in kinds.items()
            if name not in request.without
        ]
    if specification.model.family == "yes_no":
        arms_here[APART] = arms.core_apart(reranker)
        if PLAIN not in request.without:
            others.append((PLAIN, arms.padded_language_model(directory, reranker, dtype), batches))
    for name, peer, sizes in others:
        arms_here |= {at_batch(name, size): peer(size) for size in sizes} if peer is not None else {}
    if specification.model.family == "listwise":
        arms_here[PLAIN] = arms.one_query_at_a_time(directory, reranker, dtype)
    options = {
        "device": device,  # by its number where there are several, so that the job takes that one alone too
        "dtype": run.dtype,
        "attention": run.attention,
        "batch_tokens": run.batch_tokens,
        "group_size": request.group_size,
        "max_length": request.max_length,
        "model_like": specification.model.name if place != specification.model.name else None,
    }
    words = [f"--{name}={value}" for name, value in options.items() if value]
    arms_here[JOB] = arms.job(place, words, folder)
    return {name: arm for name, arm in arms_here.items() if name not in request.without}


def rounds(
    chosen: Mapping[str, Arm], tasks: Sequence[RankingTask], repeats: int, device: torch.device
) -> dict[str, dict[str, Any]]:
    """Figures of each arm; all take turns, so that each meets whatever else the machine does.

    Every round's seconds and rates are kept; the ratio to the core is the median of those within a round.
    """
    pairs = sum(len(task.documents) for task in tasks)
    rows: dict[str, dict[str, Any]] = {
        name: {"pairs": pairs, "seconds": [], "rates": [], "peak_memory": 0} for name in chosen
    }
    for name, arm in chosen.items():
        if name != JOB:  # whose start is not counted
            arm([tasks[0]._replace(documents=tasks[0].documents[:WARM_UP])])
    for _ in range(repeats):
        for name, arm in chosen.items():
            work, seconds, memory = timed(lambda arm=arm: arm(tasks), device)  # type: ignore[misc]
            row = rows[name]
            row["seconds"].append(seconds if work.seconds is None else work.seconds)
            row["rates"].append(dict(work.rates))
            not_here = work.seconds is not None or memory is None
            row["peak_memory"] = None if not_here else max(row["peak_memory"], memory)
            row |= {"tokens": work.tokens, "padding_share": 1 - work.tokens / work.computed}
    for row in rows.values():
        seconds = median(row["seconds"])
        row |= {"pairs_per_second": pairs / seconds, "tokens_per_second": row["tokens"] / seconds}
        row["core_is_faster"] = median(
            mine / core for mine, core in zip(row["seconds"], rows[CORE]["seconds"], strict=True)
        )
    return rows


def timed(work: Callable[[], arms.ArmResult], device: torch.device) -> tuple[arms.ArmResult, float, int | None]:
    """What the work gave, its seconds, and the most bytes in use meanwhile: on the GPU, else of this process."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        _forget_peak()
    least_time.synchronise(device)
    start = time.perf_counter()
    done = work()
    least_time.synchronise(device)
    seconds = time.perf_counter() - start
    return done, seconds, torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _peak()


def _forget_peak() -> None:
    """Have Linux count the process' peak memory anew."""
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int | None:
    """Bytes; None where the system does not report it."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)


def machine(device: torch.device) -> dict[str, Any]:
    """What the figures were measured on."""
    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), processor)
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else processor,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": version("transformers"),
    }


def table(report: Mapping[str, Any]) -> str:
    """The figures as text."""
    run, ceiling = report["execution"], report["arms"].get(CEILING)
    lines = [
        f"{report['model']}: {number_of(report['pairs'], 'pair', 'pairs')} in "
        f"{number_of(report['lists'], 'list', 'lists')}, {report['tokens_per_pair']:.0f} tokens a pair; "
        f"{run['dtype']}, {run['attention']}, {run['batch_tokens']:,} tokens a pass",
        f"on {report['machine']['device']}, {report['machine']['threads']} threads, torch {report['machine']['torch']}",
        "",
    ]
    priced = any(row["cost_per_1000"] is not None for row in report["arms"].values())
    cells = [
        ["", "pairs/s", "least", "most", "tokens/s", "padding", "memory", "core is faster"] + ["cost of 1,000"] * priced
    ]
    for name, row in report["arms"].items():
        speeds = [row["pairs"] / seconds for seconds in row["seconds"]]
        memory = "" if row["peak_memory"] is None else f"{row['peak_memory'] / 2**30:.2f} GiB"
        figures = [f"{row['pairs_per_second']:,.1f}", f"{min(speeds):,.1f}", f"{max(speeds):,.1f}"]
        figures += [f"{row['tokens_per_second']:,.0f}", f"{row['padding_share']:.1%}", memory]
        cost = [f"{row['cost_per_1000']:.5f}"] if priced else []
        cells.append([name, *figures, f"{row['core_is_faster']:.2f}", *cost])
    lines += align(cells)
    if report["peers"]:
        lines.append("")
    for peer, best in report["peers"].items():
        times, batch = best["core_is_faster"], best["batch"]
        lines.append(f"the core is {times:.2f} times as fast as {peer} at its best batch, {batch}")
    if ceiling is None:
        return "\n".join(lines)
    lines += [
        "",
        f"the core reaches {ceiling['core_is_faster']:.0%} of the ceiling, which is made of",
        *(f"  {kind} at {rate_of(ceiling['rates'], kind)} GFLOP/s" for kind in ceiling["rates"][0]),
    ]
    return "\n".join(lines)


def rate_of(rounds: Sequence[Mapping[str, float]], kind: str) -> str:
    """A rate in GFLOP/s, from the slowest round's to the fastest's."""
    rates = [rates[kind] / 1e9 for rates in rounds]
    return f"{min(rates):,.0f} to {max(rates):,.0f}"
