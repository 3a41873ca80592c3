"""Tokenising in processes of their own, which neither wait for this one's lock nor hold it.

    python -m transforms.scoring.tokenising.apart

is such a process. It takes a tokenizer and then lists of texts on standard input, and ends with it. What travels is
pickled, as between processes of multiprocessing: by this program, over pipes that nobody else has, never from a file.
Those of multiprocessing themselves import the program's main module anew, which a user's own script may not be made
for.
"""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain, pairwise
from typing import Any
from weakref import finalize

import numpy as np

from transforms.scoring.packed.ragged import Counts, Ids
from transforms.scoring.packed.threads import tokenising_threads
from transforms.scoring.results import Failure
from transforms.scoring.tokenising.tokeniser import TextTokeniser, Tokeniser, tokeniser_of

MOST = 4  # processes: XLM-R's words in one core are a million tokens a second, and no model reads more than three


# Token ids of some texts as they travel: all end to end, where each text's end, shape [texts], and failures by place.
Answer = tuple[Ids, Counts, dict[int, Failure]]


class Apart:
    """A tokeniser whose texts are shared out among processes; as long as they start, and if one dies, it works here."""

    def __init__(self, backend: Any, processes: int) -> None:
        self._here = tokeniser_of(backend)
        self.name = self._here.name
        self._processes = [Process(backend) for _ in range(processes)]
        self._pool = ThreadPoolExecutor(processes, "apart")
        self.close = finalize(self, _end, self._processes)

    def encode(self, texts: Sequence[str]) -> list[Ids | Failure]:
        """As `Tokeniser.encode`."""
        if all(process.ready.is_set() for process in self._processes):
            bounds = np.linspace(0, len(texts), len(self._processes) + 1).astype(int).tolist()
            try:
                encoded = self._pool.map(Process.encode, self._processes, (texts[a:b] for a, b in pairwise(bounds)))
                return list(chain.from_iterable(encoded))
            except (OSError, EOFError, pickle.UnpicklingError, ValueError):
                self._processes[0].ready.clear()
                logging.getLogger(__name__).warning("a process that tokenises has died; it is done without them")
        return self._here.encode(texts)


class Process:
    """One such process.

    Attributes:
        ready: set when it has started.
    """

    def __init__(self, backend: Any) -> None:
        self.ready = threading.Event()
        self._lock = threading.Lock()  # shards take turns
        self.popen = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C is for the job, which finishes the shard in hand with it
        )
        threading.Thread(target=self._begin, args=(backend,), daemon=True).start()

    def encode(self, texts: Sequence[str]) -> list[Ids | Failure]:
        """As `Tokeniser.encode`.

        Raises:
            OSError, EOFError, UnpicklingError, ValueError: it has died.
        """
        answer: Answer = self._ask(texts)
        together, ends, failures = answer
        ids: list[Ids | Failure] = [*np.split(together, ends[:-1])] if len(texts) else []
        for place, failure in failures.items():
            ids[place] = failure
        return ids

    def _begin(self, backend: Any) -> None:
        with suppress(OSError, EOFError, pickle.UnpicklingError, ValueError):
            self._ask(backend)
            self.ready.set()

    def _ask(self, question: Any) -> Any:
        questions, answers = self.popen.stdin, self.popen.stdout
        assert questions is not None
        assert answers is not None
        with self._lock:
            pickle.dump(question, questions, pickle.HIGHEST_PROTOCOL)
            questions.flush()
            return pickle.load(answers)


def _end(processes: Sequence[Process]) -> None:
    for process in processes:
        process.popen.kill()
        process.popen.wait()


def apart(backend: Any, sharers: int = 1) -> TextTokeniser:
    """The backend's tokeniser, in processes where this one has cores for several beside its own; `sharers` like it
    share the machine."""
    processes = min(MOST, tokenising_threads() // sharers - 1)
    return Apart(backend, processes) if processes > 1 else tokeniser_of(backend)


def answer_to(texts: Sequence[str], tokeniser: Tokeniser) -> Answer:
    """The texts' ids in the form in which they travel."""
    encoded = tokeniser.encode(texts)
    failures = {place: one for place, one in enumerate(encoded) if isinstance(one, Failure)}
    none = np.zeros(0, dtype=np.int32)
    ids = [none if isinstance(one, Failure) else one for one in encoded]
    return np.concatenate([none, *ids]), np.cumsum([len(one) for one in ids], dtype=np.int64), failures


def main() -> None:
    """Answer until standard input ends, as it does with the process that asks."""
    questions, answers = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever prints must not print among the answers

    def answer(said: Any) -> None:
        pickle.dump(said, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()

    with suppress(EOFError, BrokenPipeError):
        tokeniser = Tokeniser(pickle.load(questions))
        answer(None)
        while True:
            answer(answer_to(pickle.load(questions), tokeniser))


if __name__ == "__main__":
    main()
