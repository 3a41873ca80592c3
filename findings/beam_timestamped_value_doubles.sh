#!/usr/bin/env bash
# What: in a DoFn that yields TimestampedValue, each element of sliding windows comes out twice in each of its windows.
# Version: apache-beam 2.77.0, FnApiRunner.
# Why it surprises: the same DoFn that yields the element as it is gives it once. A TimestampedValue is put anew into
#   all windows of its time, once for each window that the element is in already: four times for two windows.
# Who it touches: counts and sums over sliding windows, wherever a step sets or repeats a time. Yielding a WindowedValue
#   with the window of DoFn.WindowParam gives it once.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check apache-beam==2.77.0
"$work/venv/bin/python" - <<'PY'
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import SlidingWindows, TimestampedValue
from apache_beam.utils.windowed_value import WindowedValue

logging.disable(logging.CRITICAL)
print("apache-beam", beam.__version__)


def as_it_is(element: Any) -> Iterator[Any]:
    yield element


def stamped(element: Any, time: Any = beam.DoFn.TimestampParam) -> Iterator[Any]:
    yield TimestampedValue(element, time)


def windowed(element: Any, time: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam) -> Iterator[Any]:
    yield WindowedValue(element, time, (window,))


def line(counted: Any, window: Any = beam.DoFn.WindowParam) -> str:
    return f"{counted[1]} in {window}"


def counts(step: Any) -> list[str]:
    """How often one element, at 12 s, is in each window."""
    with TemporaryDirectory() as folder:
        with beam.Pipeline("FnApiRunner") as pipeline:
            (
                pipeline
                | beam.Create(["a"])
                | "At" >> beam.Map(lambda element: TimestampedValue(element, 12))
                | beam.WindowInto(SlidingWindows(10, 5))
                | "Step" >> beam.FlatMap(step)
                | beam.combiners.Count.PerElement()
                | "Line" >> beam.Map(line)
                | "Global" >> beam.WindowInto(beam.window.GlobalWindows())
                | beam.io.WriteToText(f"{folder}/counts")
            )
        return sorted(line for path in Path(folder).iterdir() for line in path.read_text().splitlines())


once, twice = (["%d in [10.0, 20.0)" % n, "%d in [5.0, 15.0)" % n] for n in (1, 2))
seen = {step.__name__: counts(step) for step in (as_it_is, stamped, windowed)}
for name, found in seen.items():
    print(f"{name}: expected {once}, seen {found}")
sys.exit(0 if seen == {"as_it_is": once, "stamped": twice, "windowed": once} else 1)
PY
