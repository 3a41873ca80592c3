"""The README.md of an export: what it is, where it is from, and which files the `datasets` library shall open."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from transforms.base.files import base_name
from transforms.job.record import Job

INPUTS_LISTED = 20


def card(job: Job, form: str, about: str, data: Mapping[str, str], options: Mapping[str, Any], counts: Any) -> str:
    """The card's text.

    Args:
        job: the job whose output is exported.
        form: name of the format.
        about: what it is for.
        data: name of each table, and its file; empty where none is one that `datasets` opens.
        options: of the export, as given.
        counts: what was exported and left out.
    """
    lines = ["---"]
    if data:
        lines.append("configs:")
        for name, file in data.items():
            lines += [f"- config_name: {name}", "  data_files:", "  - split: train", f"    path: {file}"]
    lines += ["---", f"# Scored lists in the form {form}", "", f"{about[0].upper()}{about[1:]}.", ""]
    facts = {
        "model": json.dumps(job.model, ensure_ascii=False, sort_keys=True),
        "dtype": job.execution.get("dtype"),
        "scored": job.created,
        "job": job.fingerprint,
        "made by": f"offline-rerank {version('offline-rerank')}",
        "options": json.dumps(options, ensure_ascii=False),
    }
    lines += ["| what | value |", "|---|---|"]
    lines += [f"| {name} | `{value}` |" for name, value in facts.items() if value is not None]
    lines += ["", "| count | rows |", "|---|---|", *(f"| {name} | {count:,} |" for name, count in counts.items())]
    lines += ["", "| input file | bytes | SHA-256 of its footer |", "|---|---|---|"]
    lines += [
        f"| {base_name(file.path)} | {file.size:,} | `{file.footer_hash}` |" for file in job.inputs[:INPUTS_LISTED]
    ]
    if len(job.inputs) > INPUTS_LISTED:
        lines.append(f"| and {len(job.inputs) - INPUTS_LISTED:,} more, see the job's job.json | | |")
    return "\n".join(lines) + "\n"
