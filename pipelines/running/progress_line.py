"""The live line on the terminal: pairs done of all, pairs/s, tokens/s, time left."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

from transforms.job.progress import read_progress

SECONDS_ON_TERMINAL, SECONDS_IN_LOG = 0.5, 30.0


@contextmanager
def progress_line(folder: str | None, total: int | None, done: int, unit: str = "pair") -> Iterator[None]:
    """Show the progress that is accounted in a folder while the body runs; nothing is shown once it ends.

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
    interval = SECONDS_ON_TERMINAL if sys.stderr.isatty() else SECONDS_IN_LOG

    def show() -> None:
        with tqdm(
            total=total, initial=done, unit=unit, unit_scale=True, dynamic_ncols=True, leave=False, mininterval=0
        ) as bar:
            while not finished.wait(interval):
                pairs, tokens = read_progress(folder)
                seconds = bar.format_dict["elapsed"]
                if tokens:
                    bar.set_postfix_str(f"{tokens / max(seconds, 1e-9):,.0f} tokens/s", refresh=False)
                bar.update(int(done + pairs) - bar.n)
                bar.refresh()

    thread = threading.Thread(target=show, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()
