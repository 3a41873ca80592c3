#!/usr/bin/env bash
# What: safetensors.numpy saves the transpose of an array with the shape of the transpose and the order of the original:
#   other numbers come back, without an error.
# Versions: safetensors 0.8.0 with numpy 2.4.6; 0.7.0 keeps the numbers.
# Why it surprises: safetensors.torch refuses the same tensor as not contiguous, and numpy.save keeps its numbers. A
#   square matrix comes back as if it had not been transposed, so that its shape and its sum are right.
# Who it touches: weights brought over from JAX or TensorFlow, whose linear layers are the transpose of torch's, and
#   arrays in Fortran's order; np.ascontiguousarray before saving keeps them. Known upstream, as
#   huggingface/safetensors#825.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
cat > "$work/back.py" <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from safetensors.numpy import load_file, save_file

WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)
SQUARE = np.arange(4, dtype=np.float32).reshape(2, 2)


def back(array: np.ndarray) -> list[list[float]]:
    """The array as it comes back from a file."""
    save_file({"weight": array}, "weight.safetensors")
    return load_file("weight.safetensors")["weight"].tolist()


print("safetensors", version("safetensors"), "numpy", np.__version__)
cases = {
    "as it is": WEIGHT,
    "transposed": WEIGHT.T,
    "transposed square": SQUARE.T,
    "transposed and made contiguous": np.ascontiguousarray(WEIGHT.T),
}
seen = {name: back(array) for name, array in cases.items()}
for name, array in cases.items():
    print(f"{name}: expected {array.tolist()}, seen {seen[name]}")
kept = [name for name, array in cases.items() if seen[name] == array.tolist()]
sys.exit(0 if kept == (list(cases) if sys.argv[1] == "all" else ["as it is", "transposed and made contiguous"]) else 1)
PY
cd "$work"
for release in "0.7.0 all" "0.8.0 some"; do
  read -r version kept <<< "$release"
  "$work/venv/bin/pip" install -q --disable-pip-version-check "safetensors==$version" numpy==2.4.6
  "$work/venv/bin/python" back.py "$kept"
done
