"""Beam's options: those of its runners, and nothing unknown let through."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence

from apache_beam.options.pipeline_options import PipelineOptions, _BeamArgumentParser

from pipelines.running.options import NEAR
from transforms.base.errors import UserError


def parse(words: Sequence[str], our_names: Sequence[str]) -> PipelineOptions:
    """Beam's options from the words that our own parser left.

    Raises:
        UserError: an option that neither knows; Beam itself would pass over it with a warning.
    """
    _refuse_unknown(words, our_names)
    return PipelineOptions(list(words))


def parser_of_all() -> argparse.ArgumentParser:
    """Knows the options of all runners."""
    beam = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for options in PipelineOptions.__subclasses__():
        if "_add_argparse_args" in options.__dict__:
            sub = _BeamArgumentParser(add_help=False, conflict_handler="resolve")
            options._add_argparse_args(sub)
            known = set(beam._option_string_actions)
            for action in sub._actions:
                if not known.intersection(action.option_strings):
                    beam._add_action(action)
    return beam


def _refuse_unknown(words: Sequence[str], our_names: Sequence[str]) -> None:
    beam = parser_of_all()
    try:
        _, unknown = beam.parse_known_args(list(words))
    except argparse.ArgumentError as error:
        raise UserError(f"{error}; see --help, and Beam's documentation for a runner's options") from None
    for word in unknown:
        name = word.split("=", 1)[0]
        near = difflib.get_close_matches(name, [*our_names, *beam._option_string_actions], n=1, cutoff=NEAR)
        hint = f"; did you mean {near[0]}?" if near else "; see --help"
        raise UserError(f"{word}: neither this command nor Beam has such an option{hint}")
