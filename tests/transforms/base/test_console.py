from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from select import select

import pytest

from tests.support.input_files import candidate, nested_table, query, write
from tests.support.stub_endpoint import RerankServer

ROOT = Path(__file__).resolve().parents[3]


def run(arguments: list[str], out: int, errors: int | None = None) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, *arguments]
    errors = subprocess.PIPE if errors is None else errors
    return subprocess.run(command, cwd=ROOT, timeout=300, check=False, stdout=out, stderr=errors)


def lost(kind: str) -> int:
    """A descriptor whose reader is gone, or whose disk is full."""
    if kind == "full disk":
        return os.open("/dev/full", os.O_WRONLY)
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize("kind", ["closed pipe", "full disk"])
@pytest.mark.parametrize("module", ["pipelines.candidates", "eval"])
def test_a_command_whose_output_is_lost_ends_as_it_would(module: str, kind: str) -> None:
    out = lost(kind)
    done = run(["-m", module, "--help"], out)
    assert (done.returncode, done.stderr) == (0, b"")
    done = run(["-m", module, "--no_such_option"], out, out)
    assert done.returncode == 2
    os.close(out)


@pytest.mark.parametrize("kind", ["closed pipe", "full disk"])
def test_a_job_whose_output_is_lost_is_done(kind: str, tmp_path: Path) -> None:
    source = write(tmp_path / "in.parquet", nested_table([query("q", [candidate("d", "0.5")], "q")]))
    out = lost(kind)
    with RerankServer() as server:
        ends = ["--input", str(source), "--output", str(tmp_path / "out"), "--model", server.address]
        done = run(["-m", "pipelines.rerank", *ends], out, out)
    os.close(out)
    assert done.returncode == 0
    assert (tmp_path / "out" / "_SUCCESS").exists()


def test_what_is_read_is_printed_as_ever() -> None:
    program = "from transforms.base.console import outlive_readers; outlive_readers(); print('caf\u00e9')"
    done = run(["-X", "utf8", "-c", program + "; import sys; print('no', file=sys.stderr)"], subprocess.PIPE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "caf\u00e9\n".encode(), b"no\n")


def test_control_characters_and_other_encodings_are_printed_as_escapes() -> None:
    """ESC and a C1 character, which terminals obey, and a letter that ASCII lacks."""
    program = (
        "from transforms.base.console import outlive_readers; import sys; outlive_readers()\n"
        "for stream in (sys.stdout, sys.stderr): print('a\\tb\\x1b[2J\\x9b1m\\x07 caf\u00e9', file=stream)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )
    expected = b"a\tb\\x1b[2J\\x9b1m\\x07 caf\\xe9\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, expected)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_line_on_stderr_is_there_before_the_process_ends(unbuffered: str) -> None:
    program = (
        "from transforms.base.console import outlive_readers; import sys; outlive_readers()\n"
        "print('line', file=sys.stderr); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
    ) as process:
        assert process.stderr
        assert select([process.stderr], [], [], 30)[0]
        assert process.stderr.readline() == b"line\n"
