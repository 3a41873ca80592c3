"""What a finished job reports: report.json, _SUCCESS, a summary for people, and a TREC run.

Counts are summed from the parts, so they are those of the whole job however often it was restarted; times and speeds
are those of the last run, and say so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from transforms.base import files
from transforms.base.cost import cost_of
from transforms.base.errors import UserError
from transforms.base.json_text import indented
from transforms.base.words import number_of
from transforms.layout import REJECTED_DIRECTORY, REPORT, RERANKING, SCORED_DIRECTORY, SUCCESS
from transforms.output.parts import Part, read_scored

# What str.split() takes for white space, with which readers of runs split lines: RE2's \s is ASCII alone.
_WHITE_SPACE = r"[\s\v\x1c-\x1f\x85\p{Z}]"


def total(parts: Mapping[str, Part]) -> Counter[str]:
    """The counts of all parts together. A count that no part has is absent, not 0."""
    counts: Counter[str] = Counter()
    for part in parts.values():
        counts.update(part.counts)
    return counts


def rejected_fraction(counts: Mapping[str, int]) -> float:
    """The share of the input's pairs that were rejected."""
    pairs = counts.get("pairs", 0)
    return (pairs - counts.get("scored", 0)) / pairs if pairs else 0.0


def summarise(
    parts: Mapping[str, Part],
    *,
    before: Collection[str],
    seconds: float,
    stage_seconds: Mapping[str, float],
    price_per_hour: float | None = None,
) -> dict[str, Any]:
    """The contents of report.json.

    Args:
        parts: all committed parts.
        before: names of those that this run found there when it began.
        seconds: wall-clock time of this run.
        stage_seconds: time of this run spent in each stage, summed over worker processes.
        price_per_hour: of all machines of this run, in any currency.

    Returns:
        Figures by section. A figure of tokens or truncation is None where the model does not know it. `rejected` has
        both rows and pairs, since a rejected query is one row and stands for all its candidates.
    """
    counts = total(parts)
    run = total({name: part for name, part in parts.items() if name not in set(before)})
    computed = counts["forward_tokens"] + counts["padding_tokens"]
    return {
        "queries": {
            "total": counts["queries"],
            "rejected": counts["rejected_queries"],
            "without_candidates": counts["empty_lists"],
            "empty_text": counts["empty_queries"],
            "truncated": counts.get("truncated_queries"),
        },
        "pairs": {
            "total": counts["pairs"],
            "scored": counts["scored"],
            "rejected": counts["pairs"] - counts["scored"],
            "empty_text": counts["empty_texts"],
            "nan_first_stage_score": counts["nan_first_stage_scores"],
            "truncated": counts.get("truncated_pairs"),
            "windowed": counts.get("windowed_pairs"),
        },
        "rejected": {
            reason: {"rows": counts[f"rejected_rows.{reason}"], "pairs": counts[f"rejected.{reason}"]}
            for reason in sorted(name.removeprefix("rejected.") for name in counts if name.startswith("rejected."))
        },
        "tokens": {
            "total": counts.get("tokens"),
            "truncated": counts.get("truncated_tokens"),
            "computed": computed,
            "padding_share": counts["padding_tokens"] / computed if computed else 0.0,
        },
        "forward_passes": counts["forward_passes"],
        "out_of_memory_splits": counts["oom_splits"],
        "endpoint": {
            name.removeprefix("endpoint_"): counts[name] for name in sorted(counts) if name.startswith("endpoint_")
        },
        "shards": len(parts),
        "last_run": _last_run(run, len(parts) - len(set(before) & parts.keys()), seconds, price_per_hour)
        | {"stage_seconds": {stage: round(value, 3) for stage, value in sorted(stage_seconds.items())}},
    }


def _last_run(run: Counter[str], shards: int, seconds: float, price_per_hour: float | None) -> dict[str, Any]:
    cost = None if price_per_hour is None else cost_of(seconds, price_per_hour)
    unknown = run["scored"] and not run["forward_tokens"]  # of an endpoint
    return {
        "shards": shards,
        "seconds": round(seconds, 3),
        "pairs": run["pairs"],
        "pairs_per_second": _ratio(run["scored"], seconds),
        "tokens_per_second": None if unknown else _ratio(run["forward_tokens"], seconds),
        "cost": cost,
        "cost_per_1000_pairs": None if cost is None else _ratio(1000 * cost, run["scored"]),
    }


def _ratio(amount: float, of: float) -> float | None:
    return amount / of if of else None


def write_report(output: str, report: Mapping[str, Any]) -> None:
    files.write_text_atomically(files.join(output, REPORT), indented(report, ascii_only=True))


def write_success(output: str) -> None:
    """The mark of a finished job; to be written after everything else, of which it says that it is on the disk."""
    for directory in RERANKING.parts:
        files.flush_names(files.join(output, directory))
    files.write_text_atomically(files.join(output, SUCCESS), "")


