"""The ids and the speed of the engines that tokenise, against those of the tokenizers library, on one core.

    RAYON_NUM_THREADS=1 python scripts/measure/tokenising.py TOKENIZER ... --texts CANDIDATES.parquet ...

TOKENIZER is a directory with a tokenizer.json. The texts are all queries and documents of the candidate lists, each
once; as many passages cut out of them at random as make up --passages; and --odd texts that tokenizers may disagree on.
Exit code 1 where any ids differ.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from transformers import AutoTokenizer

from tests.support.odd_texts import odd_texts
from transforms.scoring.packed.ragged import Ids
from transforms.scoring.results import Failure
from transforms.scoring.tokenising.library import Library
from transforms.scoring.tokenising.tokeniser import Tokeniser

AT_ONCE = 2_000
LONGEST = 600  # characters of a passage


def real_texts(paths: Sequence[Path]) -> list[str]:
    """All texts of the lists, each once."""
    texts: dict[str, None] = {}
    for path in paths:
        for row in pq.read_table(path, columns=["query", "candidates"]).to_pylist():
            texts[row["query"]] = None
            for candidate in row["candidates"]:
                texts |= dict.fromkeys(filter(None, (candidate.get("title"), candidate.get("text"))))
    return list(texts)


def passages(texts: Sequence[str], number: int) -> Iterator[str]:
    """Stretches of the texts, cut anywhere."""
    draw = random.Random(0)
    for _ in range(number):
        text = draw.choice(texts)
        start = draw.randrange(len(text))
        yield text[start : start + draw.randrange(1, LONGEST)]


def timed(encode: Callable[[Sequence[str]], list[Any]], texts: Sequence[str]) -> tuple[list[Ids | Failure], float]:
    """What it gives, and the processor's seconds that it took."""
    start = time.process_time()
    ids = encode(texts)
    return ids, time.process_time() - start


def same(one: Ids | Failure, other: Ids | Failure) -> bool:
    if isinstance(one, Failure) or isinstance(other, Failure):
        return one == other
    return np.array_equal(one, other)


def compare(name: str, kind: str, texts: Iterator[str], fast: Tokeniser, library: Library) -> int:
    """Prints a row; returns how many texts differ."""
    number = tokens = differ = 0
    seconds = np.zeros(2)
    while some := list(islice(texts, AT_ONCE)):
        expected, spent = timed(fast.encode, some)
        wanted, most = timed(library.encode, some)
        seconds += spent, most
        number += len(some)
        tokens += sum(len(ids) for ids in wanted if not isinstance(ids, Failure))
        wrong = [text for text, a, b in zip(some, expected, wanted, strict=True) if not same(a, b)]
        differ += len(wrong)
        if wrong:
            print(f"differs: {wrong[0]!r}", file=sys.stderr)
    if not number:
        return 0
    ours, theirs = tokens / seconds / 1e6
    print(f"| {name} | {kind} | {number:,} | {differ} | {ours:.2f} | {theirs:.2f} | {ours / theirs:.1f} |", flush=True)
    return differ


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizers", nargs="+", type=Path)
    parser.add_argument("--texts", nargs="+", type=Path, required=True)
    parser.add_argument("--passages", type=int, default=0)
    parser.add_argument("--odd", type=int, default=0)
    arguments = parser.parse_args()
    real, differ = real_texts(arguments.texts), 0
    print("| tokenizer | texts | number | differ | M tokens/s | tokenizers | times |\n|---|---|---|---|---|---|---|")
    for folder in arguments.tokenizers:
        backend = AutoTokenizer.from_pretrained(folder).backend_tokenizer
        backend.no_truncation()
        backend.no_padding()
        added = [token.content for token in backend.get_added_tokens_decoder().values()]
        fast, library = Tokeniser(backend), Library(backend)
        name = f"{folder.name}: {fast.name}"
        for kind, texts in (
            ("real", iter(real)),
            ("passages", passages(real, arguments.passages)),
            ("odd", odd_texts(arguments.odd, added)),
        ):
            differ += compare(name, kind, texts, fast, library)
    return int(differ > 0)


if __name__ == "__main__":
    sys.exit(main())
