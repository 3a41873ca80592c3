"""`python -m eval throughput`: measures and prints a table."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from eval.commands.measure import check_not_read
from eval.ranking.files import write_json
from eval.throughput import host, rounds, tasks
from eval.throughput.options import SAMPLE
from eval.throughput.request import ThroughputRequest


def run(request: ThroughputRequest) -> int:
    """Measures and prints a table; returns the exit code.

    Raises:
        UserError: the model or the candidates are not available.
    """
    check_not_read({"--json": request.json}, [request.candidates, str(SAMPLE), request.model])
    # As much as oneDNN keeps by itself, for all: the batches of others have more sizes than the core's.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "1024")
    lists = tasks.read(request.candidates or str(SAMPLE), request.list_size)
    kind = host if request.host_only else rounds
    with tempfile.TemporaryDirectory() as folder:
        figures = kind.measure(request, lists, Path(folder))
    print(kind.table(figures))
    if request.json:
        write_json(request.json, figures)
    return 0
