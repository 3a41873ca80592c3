"""Rules that are read off the sources: which folder may import which, as docs/contributing.md describes, and others."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("eval", "pipelines", "transforms")
SOURCES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
LONGEST = 400

# Contracts: modules without knowledge of the folder they are in, which folders below the rest of it import too.
CONTRACTS = {
    "transforms.schema": "transforms:contract",
    "transforms.layout": "transforms:contract",
    "transforms.scoring.frames": "transforms.scoring:contract",
    "transforms.scoring.choices": "transforms.scoring:contract",
    "transforms.scoring.places": "transforms.scoring:contract",
    "transforms.scoring.settings": "transforms.scoring:contract",
    "transforms.scoring.model": "transforms.scoring:contract",
    "transforms.scoring.results": "transforms.scoring:contract",
    "transforms.scoring.scorer": "transforms.scoring:contract",
}
# Folder -> what it may import: folders, contracts, or a whole wing ("transforms.*"). From the lowest floor up.
ALLOWED: dict[str, tuple[str, ...]] = {
    "transforms.base": (),
    "transforms:contract": (),
    "transforms.scoring:contract": ("transforms.base", "transforms:contract"),
    "transforms.scoring.packed": ("transforms.base", "transforms.scoring:contract"),
    "transforms.scoring.weights": ("transforms.base", "transforms.scoring:contract", "transforms.scoring.packed"),
    "transforms.scoring.tokenising": (
        "transforms.base",
        "transforms.scoring:contract",
        "transforms.scoring.packed",
        "transforms.scoring.weights",
    ),
    "transforms.scoring.families": (
        "transforms.base",
        "transforms.scoring:contract",
        "transforms.scoring.packed",
        "transforms.scoring.tokenising",
        "transforms.scoring.weights",
    ),
    "transforms.scoring.hosted": ("transforms.base", "transforms.scoring:contract"),
    "transforms.scoring": ("transforms.base", "transforms.scoring.*"),
    "transforms.input": ("transforms.base", "transforms:contract"),
    "transforms.input.conversion": ("transforms.base", "transforms:contract", "transforms.input"),
    "transforms.job": ("transforms.base", "transforms:contract", "transforms.input"),
    "transforms.output": (
        "transforms.base",
        "transforms:contract",
        "transforms.scoring:contract",
        "transforms.input",
        "transforms.job",
    ),
    "transforms.retrieval": (
        "transforms.base",
        "transforms:contract",
        "transforms.input",
        "transforms.job",
        "transforms.scoring.*",
    ),
    "transforms": ("transforms.*",),
    "eval.published": ("transforms.base",),
    "eval.ranking": ("transforms.base", "transforms:contract", "transforms.input", "transforms.output"),
    "eval.table": ("transforms.base", "eval.published", "eval.ranking"),
    "eval.export": (
        "transforms.base",
        "transforms:contract",
        "transforms.input",
        "transforms.job",
        "transforms.output",
        "eval.ranking",
    ),
    "eval.commands": ("transforms.*", "eval.export", "eval.published", "eval.ranking"),
    "eval.throughput": ("transforms.*", "eval.commands", "eval.ranking"),
    "eval": ("transforms.base", "eval.*"),
    "pipelines.running": ("transforms.*",),
    "pipelines.rerank": ("transforms.*", "pipelines.running"),
    "pipelines.score": ("transforms.*", "pipelines.running"),
    "pipelines.serve": ("transforms.*", "pipelines.running"),
    "pipelines.candidates": ("transforms.*", "eval.published", "pipelines.running", "pipelines.rerank"),
    "pipelines.benchmark": ("transforms.*", "eval.*", "pipelines.*"),
    "pipelines": ("transforms.base",),
}
# eval is below pipelines; these two start its jobs, as processes of their own.
STARTERS = {"eval.commands", "eval.throughput"}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path) for path in SOURCES}


def room(module: str) -> str:
    """The contract that a module is, else its folder."""
    is_folder = (ROOT / Path(*module.split("."))).is_dir()
    return CONTRACTS.get(module) or (module if is_folder else module.rpartition(".")[0])


def imports(source: str) -> Iterator[str]:
    """Our own modules that a source imports, inside functions too."""
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise ValueError(f"line {node.lineno}: import by the full name, which this test reads")
        elif isinstance(node, ast.ImportFrom):
            module = str(node.module)
            names = [name if (name := f"{module}.{alias.name}") in MODULES else module for alias in node.names]
        yield from (name for name in names if name.partition(".")[0] in PACKAGES)


def arrows() -> dict[tuple[str, str], set[str]]:
    """(room, room that it imports) -> the modules that do so."""
    taken = defaultdict(set)
    for path in SOURCES:
        module = module_of(path)
        for name in imports(path.read_text(encoding="utf-8")):
            if room(name) != room(module):
                taken[room(module), room(name)].add(module)
    return taken


ARROWS = arrows()


def may_import(importer: str, imported: str) -> bool:
    def holds(allowed: str) -> bool:
        wing = allowed.removesuffix(".*")
        return imported == allowed or (wing != allowed and imported.startswith((wing, f"{wing}.", f"{wing}:")))

    return any(holds(allowed) for allowed in ALLOWED[importer])


def test_imports_are_found_wherever_they_stand() -> None:
    source = "import json, eval.table\nfrom transforms import schema\ndef f():\n    from eval.table.page import html\n"
    assert sorted(imports(source)) == ["eval.table", "eval.table.page", "transforms.schema"]


def test_every_folder_has_its_floor() -> None:
    assert {room(module) for module in MODULES} <= set(ALLOWED)


@pytest.mark.parametrize("importer", ALLOWED)
def test_a_folder_imports_only_what_it_may(importer: str) -> None:
    taken = {arrow: modules for arrow, modules in ARROWS.items() if arrow[0] == importer}
    assert {arrow: modules for arrow, modules in taken.items() if not may_import(*arrow)} == {}


def test_no_two_folders_import_each_other_even_by_way_of_others() -> None:
    graph: dict[str, set[str]] = defaultdict(set)
    for importer, imported in ARROWS:
        graph[importer].add(imported)
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_only_two_folders_of_eval_start_a_job() -> None:
    jobs = {f"pipelines.{path.name}" for path in (ROOT / "pipelines").iterdir() if (path / "__main__.py").is_file()}
    assert jobs == {f"pipelines.{name}" for name in ("rerank", "candidates", "benchmark", "score", "serve")}
    starting = set()
    for path in (ROOT / "eval").rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if any(isinstance(node, ast.Constant) and node.value in jobs for node in nodes):
            starting.add(room(module_of(path)))
    assert starting == STARTERS


def functions_with_namespace(source: str) -> set[str]:
    """The functions that name argparse's Namespace, however it is imported; "" for an import beside them."""
    return {
        getattr(statement, "name", "")
        for statement in ast.parse(source).body
        for node in ast.walk(statement)
        if "Namespace" in (getattr(node, "id", None), getattr(node, "attr", None), getattr(node, "name", None))
    }


@pytest.mark.parametrize(
    "source",
    [
        "import argparse\ndef f(options: argparse.Namespace) -> None: ...",
        "from argparse import Namespace as Options",
        "def f():\n    from argparse import Namespace",
    ],
)
def test_a_namespace_is_found_however_it_is_imported(source: str) -> None:
    assert functions_with_namespace(source)
    assert not functions_with_namespace("import argparse\nfrom types import SimpleNamespace\nargparse.ArgumentParser()")


def test_no_namespace_is_handed_on_below_the_parsing() -> None:
    taking = {
        (str(path.relative_to(ROOT)), function)
        for path in SOURCES
        for function in functions_with_namespace(path.read_text(encoding="utf-8"))
    }
    assert taking == {("transforms/base/reading.py", "Parsed"), ("transforms/base/request.py", "request_of")}


def test_no_file_is_too_long_to_read() -> None:
    files = [*SOURCES, *(ROOT / "scripts").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    lines = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {name: number for name, number in lines.items() if number > LONGEST} == {}
