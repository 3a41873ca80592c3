"""Beam's options: those of its runners, and nothing unknown let through."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from apache_beam.options.pipeline_options import PipelineOptions, _BeamArgumentParser

from pipelines.running.before_beam import unknown_to_beam
from transforms.base.reading import parsed
from transforms.base.request import refuse


def parse(words: Sequence[str], our_names: Sequence[str]) -> PipelineOptions:
    """Beam's options from the words that our own parser left.

    Raises:
        UserError: an option that neither knows, which Beam itself would skip with a warning, or a value that cannot be.
    """
    beam = parser_of_all()
    refuse(unknown_to_beam(parsed(beam, words), our_names, beam))
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
