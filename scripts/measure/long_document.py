"""What a document of many characters takes in memory: in the tokenizer, and in a whole job beside one of few.

    python -m scripts.measure.long_document TOKENIZER ... --characters 10000000

TOKENIZER is a directory with a tokenizer.json; each is measured in a process of its own, as is the job, which scores
one pair with the embedded model. The words are those of a script; numbers are words with random hexadecimal digits.
"""

from __future__ import annotations

import argparse
import random
import re
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from scripts.measure.memory import WORDS, peak

T = TypeVar("T")


def make_text(kind: str, characters: int) -> str:
    chance = random.Random(0)
    words: list[str] = []
    size = 0
    while size < characters:
        words.append(chance.choice(WORDS) + (f"{chance.getrandbits(48):x}" if kind == "numbers" else ""))
        size += len(words[-1]) + 1
    return " ".join(words)[:characters]


def resident(name: str) -> float:
    """Bytes of this process: now (VmRSS), or at most (VmHWM)."""
    match = re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert match
    return int(match[1]) * 1024.0


def in_tokenizer(folder: str, kind: str, characters: int) -> tuple[str, int, float]:
    """What makes the ids, how many there are, and the bytes that making them takes above the loaded tokenizer."""
    from transformers import AutoTokenizer

    from transforms.scoring.tokenising.tokeniser import tokeniser_of

    tokeniser = tokeniser_of(AutoTokenizer.from_pretrained(folder).backend_tokenizer)
    text = make_text(kind, characters)
    tokeniser.encode(["a first text"])
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = resident("VmRSS")
    (ids,) = tokeniser.encode([text])
    return tokeniser.name, len(ids), resident("VmHWM") - before


def write_input(path: Path, kind: str, characters: int) -> None:
    candidates = [{"doc_id": "d", "text": make_text(kind, characters)}]
    pq.write_table(pa.table({"query_id": ["q"], "query": ["a query"], "candidates": [candidates]}), path)


def apart(work: Callable[..., T], *arguments: object) -> T:
    """The result of work in a new process, so that neither holds what the other has read."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(work, *arguments).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizers", nargs="*")
    parser.add_argument("--characters", type=int, default=10_000_000)
    arguments = parser.parse_args()
    for folder in arguments.tokenizers:
        for kind in ("words", "numbers"):
            name, tokens, used = apart(in_tokenizer, folder, kind, arguments.characters)
            print(f"{Path(folder).name}, {kind}: {tokens:,} tokens, {used / 1e6:,.0f} MB, {name}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("words", "numbers"):
            peaks = []
            for characters in (100, arguments.characters):
                source = Path(folder, f"{kind}-{characters}.parquet")
                apart(write_input, source, kind, characters)
                peaks.append(peak(source, Path(folder, f"out-{kind}-{characters}"))[0])
            print(f"a job, {kind}: {(peaks[1] - peaks[0]) / 1e6:,.0f} MB above that of a short document", flush=True)


if __name__ == "__main__":
    main()
