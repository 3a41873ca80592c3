"""Beam's options as the installed Beam's source declares them: known without importing it, which takes a second."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Of apache_beam 2.77; a test compares what is read there with Beam's own parser.
SOURCE = Path("options", "pipeline_options.py")
_DECLARES = ("add_argument", "add_value_provider_argument")
_TYPES = {"int": int, "float": float}


class _Listed(argparse.Action):
    """Stands in for Beam's list between commas, which splits nothing behind a value that has an equals sign."""

    def __call__(self, parser: Any, options: Any, values: Any, option: Any = None) -> None:
        setattr(options, self.dest, [*(getattr(options, self.dest) or ()), *values.split(",")])


_ACTIONS = {"_CommaSeparatedListAction": _Listed}


def declared() -> argparse.ArgumentParser | None:
    """Knows the options of all runners, with their types and choices where the source spells them out; None where the
    source is not to be read, and Beam itself is to be asked."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    beam = find_spec("apache_beam")
    for folder in beam.submodule_search_locations or () if beam else ():
        with suppress(OSError, SyntaxError):
            for call in ast.walk(ast.parse(Path(folder, SOURCE).read_text(encoding="utf-8"))):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in _DECLARES:
                    names = [
                        word.value
                        for word in call.args
                        if isinstance(word, ast.Constant) and isinstance(word.value, str)
                    ]
                    if names and not parser._option_string_actions.keys() & names:
                        parser.add_argument(*names, **dict(_keywords(call)))
    return parser if parser._actions else None


def _keywords(call: ast.Call) -> Iterator[tuple[str, Any]]:
    """Those that decide which words are taken, and as what."""
    for keyword in call.keywords:
        if keyword.arg == "type" and ast.unparse(keyword.value) in _TYPES:
            yield "type", _TYPES[ast.unparse(keyword.value)]
        elif keyword.arg == "action" and ast.unparse(keyword.value) in _ACTIONS:
            yield "action", _ACTIONS[ast.unparse(keyword.value)]
        elif keyword.arg in ("action", "choices", "nargs", "dest", "default"):
            with suppress(ValueError):
                yield keyword.arg, ast.literal_eval(keyword.value)
