"""A worker process of this machine."""

from __future__ import annotations

import os
import subprocess
import sys

WORK = """
import sys
from apache_beam.runners.worker import sdk_worker_main
from pipelines.running import worker

sdk_worker_main.main = lambda words: print("an error", file=sys.stderr, flush=True)
worker.main()
"""


def test_a_worker_that_cannot_print_goes_on() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([sys.executable, "-c", WORK, str(os.getpid())], stdout=full, stderr=full, check=False)
    assert done.returncode == 0
