"""Listwise scoring of short lists: packed against one group at a time, in one process, bfloat16 on the CPU.

    python scripts/bench_listwise_packing.py --tokenizer DIRECTORY

Lists of 10 documents of 60 tokens; a model of jina-reranker-v3's sizes with random weights, since only time is
measured. The two ways take turns, so that both meet whatever else the machine does; the least time of each counts.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from statistics import median
from typing import Any

import torch
from transformers import AutoTokenizer, Qwen3Config, Qwen3Model

from transforms.scoring import engine
from transforms.scoring.attention import implementation
from transforms.scoring.backbones import Backbone
from transforms.scoring.listwise import Listwise, Settings
from transforms.scoring.packing import TokenSequence
from transforms.scoring.results import RankingTask
from transforms.scoring.tokenise import Tokens

DOCUMENTS, WORDS, BUDGET = 10, 60, 8192
SIZES: dict[str, Any] = {  # config.json of jinaai/jina-reranker-v3
    "vocab_size": 151_936,
    "hidden_size": 1024,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 3072,
    "max_position_embeddings": 131_072,
}
CPU = torch.device("cpu")


def random_model(tokenizer_folder: str) -> Listwise:
    """jina-reranker-v3's sizes with random weights."""
    config = Qwen3Config(**SIZES, use_cache=False)
    model = Qwen3Model._from_config(config, dtype=torch.bfloat16, attn_implementation=implementation("sdpa")).eval()
    projector = [torch.randn(512, 1024), torch.randn(512, 512)]
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    return Listwise(Settings(max_length=131_072), Backbone(model, "qwen3"), projector, tokenizer)


def seconds(model: Listwise, sequences: list[TokenSequence], budget: int) -> float:
    """How long all contexts take with so many tokens in a pass, at most."""
    start = time.perf_counter()
    engine.run(sequences, model.forward, budget=budget, device=CPU, counts=Counter())
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", required=True, help="directory with jina-reranker-v3's tokenizer")
    parser.add_argument("--lists", type=int, default=16, help="lists to score (default: 16)")
    parser.add_argument("--repeats", type=int, default=5, help="times each way is measured (default: 5)")
    args = parser.parse_args()

    torch.manual_seed(0)
    model = random_model(args.tokenizer)
    documents = ["the" + " the" * (WORDS - 1)] * DOCUMENTS
    tasks = [RankingTask(f"what is it that list {number} asks?", documents) for number in range(args.lists)]
    sequences = model.prepare(tasks, Tokens(model.tokenizer)).sequences
    tokens = sum(len(sequence.ids) for sequence in sequences)
    print(f"{len(sequences)} lists, {tokens:,} tokens, {torch.get_num_threads()} threads")

    seconds(model, sequences[:2], BUDGET)  # the first pass allocates
    packed, alone = [], []
    for _ in range(args.repeats):
        packed.append(seconds(model, sequences, BUDGET))
        alone.append(seconds(model, sequences, 1))
    for name, times in (("packed", packed), ("one at a time", alone)):
        print(f"{name:<14} {tokens / min(times):,.0f} tokens/s at best, {tokens / median(times):,.0f} in the median")
    print(f"ratio          {min(alone) / min(packed):.2f} at best, {median(alone) / median(packed):.2f} in the median")


if __name__ == "__main__":
    main()
