"""Fetching against a hub on loopback. What asks the hub runs in processes of its own: the hub's library reads the
environment when it is imported, and a second try must not profit from what the first left in memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.support import tiny
from tests.support.stub_hub import COMMIT, Fault, Hub, serving
from transforms.base import hub as hub_module
from transforms.base.errors import UserError
from transforms.scoring import Reranker
from transforms.scoring.weights import checkpoints

# Imports that one file alone, since the package around it takes seconds. Waiting before another try is left out.
FETCH = """
import json, runpy, sys, time
time.sleep = lambda seconds: None
fetch = runpy.run_path(sys.argv[1])["fetch"]
answers = []
for name, revision in json.loads(sys.argv[2]):
    try:
        path, commit = fetch(name, revision)
        answers.append([str(path), commit])
    except Exception as error:
        answers.append(f"{type(error).__name__}: {error}")
print(json.dumps(answers))
"""
GATED = {"X-Error-Code": "GatedRepo"}
MISSING = {"X-Error-Code": "RepoNotFound"}
BAD_TOKEN = {"X-Error-Message": "Invalid credentials in Authorization header"}
LATER = "the same command later continues"


class CachingMachine:
    """A machine with a cache of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def fetch(self, endpoint: str, *wanted: tuple[str, str | None], offline: bool = False) -> list[list[str] | str]:
        """For each name and revision the folder and the commit, or the error."""
        environment = {
            "HF_ENDPOINT": endpoint,
            "HF_HOME": str(self.home),
            "HF_HUB_OFFLINE": str(int(offline)),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1",
        }
        done = subprocess.run(
            [sys.executable, "-c", FETCH, hub_module.__file__, json.dumps(wanted)],
            env=os.environ | environment,
            check=True,
            capture_output=True,
        )
        assert done.stderr == b"", "what went wrong is reported once"
        return list(json.loads(done.stdout))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tiny.bert(tmp_path_factory.mktemp("tiny"))
    unwanted = {"modeling_tiny.py": b"raise SystemExit", "pytorch_model.bin": b"pickle"}
    return {path.name: path.read_bytes() for path in folder.iterdir()} | unwanted


