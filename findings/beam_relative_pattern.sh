#!/usr/bin/env bash
# What: FileSystems.match("t*.txt") and MatchFiles("t*.txt") find nothing in the working folder.
# Versions: apache-beam 2.77.0, DirectRunner, local files.
# Why it surprises: "./t*.txt" and the plain name "t1.txt" are found, and ReadFromText("t*.txt") reads the file.
#   An empty match is no error: MatchFiles fails only where empty_match_treatment is DISALLOW.
# Who it touches: pipelines that list their own inputs, started beside the data: they do nothing and succeed.
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
from apache_beam.io import fileio
from apache_beam.io.filesystems import FileSystems

logging.disable(logging.CRITICAL)
print("apache-beam", beam.__version__)
Path("t1.txt").write_text("line\n")


def matched(pattern: str) -> int:
    return len(FileSystems.match([pattern])[0].metadata_list)


def count(source: beam.PTransform, name: str) -> int:
    with beam.Pipeline() as pipeline:
        (
            pipeline
            | source
            | beam.combiners.Count.Globally()
            | beam.Map(str)
            | beam.io.WriteToText(str(Path.cwd() / name), shard_name_template="")
        )
    return int(Path(name).read_text())


seen = {
    'FileSystems.match("t*.txt")': matched("t*.txt"),
    'MatchFiles("t*.txt")': count(fileio.MatchFiles("t*.txt"), "bare"),
    'FileSystems.match("./t*.txt")': matched("./t*.txt"),
    'FileSystems.match("t1.txt")': matched("t1.txt"),
    'MatchFiles("./t*.txt")': count(fileio.MatchFiles("./t*.txt"), "dotted"),
    'ReadFromText("t*.txt")': count(beam.io.ReadFromText("t*.txt"), "read"),
}
for call, number in seen.items():
    print(f"{call}: expected 1, seen {number}")
sys.exit(0 if list(seen.values()) == [0, 0, 1, 1, 1, 1] else 1)
PY
