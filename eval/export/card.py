"""The README.md of an export: what it is, where it is from, and which files the `datasets` library shall open."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

import pyarrow as pa

from transforms.base.files import base_name
from transforms.job.record import Job

INPUTS_LISTED = 20


# What `datasets` names otherwise than Arrow.
DTYPES = {"float": "float32"}


class Table(NamedTuple):
    """A file that `datasets` opens, and its columns."""

    file: str
    columns: Mapping[str, pa.DataType]


def card(job: Job, form: str, about: str, data: Mapping[str, Table], options: Mapping[str, Any], counts: Any) -> str:
    """The card's text.

    Args:
        job: the job whose output is exported.
        form: name of the format.
        about: what it is for.
        data: the tables by name; empty where none is one that `datasets` opens.
        options: of the export, as given.
        counts: what was exported and left out.
    """
    lines = ["---"]
    if data:
        lines.append("configs:")
        for name, table in data.items():
            lines += [f"- config_name: {name}", "  data_files:", "  - split: train", f"    path: {table.file}"]
        lines.append("dataset_info:")  # else `datasets` guesses the types of JSON lines
        for name, table in data.items():
            lines += [f"- config_name: {name}", "  features:", *_features(table.columns, "  ")]
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
    lines += ["", "| what | number |", "|---|---|", *(f"| {name} | {count:,} |" for name, count in counts.items())]
    lines += ["", "| input file | bytes | SHA-256 of its footer |", "|---|---|---|"]
    lines += [
        f"| {base_name(file.path)} | {file.size:,} | `{file.footer_hash}` |" for file in job.inputs[:INPUTS_LISTED]
    ]
    if len(job.inputs) > INPUTS_LISTED:
        lines.append(f"| and {len(job.inputs) - INPUTS_LISTED:,} more, see the job's job.json | | |")
    return "\n".join(lines) + "\n"


def _features(columns: Mapping[str, pa.DataType], indent: str) -> list[str]:
    """Columns as a data set card names them, in lines of YAML."""
    lines = []
    for name, kind in columns.items():
        lines += [f"{indent}- name: {name}", *_type(kind, f"{indent}  ")]
    return lines


def _type(kind: pa.DataType, indent: str) -> list[str]:
    is_list = pa.types.is_list(kind)
    inner = kind.value_type if is_list else kind
    if pa.types.is_struct(inner):
        fields = {field.name: field.type for field in inner}
        return [f"{indent}{'list' if is_list else 'struct'}:", *_features(fields, indent)]
    return [f"{indent}{'list' if is_list else 'dtype'}: {DTYPES.get(str(inner), str(inner))}"]