@pytest.fixture(scope="module")
def hub(files: dict[str, bytes]) -> Iterator[Hub]:
    names = ("tiny", "cut", "halfway", "gated", "gone", "locked", "token", "forbidden", "busy", "broken")
    faults = [
        Fault("/o/gated/resolve/", 403, GATED),
        Fault("/o/gone/", 404, MISSING),
        Fault("/o/locked/", 401, MISSING),
        Fault("/o/token/", 401, BAD_TOKEN),
        Fault("/o/forbidden/", 403, {}),
        Fault("/o/busy/", 429, {"Retry-After": "1"}),
        Fault("/o/broken/", 500, {}),
        Fault("/o/halfway/resolve/.*/model.safetensors", 500, {}),
    ]
    with serving(Hub({f"o/{name}": files for name in names}, faults)) as running:
        yield running


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> CachingMachine:
    return CachingMachine(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def fetched(client: CachingMachine, hub: Hub) -> list[str]:
    """Folder and commit of what has been fetched from a hub that works."""
    [answer] = client.fetch(hub.endpoint, ("o/tiny", None))
    assert isinstance(answer, list)
    return answer


def test_fetches_what_scores_and_neither_code_nor_pickles(
    fetched: list[str], hub: Hub, files: dict[str, bytes]
) -> None:
    folder, commit = fetched
    assert commit == COMMIT
    fetched_files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    assert fetched_files == {
        name: content for name, content in files.items() if name.endswith((".json", ".safetensors"))
    }
    assert not [request for request in hub.requests if request.endswith((".py", ".bin"))]


def test_what_is_in_the_cache_needs_no_network(fetched: list[str], client: CachingMachine, hub: Hub) -> None:
    requests = len(hub.requests)
    assert client.fetch(hub.endpoint, ("o/tiny", None), offline=True) == [fetched]
    assert client.fetch("http://127.0.0.1:1", ("o/tiny", "main"), ("o/tiny", COMMIT), ("o/unknown", None)) == [
        fetched,
        fetched,
        f"UnavailableError: model o/unknown: cannot be fetched from the hub ([Errno 111] Connection refused); {LATER}",
    ]
    assert len(hub.requests) == requests


def test_an_unchanged_repository_is_not_downloaded_again(fetched: list[str], client: CachingMachine, hub: Hub) -> None:
    hub.requests.clear()
    assert client.fetch(hub.endpoint, ("o/tiny", None)) == [fetched]
    assert [request for request in hub.requests if "o/tiny" in request] == ["GET /api/models/o/tiny/revision/main"]


def test_scores_and_revision_of_a_fetched_model(
    fetched: list[str], client: CachingMachine, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(client.home / "hub"))
    reranker = Reranker.load("o/tiny", dtype="float32")
    assert reranker.specification.checkpoint.revision == COMMIT
    assert reranker.specification.checkpoint.identity() == {"name": "o/tiny", "revision": COMMIT}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert reranker.score("a b", ["c", "d"]) == Reranker.load(str(tmp_path), dtype="float32").score("a b", ["c", "d"])


def test_every_refusal_says_what_to_do(client: CachingMachine, hub: Hub) -> None:
    absent = "neither a directory here nor on the hub, or private there; check it, or set HF_TOKEN"
    token = "check that your HF_TOKEN is valid and may read it"
    no_revision = "the hub has no such revision; check --revision"
    expected = {
        ("o/gated", None): "o/gated: the hub asks you to accept its terms first; do so on its page there, then set "
        "HF_TOKEN",
        ("o/gone", None): f"o/gone: {absent}",
        ("o/locked", None): f"o/locked: {absent}",
        ("o/token", None): f"o/token: the hub answered 401; {token}",
        ("o/forbidden", None): f"o/forbidden: the hub answered 403; {token}",
        ("o/busy", None): f"o/busy: the hub answered 429; {LATER}",
        ("o/broken", None): f"o/broken: the hub answered 500; {LATER}",
        ("o/tiny", "v9"): f"o/tiny at revision v9: {no_revision}",
        ("o/tiny", "f" * 40): f"o/tiny at revision {'f' * 40}: {no_revision}",
        ("o /tiny", None): "o /tiny: neither a directory here nor a hub id; give a directory or owner/name",
    }
    answers = client.fetch(hub.endpoint, *expected)
    kinds = ["UnavailableError" if message.endswith(LATER) else "UserError" for message in expected.values()]
    assert answers == [f"{kind}: model {message}" for kind, message in zip(kinds, expected.values(), strict=True)]


def test_an_interrupted_download_passes_for_no_checkpoint_and_continues_later(
    client: CachingMachine, hub: Hub, files: dict[str, bytes]
) -> None:
    wanted = (("o/halfway", None), ("o/cut", None))
    hub.cuts["/o/cut/.*/model.safetensors"] = 100
    halfway, cut = client.fetch(hub.endpoint, *wanted)
    assert halfway == f"UnavailableError: model o/halfway: the hub answered 500; {LATER}"
    assert isinstance(cut, str)
    assert cut.startswith("UnavailableError: model o/cut: cannot be fetched from the hub (")
    assert cut.endswith(f"); {LATER}")
    assert "\n" not in cut

    assert client.fetch(hub.endpoint, *wanted, offline=True) == [
        f"UserError: model {name}: not all of it is in the local cache, and HF_HUB_OFFLINE forbids to fetch it; "
        "unset that"
        for name, _ in wanted
    ]

    # Files are fetched side by side, so small ones may be missing as well when the weights fail.
    cached = {name: {path.name for path in client.home.glob(f"**/*{name[2:]}/snapshots/*/*")} for name, _ in wanted}
    hub.cuts.clear()
    hub.faults.clear()
    hub.requests.clear()
    missing = []
    for (name, _), answer in zip(wanted, client.fetch(hub.endpoint, *wanted), strict=True):
        assert isinstance(answer, list), answer
        folder, commit = answer
        assert commit == COMMIT
        assert (Path(folder) / "model.safetensors").read_bytes() == files["model.safetensors"]
        assert "model.safetensors" not in cached[name]
        fetched = {path.name for path in Path(folder).iterdir()} - cached[name]
        missing += [f"GET /{name}/resolve/{COMMIT}/{file}" for file in fetched]
    downloads = [request for request in hub.requests if request.startswith("GET /o/")]
    assert sorted(downloads) == sorted(missing), "what is in the cache is not fetched again"


def test_offline_without_a_cache() -> None:
    with pytest.raises(UserError) as refused:
        checkpoints.locate("o/unknown")
    assert str(refused.value) == (
        "model o/unknown: not all of it is in the local cache, and HF_HUB_OFFLINE forbids to fetch it; unset that"
    )
