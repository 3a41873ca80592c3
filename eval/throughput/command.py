"""`python -m eval throughput`: measures and prints a table."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from eval.commands.measure import check_outputs
from eval.ranking.files import write_json
from eval.throughput import host, rounds, tasks
from eval.throughput.options import SAMPLE
from eval.throughput.request import ThroughputRequest
from transforms.base.arguments import request_of
from transforms.base.errors import UserError


def run(args: argparse.Namespace) -> int:
    """Measures and prints a table; returns the exit code.

    Raises:
        UserError: the model or the candidates are not available.
    """
    if args.model is None and not args.host_only:
        raise UserError("--model: none is given; give one, or --host_only")
    check_outputs({"--json": args.json}, [args.candidates, str(SAMPLE), args.model])
    if args.candidates is None and not SAMPLE.is_file():
        raise UserError("--candidates: the demo's are not at hand, as they are in a checkout; give a Parquet file")
    # As much as oneDNN keeps by itself, for all: the batches of others have more sizes than the core's.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "1024")
    lists = tasks.read(args.candidates or str(SAMPLE), args.list_size)
    kind = host if args.host_only else rounds
    with tempfile.TemporaryDirectory() as folder:
        figures = kind.measure(request_of(ThroughputRequest, args), lists, Path(folder))
    print(kind.table(figures))
    if args.json:
        write_json(args.json, figures)
    return 0
