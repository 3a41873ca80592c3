"""How much of a GPU's time a job would use: all that the host does, beside a device that takes its time and no work.

    python -m scripts.measure.beside_gpu --pairs 20000 --pairs_per_second 4000

Of texts of 155 tokens a pair the device does so many pairs a second. As on a GPU, a pass begins when the one before it
has ended, and the next one is packed meanwhile. The job's time, its start and the model's loading included, is set
against that of all passes: with the next shard read and tokenised, and the last one committed, beside scoring, as where
a GPU scores; and with one thing after the other.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

from eval.throughput import tasks
from eval.throughput.arms import write_candidates
from eval.throughput.host import PAIR_TOKENS
from eval.throughput.options import SAMPLE
from eval.throughput.random_models import tokenizer
from pipelines.rerank.job import build
from pipelines.running.runner import Runner, run_graph
from transforms.input.inputs import inspect
from transforms.input.plan import plan
from transforms.layout import RERANKING
from transforms.rerank import NAMESPACE, PlannedUnit, Reading, Rerank, stage_seconds
from transforms.scoring.packed import execution
from transforms.scoring.packed.packing import Packed
from transforms.scoring.reranker import Reranker, Specification, specify_model

MODEL = "small-cross-encoder"


class Device:
    """Does passes one after the other, each in the time that its tokens take."""

    def __init__(self, tokens_per_second: float) -> None:
        self._tokens_per_second = tokens_per_second
        self._free = 0.0  # from when on

    def begin(self, packed: Packed) -> torch.Tensor:
        """Begins a pass, when the one before it has ended; gives its scores, which are there when it ends."""
        self.wait()
        self._free = time.perf_counter() + len(packed.ids) / self._tokens_per_second
        return torch.zeros(len(packed.reads), 1)

    def wait(self) -> None:
        """Until the last pass has ended."""
        time.sleep(max(0.0, self._free - time.perf_counter()))


@dataclass(frozen=True)
class Simulated(Specification):
    """The embedded model, whose layers such a device computes."""

    tokens_per_second: float = 1.0
    beside: bool = True

    @property
    def leaves_cpu_free(self) -> bool:
        """As chosen."""
        return self.beside

    def load(self) -> Reranker:
        """The model with the device in the place of its layers."""
        reranker, device = Reranker(self), Device(self.tokens_per_second)
        family: Any = reranker.family
        finish = family.finish

        def finished(*results: Any) -> Any:
            device.wait()
            return finish(*results)

        family.forward, family.finish = device.begin, finished
        return reranker


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", default=str(SAMPLE))
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--pairs_per_second", type=float, default=4_000)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    run = execution.resolve("cpu", "float32", execution.BATCH_TOKENS["cuda"])
    chosen = vars(specify_model(MODEL, run))
    with tempfile.TemporaryDirectory() as folder:
        lists = tasks.take(tasks.read(arguments.candidates, None), arguments.pairs)
        write_candidates(tasks.of_length(lists, PAIR_TOKENS, tokenizer(512)), Path(folder, "in.parquet"))
        work = [PlannedUnit(unit, frozenset()) for unit in plan(inspect([f"{folder}/in.parquet"])).units]
        for number in range(arguments.repeats):
            for beside in (True, False):
                rate = arguments.pairs_per_second * PAIR_TOKENS
                specification = Simulated(**chosen, tokens_per_second=rate, beside=beside)
                output = Path(folder, f"{number}-{beside}")
                for part in RERANKING.parts:
                    Path(output, part).mkdir(parents=True)
                rerank = Rerank(str(output), specification, Reading(shard_pairs=4096))
                runner = Runner(FnApiRunner(), PipelineOptions([]), local=True)
                start, worked = time.perf_counter(), time.process_time()
                metrics = run_graph(partial(build, work=work, rerank=rerank), runner, NAMESPACE)
                seconds, worked = time.perf_counter() - start, time.process_time() - worked
                passes = metrics["forward_tokens"] / rate
                stages = ", ".join(f"{name} {took:.2f}" for name, took in stage_seconds(metrics).items())
                print(
                    f"{'beside' if beside else 'in turn'}: {seconds:.2f} s, the device {passes:.2f} s of them, "
                    f"{passes / seconds:.1%}; the processor worked {worked:.2f} s ({stages})",
                    flush=True,
                )


if __name__ == "__main__":
    main()
