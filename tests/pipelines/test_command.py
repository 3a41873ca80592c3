"""The console script, started as a user starts it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from eval.__main__ import COMMANDS as EVALUATIONS
from pipelines.command import COMMANDS

# What pip writes as the console script, which does not look for modules in the working directory.
SCRIPT = "import sys; sys.path.remove(''); from pipelines.command import main; sys.exit(main())"


def offline_rerank(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", SCRIPT, *words], cwd=folder, capture_output=True, text=True)


def test_every_command_has_its_name() -> None:
    assert set(COMMANDS) == {"rerank", "candidates", "benchmark", "score", "serve", *EVALUATIONS}
    [script] = entry_points(group="console_scripts", name="offline-rerank")
    assert script.value == "pipelines.command:main"


@pytest.mark.parametrize("name", ["rerank", "measure"])
def test_it_runs_in_a_folder_with_packages_of_the_same_names(tmp_path: Path, name: str) -> None:
    for package in ("eval", "pipelines"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise ImportError('another package')")
    done = offline_rerank(tmp_path, name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rerun"], "error: rerun: no such command; did you mean rerank?\n"),
        (["sing"], "error: sing: no such command; give one of rerank, candidates, benchmark, "),
        ([], "error: no command given; give one of rerank, candidates, "),
        (
            ["rerank"],
            "error: the following arguments are required: --model; see --help; --output: it is empty or not given; "
            "give the job's own directory; give either --input or --dataset\n",
        ),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, words: list[str], message: str) -> None:
    done = offline_rerank(tmp_path, *words)
    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1


def test_help_names_all_commands(tmp_path: Path) -> None:
    done = offline_rerank(tmp_path, "--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in COMMANDS)