def summary(output: str, report: Mapping[str, Any]) -> str:
    """What people want to know of a finished job, in five lines, or in four where this run had nothing to score."""
    pairs, queries, tokens, run = report["pairs"], report["queries"], report["tokens"], report["last_run"]
    lines = {
        "scored": [
            f"{_of(pairs['scored'], pairs['total'])} pairs of {number_of(queries['total'], 'query', 'queries')}",
            *_if_any(queries["without_candidates"], "query without candidates", "queries without candidates"),
            *_if_any(queries["empty_text"], "empty query", "empty queries"),
            *_if_any(pairs["empty_text"], "empty document", "empty documents"),
        ],
        "truncated": [
            "unknown for this model"
            if pairs["truncated"] is None and pairs["scored"]
            else f"{_of(pairs['truncated'] or 0, pairs['scored'])} documents, "
            f"{number_of(tokens['truncated'] or 0, 'token', 'tokens')} of them unread",
            *_if_any(queries["truncated"], "query", "queries"),
            *_if_any(pairs["windowed"], "document read in windows", "documents read in windows"),
        ],
        "rejected": [
            f"{_of(pairs['rejected'], pairs['total'])} pairs",
            *(f"{reason} {_weight(weight)}" for reason, weight in report["rejected"].items()),
            *([files.join(output, REJECTED_DIRECTORY)] if report["rejected"] else []),
        ],
        "speed": [
            f"{run['pairs_per_second']:,.1f} pairs/s",
            *([] if run["tokens_per_second"] is None else [f"{run['tokens_per_second']:,.0f} tokens/s"]),
            f"{number_of(run['pairs'], 'pair', 'pairs')} in {timedelta(seconds=round(run['seconds']))}",
            *_if_any(report["shards"] - run["shards"], "shard done before", "shards done before"),
            *([] if run["cost"] is None else [f"cost {run['cost']:,.2f}"]),
        ]
        if run["pairs_per_second"]
        else [],
        "output": [files.join(output, SCORED_DIRECTORY), f"report in {files.join(output, REPORT)}"],
    }
    return "\n".join(f"{name:<10}{', '.join(facts)}" for name, facts in lines.items() if facts)


def _of(part: int, whole: int) -> str:
    share = f" ({part / whole:.1%})" if 0 < part < whole else ""
    return f"{part:,} of {whole:,}{share}"


def _if_any(number: int | None, singular: str, plural: str) -> list[str]:
    return [number_of(number, singular, plural)] if number else []


def _weight(weight: Mapping[str, int]) -> str:
    """Rows of a reason, and the pairs that they stand for where that is another number."""
    rows, pairs = weight["rows"], weight["pairs"]
    return f"{rows:,}" if rows == pairs else f"{rows:,} ({number_of(pairs, 'pair', 'pairs')})"


def check_run_ids(ids: pa.Array | pa.ChunkedArray, what: str, instead: str = "leave --run_file out") -> None:
    """Refuses ids that a TREC run, whose fields are separated by white space, cannot hold.

    Args:
        ids: strings.
        what: of what they are ids, for the message: "query" or "document".
        instead: what to do where the ids must stay, likewise.

    Raises:
        UserError: an id has white space, which is named, or is empty.
    """
    bad = pc.or_(pc.match_substring_regex(ids, _WHITE_SPACE), pc.equal(ids, ""))
    if pc.any(bad).as_py():
        first = ids.filter(bad)[0].as_py()
        raise UserError(
            f"{what} id {first!r} has white space in it or is empty, which a TREC run cannot hold; "
            f"change the id, or {instead}"
        )


def write_run_file(output: str, path: str, tag: str) -> None:
    """Writes the scored pairs as a TREC run: query id, Q0, document id, rank, score, tag; best first, by query.

    Scores have nine significant digits, which distinguish any two float32, so that no ties are made.

    Raises:
        UserError: an id or the tag cannot stand in a run.
    """
    if re.search(r"\s", tag) or not tag:
        raise UserError(f"the run's name {tag!r} has white space in it or is empty; give one word")
    files.write_atomically(path, lambda stream: _write_run(stream, output, tag))


def _write_run(stream: BinaryIO, output: str, tag: str) -> None:
    for table in read_scored(output, ["query_id", "doc_id", "rank", "score"]):
        check_run_ids(table["query_id"], "query")
        check_run_ids(table["doc_id"], "document")
        rows = zip(*(table[name].to_pylist() for name in ("query_id", "doc_id", "rank", "score")), strict=True)
        lines = (f"{query} Q0 {doc} {rank} {score:.9g} {tag}\n" for query, doc, rank, score in rows)
        stream.write("".join(lines).encode("utf-8"))
