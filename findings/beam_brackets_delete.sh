#!/usr/bin/env bash
# What: WriteToText to a folder named run[1] deletes files of the folder run1, then fails.
# Versions: apache-beam 2.77.0, DirectRunner, local files.
# Why it surprises: an output prefix is a name, not a pattern, and open(), exists() and create() take it so; but
#   FileSystems.delete() and the sink's look for earlier shards take it as a glob, where [1] means the character 1.
#   delete() of "part-[1].txt" removes part-1.txt, keeps part-[1].txt and raises nothing.
# Who it touches: pipelines that write to names made from dates, models or parameters with [, ], ? or *.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check apache-beam==2.77.0
cd "$work"
"$work/venv/bin/python" - <<'PY'
import logging
import sys
from pathlib import Path

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

logging.disable(logging.CRITICAL)
print("apache-beam", beam.__version__)
here = Path.cwd()
for name in ("part-1.txt", "part-[1].txt"):
    (here / name).touch()
FileSystems.delete([str(here / "part-[1].txt")])
left = sorted(path.name for path in here.glob("part-*"))
print("delete of part-[1].txt: expected left ['part-1.txt'], seen", left)

for folder in ("run1", "run[1]"):
    (here / folder).mkdir()
other = here / "run1" / "out-00000-of-00001"
other.write_text("of another job")
outcome = "written"
try:
    with beam.Pipeline() as pipeline:
        pipeline | beam.Create(["line"]) | beam.io.WriteToText(str(here / "run[1]" / "out"), num_shards=1)
except Exception as error:
    outcome = type(error).__name__
print("WriteToText to run[1]/out: expected written, seen", outcome)
print("run1/out-00000-of-00001 still there: expected True, seen", other.exists())
sys.exit(0 if left == ["part-[1].txt"] and outcome != "written" and not other.exists() else 1)
PY
