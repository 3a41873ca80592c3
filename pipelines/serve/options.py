"""The command's options as data, and its parser."""

from __future__ import annotations

import argparse
from typing import Any

from pipelines.running.options import RUN_OPTIONS, add_model_options, add_options
from transforms.base.arguments import port, positive
from transforms.base.reading import Parser

SERVICE_OPTIONS: dict[str, dict[str, Any]] = {
    "host": {"default": "127.0.0.1", "metavar": "ADDRESS", "help": "to listen on; 0.0.0.0 for all of this machine"},
    "port": {"type": port, "default": 8080, "metavar": "N", "help": "to listen on; 0 for any that is free"},
    "max_requests": {
        "type": positive,
        "default": 128,
        "metavar": "N",
        "help": "requests in hand, at most; one more is answered with 429 and Retry-After",
    },
    "max_documents": {"type": positive, "default": 1000, "metavar": "N", "help": "documents of a request, at most"},
    "max_body_bytes": {"type": positive, "default": 8 << 20, "metavar": "N", "help": "of a request, at most"},
}


def build_parser() -> argparse.ArgumentParser:
    """All options of the command."""
    parser = Parser(
        prog="python -m pipelines.serve",
        description="Serve a rerank API over HTTP, in the dialect of Jina, Cohere and vLLM: POST /v1/rerank.",
        epilog="It needs the extra serve. SIGTERM and Ctrl-C end it when what is in hand is answered.",
    )
    add_options(parser.add_argument_group("service"), SERVICE_OPTIONS)
    add_model_options(parser)
    add_options(parser.add_argument_group("running"), RUN_OPTIONS)
    return parser
