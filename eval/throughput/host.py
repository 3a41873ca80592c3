"""How fast the host makes a model's inputs of texts, apart from the model: what a GPU must not be left waiting for."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from tokenizers import Regex
from tokenizers.pre_tokenizers import Sequence as Steps
from tokenizers.pre_tokenizers import Split

from eval.ranking.summary import align
from eval.throughput import random_models, rounds
from eval.throughput.request import ThroughputRequest
from eval.throughput.tasks import of_length, take
from transforms.base.words import number_of
from transforms.scoring import RankingTask
from transforms.scoring.families import cross_encoder, embedding, listwise, m0, yes_no
from transforms.scoring.families.causal import CausalReranker
from transforms.scoring.families.tokenise import Tokens
from transforms.scoring.packed import execution, run_batches
from transforms.scoring.packed.packing import pack
from transforms.scoring.reranker import CHUNK_PAIRS, Family, chunks_of
from transforms.scoring.settings import (
    CrossEncoderSettings,
    EmbeddingSettings,
    ListwiseSettings,
    M0Settings,
    YesNoSettings,
)

PAIR_TOKENS = 155  # of query, document and special tokens, as jina-reranker-v2 has on average on DBpedia-Entity
STEPS = ("tokenise", "prepare", "plan", "pack")
HOST = "prepare, plan and pack"
CPU = torch.device("cpu")


def measure(request: ThroughputRequest, lists: Sequence[RankingTask], folder: Path) -> dict[str, Any]:
    """All figures of a command line, as JSON can hold them.

    Args:
        request: what to measure.
        lists: what to make inputs of, cut or filled to the length that is asked for, else PAIR_TOKENS a pair.
        folder: for a checkpoint.

    Raises:
        UserError: the model is unavailable.
    """
    each = request.tokens_per_pair or PAIR_TOKENS
    tasks = of_length(take(lists, request.sizes[0]), each, random_models.tokenizer(512))
    pairs = sum(len(task.documents) for task in tasks)
    budget = request.batch_tokens or execution.BATCH_TOKENS["cuda"]
    taken: dict[str, list[dict[str, float]]] = {}
    read: dict[str, int] = {}
    families = families_of(request, folder)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for name, family in families.items():
        taken[name] = [seconds_of(family, tasks, budget) for _ in range(request.repeats)]
        read[name] = int(family.prepare(tasks, Tokens(family.tokenizer)).sequences.lengths.sum())
    torch.set_num_threads(threads)
    return {
        "pairs": pairs,
        "batch_tokens": budget,
        "machine": rounds.machine(CPU),
        "families": {
            name: {"tokens": read[name], "seconds": each, "pairs_per_second": rates(each, pairs)}
            for name, each in taken.items()
        },
    }


def families_of(request: ThroughputRequest, folder: Path) -> dict[str, Family]:
    """That of the model, as it is loaded; without one each family, without weights, with the embedded tokenizer."""
    if request.model is not None:
        reranker, _ = rounds.load(request, (), folder)
        return {reranker.specification.model.family: reranker.family}
    backbone: Any = SimpleNamespace(causal=True)
    head: Any = None
    pairs, prompts = random_models.tokenizer(512), random_models.tokenizer(131_072, prompts=True)
    lists = random_models.tokenizer(131_072, prompts=True)
    words = Split(Regex(listwise.QWEN_WORDS), "isolated")  # as jina-reranker-v3's own, so that documents stand apart
    lists.backend_tokenizer.pre_tokenizer = Steps([words, lists.backend_tokenizer.pre_tokenizer])
    encoder = EmbeddingSettings(max_length=512, size=1, pooling="mean", similarity="cosine")
    return {
        "cross_encoder": cross_encoder.CrossEncoder(CrossEncoderSettings(512), backbone, head, pairs),
        "embedding": embedding.Embedder(encoder, pairs, [backbone]),
        "yes_no": CausalReranker(prompts, yes_no.Reader(YesNoSettings(), prompts), backbone, head),
        "m0": CausalReranker(prompts, m0.Reader(M0Settings(), prompts), backbone, head),
        "listwise": listwise.Listwise(ListwiseSettings(131_072), backbone, (), lists),
    }


def seconds_of(family: Family, tasks: Sequence[RankingTask], budget: int) -> dict[str, float]:
    """Processor time of each of STEPS, in the chunks that the core takes.

    Tokenising is what a chunk takes longer whose texts are new. A copy of `Tokens` knows the same texts, and to the
    embedding family, which remembers what it has embedded, is another shard.
    """
    seconds = dict.fromkeys(STEPS, 0.0)
    new = Tokens(family.tokenizer)
    chunks = list(chunks_of(tasks, CHUNK_PAIRS))
    for chunk in chunks:
        start = time.process_time()
        family.prepare(chunk, new)
        seconds["tokenise"] += time.process_time() - start
    known = copy.copy(new)
    for chunk in chunks:
        times = [time.process_time()]
        sequences = family.prepare(chunk, known).sequences
        times.append(time.process_time())
        batches = run_batches.plan(sequences, budget)
        times.append(time.process_time())
        for batch in batches:
            pack(sequences.take(batch), CPU)
        times.append(time.process_time())
        for step, first, last in zip(STEPS[1:], times[:-1], times[1:], strict=True):
            seconds[step] += last - first
    seconds["tokenise"] -= seconds["prepare"]
    return seconds


def rates(repeats: Sequence[Mapping[str, float]], pairs: int) -> dict[str, float]:
    """Pairs a second of each step, and of all but tokenising together, each in its fastest repeat."""
    totals = {step: min(seconds[step] for seconds in repeats) for step in STEPS}
    totals[HOST] = min(sum(seconds[step] for step in STEPS[1:]) for seconds in repeats)
    return {step: pairs / max(seconds, 1e-9) for step, seconds in totals.items()}


def table(report: Mapping[str, Any]) -> str:
    """The figures as text."""
    lines = [
        f"{number_of(report['pairs'], 'pair', 'pairs')}; pairs/s of one core, the fastest repeat; "
        f"{report['batch_tokens']:,} tokens a pass",
        f"on {report['machine']['device']}",
        "",
    ]
    cells = [["", "tokens a pair", *STEPS, HOST]]
    for name, row in report["families"].items():
        speeds = [f"{row['pairs_per_second'][step]:,.0f}" for step in (*STEPS, HOST)]
        cells.append([name, f"{row['tokens'] / report['pairs']:.0f}", *speeds])
    return "\n".join([*lines, *align(cells)])
