"""What the repository says of itself, held against what it is."""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from eval.__main__ import parser as eval_parser
from pipelines.benchmark import options as benchmark_options
from pipelines.candidates import options as candidates_options
from pipelines.rerank.options import build_parser
from transforms.schema import REASONS, REJECTED, SCORED

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MODEL = Path("transforms/scoring/models/small-cross-encoder")


def table(first_header: str) -> list[list[str]]:
    """Cells of the README's table whose first column has this header."""
    body = re.search(rf"^\| {first_header} \|.*\n\|[-|]+\n((?:\|.*\n)+)", README, re.MULTILINE)
    assert body is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body[1].splitlines()]


def test_readme_has_the_options_of_the_main_job() -> None:
    options = {option for action in build_parser()._actions for option in action.option_strings}
    assert {cells[0].strip("`") for cells in table("option")} == options - {"-h", "--help"}


def commands() -> dict[str, argparse.ArgumentParser]:
    """The parsers of all command lines."""
    [evaluation] = [action for action in eval_parser()._actions if isinstance(action, argparse._SubParsersAction)]
    return {
        "rerank": build_parser(),
        "candidates": candidates_options.build_parser(),
        "benchmark": benchmark_options.build_parser(),
        **evaluation.choices,
    }


@pytest.mark.parametrize("name", list(commands()))
def test_readme_names_every_option(name: str) -> None:
    options = [option for action in commands()[name]._actions for option in action.option_strings]
    assert [option for option in options if not re.search(rf"`{option}\b", README)] == ["-h", "--help"]


@pytest.mark.parametrize(("name", "schema"), [("scored", SCORED), ("rejected", REJECTED)])
def test_readme_has_the_columns_of_the_output(name: str, schema: pa.Schema) -> None:
    columns = [(field.name, f"{field.type}{'?' if field.nullable else ''}") for field in schema]
    assert [(cells[0], cells[1]) for cells in table(f"{name} column")] == columns


def test_readme_has_the_reasons_of_rejection() -> None:
    assert {cells[0].strip("`"): cells[1] for cells in table("reason")} == REASONS


def test_readme_links_to_what_exists() -> None:
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in target]
    assert len(targets) >= 4
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_constraints_pin_the_versions_that_go_together() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert pins["apache-beam"] == "2.77.0"
    assert pins["torch"] == "2.13.0"  # no local label: it would shut out every other build of this version
    assert pins["pyarrow"] == "25.0.1"
    assert pins["numpy"] == "2.4.6"
    assert pins["protobuf"] == "6.33.6"
    assert pins["transformers"] == "5.23.0"


def test_no_file_names_a_machine_or_a_registry() -> None:
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]  # whoever owns the files
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    files = [ROOT / name for name in listed.split("\0") if name]
    telling = re.compile(rb"/(work|root)/|\.\./shared/|pypi\.org|pythonhosted\.org|download\.pytorch\.org")
    texts = [file for file in files if file.is_file() and file.suffix not in {".safetensors", ".parquet"}]
    assert ROOT / "README.md" in texts
    assert [str(file) for file in texts if telling.search(file.read_bytes())] == []


def test_embedded_model_is_the_one_that_was_measured() -> None:
    digest = hashlib.sha256((ROOT / MODEL / "model.safetensors").read_bytes()).hexdigest()
    assert digest == "8acfcfc3fb7277297999a85e0e40838c374f1b245dbe93b5eeda0edc25611b54"


def test_package_carries_its_data(tmp_path: Path) -> None:
    command = [sys.executable, "setup.py", "--quiet", "build_py", "--build-lib", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True)
    assert {path.name for path in (tmp_path / MODEL).iterdir()} == {
        "LICENSE",
        "NOTICE",
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert (tmp_path / "eval" / "published" / "table.json").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"eval", "pipelines", "transforms"}


def test_continuous_integration_runs_the_test_command_of_the_readme() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text(encoding="utf-8").splitlines()[-2:] == [
        "make test",
        ".venv/bin/python scripts/walk_readme.py --done 'make test'",
    ]
    assert "```console\nmake test\n```" in README
