"""Walk through the README and docs/ as a new user would: run the commands as they are written, one after the other.

    python scripts/walk_readme.py

Blocks marked `console` alone are run, from the repository's root and with this Python's environment active. A further
word says what the others need that is not available everywhere: a hub, the network or a cloud, or time and the user's
own files (example).
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md")))
NEEDS = ("hub", "network", "example")


class Block(NamedTuple):
    """Commands that stand together; what they need that is not everywhere, else an empty word."""

    needs: str
    commands: tuple[str, ...]


def blocks(text: str) -> list[Block]:
    """The console blocks of a Markdown text, with continued lines joined."""
    blocks = re.findall(r"^```console *(.*)\n((?:.*\n)*?)```$", text, re.MULTILINE)
    return [Block(needs, tuple(re.sub(r"\\\n\s*", "", body).splitlines())) for needs, body in blocks]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--done", nargs="*", default=[], metavar="COMMAND", help="commands that have been run already")
    arguments = parser.parse_args()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for page in PAGES:
        runnable = (block for block in blocks(page.read_text(encoding="utf-8")) if not block.needs)
        for command in (command for block in runnable for command in block.commands):
            if command in arguments.done:
                continue
            print(f"$ {command}", flush=True)
            start = time.monotonic()
            done = subprocess.run(["bash", "-c", command], cwd=REPOSITORY, env={**os.environ, "PATH": path})
            print(f"[{time.monotonic() - start:.0f} s]", flush=True)
            if done.returncode:
                print(f"error: {page.name}: the command ended with {done.returncode}: {command}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
