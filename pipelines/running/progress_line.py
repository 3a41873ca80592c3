"""How far a job is, for people: a live line on a terminal, a line every half minute in a log."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from tqdm import tqdm

from transforms.job.progress import read_progress

SECONDS_ON_TERMINAL, SECONDS_IN_LOG = 0.5, 30.0


@contextmanager
def progress_line(folder: str | None, total: int | None, done: int, unit: str = "pair") -> Iterator[None]:
    """Show the progress that is accounted in a folder while the body runs; nothing more once it ends.

    Args:
        folder: see `transforms.job.progress`; None for no line.
        total: pairs of the job; None if unknown.
        done: pairs that earlier runs of the job did.
        unit: what is counted, where that is not pairs.
    """
    if folder is None:
        yield
        return
    finished = threading.Event()
    show = partial(_bar if sys.stderr.isatty() else _lines, folder, total, done, unit, finished)
    thread = threading.Thread(target=show, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()


def _bar(folder: str, total: int | None, done: int, unit: str, finished: threading.Event) -> None:
    """On a terminal: one line that is written over."""
    with tqdm(
        total=total, initial=done, unit=unit, unit_scale=True, dynamic_ncols=True, leave=False, mininterval=0
    ) as bar:
        while not finished.wait(SECONDS_ON_TERMINAL):
            pairs, tokens = read_progress(folder)
            seconds = bar.format_dict["elapsed"]
            if tokens:
                bar.set_postfix_str(f"{tokens / max(seconds, 1e-9):,.0f} tokens/s", refresh=False)
            bar.update(int(done + pairs) - bar.n)
            bar.refresh()


def _lines(folder: str, total: int | None, done: int, unit: str, finished: threading.Event) -> None:
    """In a log: a line every half minute."""
    start = time.monotonic()
    while not finished.wait(SECONDS_IN_LOG):
        pairs, tokens = read_progress(folder)
        print(line_of(done + int(pairs), total, pairs, tokens, time.monotonic() - start, unit), file=sys.stderr)


def line_of(done: int, total: int | None, pairs: float, tokens: int, seconds: float, unit: str) -> str:
    """One line of a log.

    Args:
        done: pairs that are done.
        total: pairs of the job; None if unknown.
        pairs: those of them that this run did.
        tokens: that this run did.
        seconds: since it began.
        unit: what is counted.
    """
    words = [f"{done:,} of {total:,} {unit}s" if total is not None else f"{done:,} {unit}s"]
    words.append(f"{pairs / seconds:,.1f} {unit}s/s")
    if tokens:
        words.append(f"{tokens / seconds:,.0f} tokens/s")
    if total is not None and pairs:
        words.append(f"{tqdm.format_interval(max(total - done, 0) * seconds / pairs)} left")
    return ", ".join(words)
