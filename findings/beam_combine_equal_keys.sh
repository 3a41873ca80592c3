#!/usr/bin/env bash
# What: Count.PerElement, Distinct and CombinePerKey take the keys 1, 1.0 and True for one; GroupByKey keeps them apart.
# Version: apache-beam 2.77.0, FnApiRunner.
# Why it surprises: a combine is a GroupByKey and a sum, only earlier. What it adds up before the shuffle lies in a dict
#   of Python, where 1 == 1.0 == True; the shuffle goes by the bytes of the coder, in which they differ. The key that is
#   kept is the one that came first.
# Who it touches: ids and labels out of JSON, where 1 and 1.0 come from two writers, and true from a third.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check apache-beam==2.77.0
"$work/venv/bin/python" - <<'PY'
import logging
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import apache_beam as beam

logging.disable(logging.CRITICAL)


def grouped(values: Any) -> Any:
    """A count by GroupByKey."""
    pairs = values | beam.Map(lambda value: (value, 1)) | beam.GroupByKey()
    return pairs | beam.MapTuple(lambda value, ones: (value, sum(ones)))


def counted(values: Any) -> Any:
    return values | beam.combiners.Count.PerElement()


def summed(values: Any) -> Any:
    return values | beam.Map(lambda value: (value, 1)) | beam.CombinePerKey(sum)


def distinct(values: Any) -> Any:
    return values | beam.Distinct() | beam.Map(lambda value: (value, 1))


def found(step: Any) -> list[str]:
    with TemporaryDirectory() as folder:
        with beam.Pipeline("FnApiRunner") as pipeline:
            lines = step(pipeline | "Values" >> beam.Create([1, 1.0, True])) | "Text" >> beam.Map(repr)
            lines | beam.io.WriteToText(f"{folder}/lines")
        return sorted(line for path in Path(folder).iterdir() for line in path.read_text().splitlines())


print("apache-beam", beam.__version__)
apart = ["(1, 1)", "(1.0, 1)", "(True, 1)"]
seen = {step.__name__: found(step) for step in (grouped, counted, summed, distinct)}
for name, lines in seen.items():
    print(f"{name}: expected {apart}, seen {lines}")
one = ["(1, 3)"]
sys.exit(0 if seen == {"grouped": apart, "counted": one, "summed": one, "distinct": ["(1, 1)"]} else 1)
PY
