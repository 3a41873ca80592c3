"""What all tests share: an environment that is the same everywhere and has no hub, and the larger fixtures where
RERANK_FIXTURES says."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

# What tests write is kept in memory, where Linux has room for it: a job waits for the disk at each file it commits.
_MEMORY = "/dev/shm"
if "TMPDIR" not in os.environ and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= 4 << 30:
    os.environ["TMPDIR"] = tempfile.tempdir = _MEMORY

# Set before any test imports torch or huggingface_hub, which read these once; child processes inherit them. No test
# reaches for a hub, nor finds what the user has cached: one that wants a hub starts a child process with HF_ENDPOINT on
# loopback and HF_HUB_OFFLINE=0. One thread, so that sums are made in the same order on every machine. Nothing of the
# user's own settings of hub, endpoint and proxies is left.
_hub_cache = tempfile.TemporaryDirectory(prefix="rerank-tests-hub-")
for _name in [*os.environ]:
    if _name.startswith(("HF_", "HUGGINGFACE_", "TRANSFORMERS_")) or _name in {"RERANK_API_KEY", "COLUMNS"}:
        del os.environ[_name]
os.environ |= {"HF_HOME": _hub_cache.name, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
os.environ |= {"NO_PROXY": "*", "no_proxy": "*"}

# Shells start what runs in the background with Ctrl-C ignored, which all its child processes would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """Folder of the larger fixtures (real data, golden checkpoints); tests that need it are skipped without it."""
    folder = os.environ.get("RERANK_FIXTURES")
    if not folder:
        pytest.skip("RERANK_FIXTURES does not name the folder of the larger fixtures")
    return Path(folder)


@pytest.fixture(scope="session")
def golden(fixtures: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`golden(family)` is a loadable checkpoint folder in the vendor's layout, assembled once in a session."""
    source = fixtures / "models" / "golden" / "assemble.py"
    spec = importlib.util.spec_from_file_location("assemble", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    out = tmp_path_factory.mktemp("golden")

    @cache
    def assembled(family: str) -> Path:
        return Path(module.assemble(family, out))

    return assembled


@pytest.fixture(scope="session")
def golden_cases(fixtures: Path) -> Callable[[str], list[dict[str, Any]]]:
    """`golden_cases(family)` is what the vendor's code was given and what it answered: name, query, documents, options,
    scores in input order, and more where a case has it."""

    def cases(family: str) -> list[dict[str, Any]]:
        text = (fixtures / "models" / "golden" / family / "cases.json").read_text(encoding="utf-8")
        return list(json.loads(text))

    return cases
