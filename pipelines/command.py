"""The console script `offline-rerank`: every command of the project by its name, from any folder."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

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
    if words[:1] in (["-h"], ["--help"]):
        print(USAGE)
        return 0
    if not words or words[0] not in COMMANDS:
        near = difflib.get_close_matches(words[0], COMMANDS, n=1) if words else []
        problem = f"{words[0]}: no such command" if words else "no command given"
        hint = f"did you mean {near[0]}?" if near else f"give one of {', '.join(COMMANDS)}"
        print(f"error: {problem}; {hint}", file=sys.stderr)
        return 2
    module, before = COMMANDS[words[0]]
    code: int = import_module(f"{module}.__main__").main([*before, *words[1:]])
    return code
