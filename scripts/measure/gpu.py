"""All that waits for a GPU, by one command: tests of kernels and of equal bits, and speeds.

    python -m scripts.measure.gpu OUT --tokenizers FOLDER [--only WORD]

FOLDER holds the families' tokenizers, as directories xlm-r, qwen3, qwen3-jina-v3 and qwen2.5. OUT gets a log of each
step, the figures of each measurement as JSON, and cards.json with the rows that pipelines/rerank/cards.json takes. The
rows of `core, plain layers` in the logs are the core without fused layers, in turns with the core.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

REPOSITORY = Path(__file__).resolve().parents[2]
TESTS = {
    "kernels": ("tests/scoring/packed/test_attention.py", "tests/scoring/families/test_kernels_in_models.py"),
    "layers": ("tests/scoring/weights/test_gpu_layers.py", "tests/scoring/weights/test_gpu_kernels.py"),
    "bits": ("tests/scoring/test_same_bits.py",),
}
# The batch budget that a job would choose, so many times: it should be one number.
CHOICES = """
from eval.throughput import tasks
from eval.throughput.options import SAMPLE
from transforms.scoring.reranker import specify
specification, lists = specify("small-cross-encoder", device="cuda"), tasks.read(str(SAMPLE), None)
print([specification.with_best_batch(lists, keep=False).execution.batch_tokens for _ in range(20)])
"""


class SpeedMeasurement(NamedTuple):
    """A measurement: its name, the model, its tokenizer's directory, what is scored in words, and further options."""

    name: str
    model: str
    tokenizer: str | None
    work: str
    options: tuple[str, ...]


V2, V3 = "jinaai/jina-reranker-v2-base-multilingual", "jinaai/jina-reranker-v3"
BGE, QWEN3 = "BAAI/bge-reranker-v2-m3", "Qwen/Qwen3-Reranker-0.6B"
MODERN = "Alibaba-NLP/gte-reranker-modernbert-base"
MXBAI = "mixedbread-ai/mxbai-rerank-{}-v2"
ETTIN = ("--pairs=8192", "--max_length=512")
SPEEDS = (
    SpeedMeasurement("embedded", "small-cross-encoder", None, "pairs", ("--pairs=40960",)),
    SpeedMeasurement("v2-155", V2, "xlm-r", "pairs", ("--pairs", "20480", "200000", "--tokens_per_pair=155")),
    SpeedMeasurement("v2-512", V2, "xlm-r", "pairs", ("--pairs=8192", "--tokens_per_pair=512")),
    SpeedMeasurement("bge-155", BGE, "xlm-r", "pairs", ("--pairs=20480", "--tokens_per_pair=155")),
    SpeedMeasurement("bge-ettin", BGE, "xlm-r", "pairs of at most 512 tokens", ETTIN),
    SpeedMeasurement("mxbai-base-ettin", MXBAI.format("base"), "qwen2.5", "pairs of at most 512 tokens", ETTIN),
    SpeedMeasurement("mxbai-large-ettin", MXBAI.format("large"), "qwen2.5", "pairs of at most 512 tokens", ETTIN),
    SpeedMeasurement("modernbert", MODERN, None, "pairs, by MiniLM's tokenizer", ("--pairs=20480",)),
    SpeedMeasurement(
        "v3-100",
        V3,
        "qwen3-jina-v3",
        "lists of 100 in groups of 125",
        ("--pairs=6400", "--list_size=100", "--group_size=125", "--tokens_per_pair=145"),
    ),
    SpeedMeasurement(
        "v3-10", V3, "qwen3-jina-v3", "lists of 10", ("--pairs=6400", "--list_size=10", "--tokens_per_pair=145")
    ),
    SpeedMeasurement(
        "qwen3-0.6b",
        QWEN3,
        "qwen3",
        "100 documents a query",
        ("--pairs=6400", "--list_size=100", "--tokens_per_pair=155"),
    ),
)


def steps(out: Path, tokenizers: Path) -> Iterator[tuple[str, list[str]]]:
    """The name and the command of each step."""
    for name, files in TESTS.items():
        yield name, [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    yield "budget", [sys.executable, "-c", CHOICES]
    yield "host", [sys.executable, "-m", "eval", "throughput", "--host_only", "--pairs=8192", "--repeats=5"]
    for one in SPEEDS:
        named = [] if one.tokenizer is None else [f"--tokenizer={tokenizers / one.tokenizer}"]
        command = [sys.executable, "-m", "eval", "throughput", f"--model={one.model}", *named, *one.options]
        yield one.name, [*command, f"--json={out / one.name}.json"]


def card_rows(figures: Mapping[str, Any], work: str, date: str, commit: str) -> list[dict[str, Any]]:
    """Rows for the table of cards: of the first number of pairs, and of each at which the job was measured too."""
    arms = figures["arms"]
    common = {
        "date": date,
        "card": figures["machine"]["device"].removeprefix("NVIDIA ").split()[0].lower(),
        "commit": commit,
        "dtype": figures["execution"]["dtype"],
        "model": figures["model"],
    }
    peers = [row["pairs_per_second"] for name, row in arms.items() if name.startswith(("sentence-tr", "plain forward"))]
    speeds = {name: round(row["pairs_per_second"]) for name, row in arms.items()}
    rows = []
    for name in (name for name in arms if name == "core" or (name.startswith("core, ") and name.endswith(" pairs"))):
        further = name.removeprefix("core")
        first = not further
        rows.append(
            common
            | {
                "work": work if first else f"{work}, {further.removeprefix(', ').removesuffix(' pairs')} of them",
                "tokens_per_pair": round(arms[name]["tokens"] / arms[name]["pairs"]),
                "core": speeds[name],
                "job": speeds.get(f"whole job{further}"),
                "ceiling": speeds.get("ceiling") if first else None,
                "peer": round(max(peers)) if first and peers else None,
            }
        )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tokenizers", type=Path, required=True, help="directory of the families' tokenizers")
    parser.add_argument("--only", default="", help="steps whose name has this word")
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    failed = []
    for name, command in steps(out, arguments.tokenizers.resolve()):
        if arguments.only in name:
            with (out / f"{name}.log").open("w", encoding="utf-8") as log:
                done = subprocess.run(command, cwd=REPOSITORY, env=environment, stdout=log, stderr=log, check=False)
            print(f"{name}: {'done' if done.returncode == 0 else 'FAILED'}", flush=True)
            failed += [name] * (done.returncode != 0)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    ).stdout.strip()
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    rows = [
        row
        for one in SPEEDS
        if (path := out / f"{one.name}.json").exists()
        for row in card_rows(json.loads(path.read_text(encoding="utf-8")), one.work, today, commit)
    ]
    (out / "cards.json").write_text(
        "[\n  " + ",\n  ".join(json.dumps(row) for row in rows) + "\n]\n" if rows else "[]\n", encoding="utf-8"
    )
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
