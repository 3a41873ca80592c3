"""The README's command lines, held against the parsers that will read them."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from eval.__main__ import parser as eval_parser
from pipelines.benchmark import options as benchmark_options
from pipelines.candidates import options as candidates_options
from pipelines.rerank import options as rerank_options
from pipelines.running.options import parse
from scripts.walk_readme import NEEDS, README, REPOSITORY, Block, blocks

BLOCKS = blocks(README.read_text(encoding="utf-8"))
COMMANDS = [command for block in BLOCKS for command in block.commands]
PIPELINES = {
    "pipelines.rerank": rerank_options.build_parser,
    "pipelines.candidates": candidates_options.build_parser,
    "pipelines.benchmark": benchmark_options.build_parser,
}


def test_blocks_of_a_text() -> None:
    text = "a\n```console\nmake a\nmake b \\\n    c\n```\n```python\nx\n```\n```console hub\nmake d\n```\n"
    assert blocks(text) == [Block("", ("make a", "make b c")), Block("hub", ("make d",))]


def test_what_a_new_user_runs() -> None:
    assert [command for block in BLOCKS if not block.needs for command in block.commands][:2] == [
        "make demo",
        "make test",
    ]
    assert {block.needs for block in BLOCKS} <= {"", *NEEDS}


def words_of(start: str) -> list[list[str]]:
    found = [words for words in map(shlex.split, COMMANDS) if " ".join(words).startswith(start)]
    assert found
    return [words[len(start.split()) :] for words in found]


@pytest.mark.parametrize("module", PIPELINES)
def test_options_of_the_jobs(module: str) -> None:
    for words in words_of(f"python -m {module}"):
        parse(PIPELINES[module](), words)  # an option that neither the job nor Beam knows is an error


def test_options_of_the_evaluation() -> None:
    for words in words_of("python -m eval"):
        eval_parser().parse_args(words)


def test_options_of_the_scripts() -> None:
    for path, *words in words_of("python"):
        if path.startswith("scripts/"):
            source = Path(REPOSITORY, path).read_text(encoding="utf-8")
            own, _, of_the_job = " ".join(words).partition(" -- ")
            assert [word for word in own.split() if word.startswith("--") and f'"{word}"' not in source] == []
            if of_the_job:
                required = ["--input=in", "--output=out", "--model=small-cross-encoder"]
                parse(rerank_options.build_parser(), [*required, *of_the_job.split()])
