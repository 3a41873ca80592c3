"""The console script `offline-rerank`: every command of the project by its name, from any folder."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module

from transforms.base.command import run_chosen
from transforms.base.console import outlive_readers

# Name -> the module whose `main` runs it, and the words that go before its own.
COMMANDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "rerank": ("pipelines.rerank", ()),
    "candidates": ("pipelines.candidates", ()),
    "benchmark": ("pipelines.benchmark", ()),
    "score": ("pipelines.score", ()),
    "serve": ("pipelines.serve", ()),
    "compare": ("eval", ("compare",)),
    "export": ("eval", ("export",)),
    "measure": ("eval", ("measure",)),
    "order": ("eval", ("order",)),
    "table": ("eval", ("table",)),
    "throughput": ("eval", ("throughput",)),
    "verify": ("eval", ("verify",)),
    "verify-output": ("eval", ("verify-output",)),
}
USAGE = f"usage: offline-rerank COMMAND ...; COMMAND is one of {', '.join(COMMANDS)}; COMMAND --help says more"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code, 2 where there is no such command."""
    outlive_readers()
    words = list(sys.argv[1:] if arguments is None else arguments)
    return run_chosen({name: partial(_run, *command) for name, command in COMMANDS.items()}, USAGE, words)


def _run(module: str, before: Sequence[str], words: Sequence[str]) -> int:
    code: int = import_module(f"{module}.__main__").main([*before, *words])
    return code
