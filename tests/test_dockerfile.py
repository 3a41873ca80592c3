"""The image of a GPU worker."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_image_is_built_with_the_versions_that_are_tested() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))
    assert (
        f"COPY --from=apache/beam_python3.11_sdk:{pins['apache-beam']} /opt/apache/beam /opt/apache/beam" in dockerfile
    )
    cuda = pins["nvidia-cuda-runtime"].rsplit(".", 1)[0].rsplit(".", 1)[0]
    assert re.search(rf"^FROM nvidia/cuda:{cuda}\.", dockerfile, re.MULTILINE)
    assert dockerfile.splitlines()[-1] == 'ENTRYPOINT ["/opt/apache/beam/boot"]'
    copied = {
        word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile, re.MULTILINE) for word in line.split()
    }
    assert {"setup.py", "pyproject.toml", "constraints.txt", "README.md", "LICENSE"} <= copied
    assert {"pipelines", "transforms", "eval"} <= copied
    assert [name for name in copied if not (ROOT / name).exists()] == []
