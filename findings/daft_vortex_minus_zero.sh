#!/usr/bin/env bash
# What: the filter score >= 0 leaves out the score -0.0, and so does score == 0; in Daft a join with 0.0 does too.
# Versions: daft 0.7.26, vortex-data 0.93.0; pyarrow 25.0.1 takes the two for equal.
# Why it surprises: IEEE 754, SQL and Python say that they are equal, and so do the filters of other readers of the same
#   file. Both libraries compare by the total order of the standard's other part, in which -0.0 comes before 0.0.
#   DataFusion did so too, in apache/datafusion#22490; of these two nothing was found upstream.
# Who it touches: scores that are a negated distance: the document that is equal to the query has a score of -0.0, and a
#   threshold of 0 leaves out the best match.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check daft==0.7.26 vortex-data==0.93.0 pyarrow==25.0.1
cd "$work"
DAFT_ANALYTICS_ENABLED=0 DO_NOT_TRACK=1 DAFT_PROGRESS_BAR=0 "$work/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import daft
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import vortex
import vortex.expr

distances = {"same text": 0.0, "close": 0.25, "far": 2.0}
table = pa.table({"id": list(distances), "score": [-distance for distance in distances.values()]})
pq.write_table(table, "scores.parquet")
vortex.io.write(vortex.array(table), "scores.vortex")
scores = daft.read_parquet("scores.parquet")
zero = daft.from_pydict({"score": [0.0], "other": ["exact"]})


def in_vortex(filter: vortex.expr.Expr) -> list[str]:
    return vortex.open("scores.vortex").to_arrow(["id"], expr=filter).read_all()["id"].to_pylist()


column = vortex.expr.column("score")
seen = {
    "score >= 0, pyarrow": pq.read_table("scores.parquet", filters=ds.field("score") >= 0)["id"].to_pylist(),
    "score >= 0, Daft": scores.where(daft.col("score") >= 0).to_pydict()["id"],
    "score >= 0, Vortex": in_vortex(column >= 0.0),
    "score == 0, Daft": scores.where(daft.col("score") == 0).to_pydict()["id"],
    "score == 0, Vortex": in_vortex(column == 0.0),
    "score joined with 0, Daft": scores.join(zero, on="score").to_pydict()["id"],
}
for name in ("daft", "vortex-data", "pyarrow"):
    print(name, version(name))
for case, ids in seen.items():
    print(f"{case}: expected ['same text'], seen {ids}")
sys.exit(0 if list(seen.values()) == [["same text"], [], [], [], [], []] else 1)
PY
