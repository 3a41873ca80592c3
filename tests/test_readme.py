"""README and docs/: their command lines, compared with the parsers that will read them, their links and their names."""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from eval.__main__ import parser_of
from pipelines.benchmark import options as benchmark_options
from pipelines.candidates import options as candidates_options
from pipelines.rerank import options as rerank_options
from pipelines.running.beam_options import parse
from scripts.walk_readme import NEEDS, PAGES, REPOSITORY, Block, blocks
from transforms.base.reading import names_of, parsed
from transforms.scoring import Reranker

TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
BLOCKS = [block for text in TEXTS.values() for block in blocks(text)]
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


def test_readme_is_short() -> None:
    assert PAGES[0].name == "README.md"
    assert len(TEXTS[PAGES[0]].splitlines()) <= 250


def test_readme_leads_to_every_page() -> None:
    linked = {target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", TEXTS[PAGES[0]])}
    assert {f"docs/{page.name}" for page in PAGES[1:]} <= linked
    assert len(PAGES) >= 14


def anchors(text: str) -> set[str]:
    """The names by which links reach a text's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_anchors_of_a_text() -> None:
    assert anchors("# A b/c\n```console\n# d\n```\n## Is it?\n") == {"a-bc", "is-it"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_what_exists(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", TEXTS[page]):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            assert file.exists(), target
            assert not anchor or anchor in anchors(file.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_names_in_them_exist(page: Path) -> None:
    text = TEXTS[page]
    files = re.findall(r"(?<![\w/.-])(?:transforms|pipelines|eval|tests|scripts)/[\w/.-]*\.[a-z]+", text)
    assert [file for file in files if not Path(REPOSITORY, file).is_file()] == []
    for name, file in re.findall(r"`(\w+)`\s+in\s+`([\w/]+\.\w+)`", text):
        assert re.search(rf"\b{name}\b", Path(REPOSITORY, file).read_text(encoding="utf-8")), f"{name} in {file}"


def examples(text: str, language: str = "python") -> list[str]:
    """The blocks of a Markdown text in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_examples_in_python_import_what_exists() -> None:
    sources = [source for text in TEXTS.values() for source in examples(text)]
    imports = [node for source in sources for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    assert len(imports) >= 4
    for node in imports:
        module = importlib.import_module(str(node.module))
        assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def printed(source: str, folder: Path) -> str:
    """What an example in Python prints, run in a folder of its own beside the demonstration's data."""
    (folder / "demo").symlink_to(Path(REPOSITORY, "demo"))
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", source]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout


def test_readmes_job_in_python_does_the_demonstration(tmp_path: Path) -> None:
    source = next(source for source in examples(TEXTS[PAGES[0]]) if "RerankRequest" in source)
    assert printed(source, tmp_path).splitlines()[-1] == "1869"


def test_readmes_scores_without_beam_are_right(tmp_path: Path) -> None:
    source = next(source for source in examples(TEXTS[PAGES[0]]) if "Reranker.load" in source)
    shown = "print([ranked.index for ranked in best], scores[0] > scores[1])"
    assert printed(source + shown, tmp_path) == "[1] True\n"


def test_the_pages_examples_in_python_print_what_they_say(tmp_path: Path) -> None:
    [page] = [page for page in PAGES if page.name == "python.md"]
    sources, outputs = examples(TEXTS[page]), examples(TEXTS[page], "text")
    for source, output in zip(sources, outputs, strict=True):
        folder = tmp_path / str(sources.index(source))
        folder.mkdir()
        assert printed(source, folder).endswith(output)


def test_the_score_that_a_line_is_answered_with_is_the_models() -> None:
    [page] = [page for page in PAGES if page.name == "lists.md"]
    [line] = re.findall(r"^echo '(.*)' \|", TEXTS[page], re.MULTILINE)
    asked, answered = json.loads(line), json.loads(examples(TEXTS[page], "text")[0])
    [result] = answered["results"]
    [text] = [entry["text"] for entry in asked["candidates"] if entry["doc_id"] == result["doc_id"]]
    scores = Reranker.load("small-cross-encoder", device="cpu", dtype="float32").score(asked["query"], [text])
    assert scores == pytest.approx([result["score"]], abs=0.01)  # bfloat16 rounds


def parse_line(parser: argparse.ArgumentParser, words: list[str]) -> None:
    read = parsed(parser, words)
    assert (read.wrong, read.missing) == ({}, [])
    parse(read.rest, names_of(parser))


def words_of(start: str) -> list[list[str]]:
    matching = [words for words in map(shlex.split, COMMANDS) if " ".join(words).startswith(start)]
    assert matching
    return [words[len(start.split()) :] for words in matching]


@pytest.mark.parametrize("module", PIPELINES)
def test_options_of_the_jobs(module: str) -> None:
    for words in words_of(f"python -m {module}"):
        parse_line(PIPELINES[module](), words)  # an option that neither the job nor Beam knows is an error


def test_options_of_the_evaluation() -> None:
    for name, *words in words_of("python -m eval"):
        parser_of(name).parse_args(words)


def test_options_of_the_scripts() -> None:
    for path, *words in words_of("python"):
        if path.startswith("scripts/"):
            source = Path(REPOSITORY, path).read_text(encoding="utf-8")
            own, _, of_the_job = " ".join(words).partition(" -- ")
            assert [word for word in own.split() if word.startswith("--") and f'"{word}"' not in source] == []
            if of_the_job:
                required = ["--input=in", "--output=out", "--model=small-cross-encoder"]
                parse_line(rerank_options.build_parser(), [*required, *of_the_job.split()])
