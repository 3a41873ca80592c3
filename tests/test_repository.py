"""What the repository says of itself, compared with what it is."""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pytest

from eval.published import training_data, verification
from eval.published.scores import ROWS
from eval.throughput import sizes
from pipelines.benchmark.entrants import CODE_MODEL, PROTOCOL
from scripts import write_cards, write_options
from scripts.measure import peers
from transforms.schema import REASONS, REJECTED, SCORED, InputReason, ScoringReason
from transforms.scoring import catalogue
from transforms.scoring.families import yes_no

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
DATA = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
MODEL = Path("transforms/scoring/models/small-cross-encoder")


def table(first_header: str, text: str = DATA) -> list[list[str]]:
    """Cells of a page's table whose first column has this header; without a page, of docs/data.md."""
    body = re.search(rf"^\| {first_header} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert body is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body[1].splitlines()]


def test_page_of_options_is_what_the_parsers_say() -> None:
    assert write_options.PAGE.read_text(encoding="utf-8") == write_options.page(), "run make docs"


def test_page_of_speed_shows_the_table_of_cards() -> None:
    assert write_cards.PAGE.read_text(encoding="utf-8") == write_cards.page(), "run make docs"


def test_page_of_options_has_every_option_of_every_command() -> None:
    sections = write_options.page().split("\n## ")[1:]
    assert [section.splitlines()[0] for section in sections] == [
        "python -m pipelines.rerank",
        "python -m pipelines.candidates",
        "python -m pipelines.benchmark",
        "python -m pipelines.score",
        "python -m pipelines.serve",
        *(
            f"python -m eval {name}"
            for name in ("compare", "export", "measure", "order", "table", "throughput", "verify", "verify-output")
        ),
    ]
    for parser, section in zip(write_options.commands(), sections, strict=True):
        options = {option for action in parser._actions for option in action.option_strings}
        listed = {option for row in re.findall(r"^\| (`--.*?) \|", section, re.MULTILINE) for option in row.split(", ")}
        assert {option.strip("`") for option in listed} == options - {"-h", "--help"}


def test_a_row_of_the_page_of_options() -> None:
    parser = argparse.ArgumentParser()
    paths = parser.add_argument("--path", nargs="+", required=True, metavar="P", help="files")
    order = parser.add_argument("--order", choices=("a", "b"), default="a", help="one of them (default: %(default)s)")
    flag = parser.add_argument("-f", "--flag", action="store_true", help="on")
    many = parser.add_argument("out", nargs="*", metavar="OUT", help="directories")
    assert [write_options.row(parser, action) for action in (paths, order, flag, many)] == [
        ("`--path`", "P ...", "required", "files"),
        ("`--order`", "`a`, `b`", "`a`", "one of them (default: a)"),
        ("`-f`, `--flag`", "", "", "on"),
        ("`OUT`", "", "", "directories"),
    ]


@pytest.mark.parametrize(("name", "schema"), [("scored", SCORED), ("rejected", REJECTED)])
def test_docs_have_the_columns_of_the_output(name: str, schema: pa.Schema) -> None:
    columns = [(field.name, f"{field.type}{'?' if field.nullable else ''}") for field in schema]
    assert [(cells[0], cells[1]) for cells in table(f"{name} column")] == columns


def test_docs_have_the_reasons_of_rejection() -> None:
    assert {cells[0].strip("`"): cells[1] for cells in table("reason")} == REASONS
    assert get_args(InputReason) + get_args(ScoringReason) == tuple(REASONS)


def test_docs_have_all_models_of_the_catalogue() -> None:
    assert table("model", (ROOT / "docs" / "models.md").read_text(encoding="utf-8")) == [
        [
            *(model.name, model.family.replace("_", "-"), f"{model.parameters:g}"),
            *(f"{model.settings.max_length or model.limit:,}", model.licence, model.score, model.checked),
        ]
        for model in catalogue.MODELS
    ]


def test_docs_compare_the_libraries_at_the_versions_that_the_script_pins() -> None:
    compared = [cells[:3] for cells in table("library", (ROOT / "docs" / "peers.md").read_text(encoding="utf-8"))]
    pins = {peer: " ".join(peer.pins[:2]).replace("==", " ") for peer in peers.PEERS}
    assert compared == [[peer.name, pins[peer], name] for peer in peers.PEERS for name in peer.checkpoints]
    used = {name for peer in peers.PEERS for name in peer.checkpoints}
    assert used == set(peers.CHECKPOINTS)
    assert {golden.like for golden in peers.CHECKPOINTS.values()} <= {model.name for model in catalogue.MODELS}


def test_what_is_known_of_models_elsewhere_is_of_models_of_the_catalogue() -> None:
    names = {model.name for model in catalogue.MODELS}
    assert {entry.model for entry in verification.PUBLISHED} <= names
    assert {entry.model for entry in training_data.SEEN} <= names
    assert {*PROTOCOL, CODE_MODEL} <= names
    assert {row.model for row in ROWS if not row.first_stage} <= names
    assert set(sizes.SIZES) <= names
    assert {model.settings.prompt for model in catalogue.MODELS if model.family == "yes_no"} <= set(yes_no.PROMPTS)


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
    assert README in texts
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
    assert {path.parent.name for path in tmp_path.glob("*/py.typed")} == {"eval", "pipelines", "transforms"}
    assert {path.name for path in tmp_path.iterdir()} == {"eval", "pipelines", "transforms"}


def test_continuous_integration_is_executable() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
