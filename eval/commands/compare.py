"""Compare runs with a baseline: by how much do they differ, on which queries, and by more than chance?"""

from __future__ import annotations

from statistics import fmean

from eval.commands.measure import check_not_read, evaluate_source, files_read, read_relevance
from eval.commands.moved import add_moved, jobs_of
from eval.commands.options import COMPARED_MEASURES
from eval.commands.requests import CompareRequest
from eval.ranking import comparison
from eval.ranking.comparison_page import html
from eval.ranking.files import write_json, write_table, write_text
from eval.ranking.report import grade_notes
from eval.ranking.runs import open_source
from transforms.base.versions import versions

PACKAGES = ("ir_measures", "pytrec-eval-terrier", "scipy", "statsmodels")


def run(request: CompareRequest) -> None:
    """Compares, prints the summary, and writes the files asked for.

    Raises:
        UserError: an argument or an input is wrong.
        OSError: a file cannot be read or written.
    """
    names = comparison.labels(request.inputs)
    sources = [open_source(location) for location in request.inputs]
    check_not_read(request.outputs(), files_read(request, request.inputs, sources))
    jobs = jobs_of(request.inputs) if request.texts or request.html else {}
    inputs = [entry for source in sources for entry in source.job.get("inputs", [])]
    relevance = read_relevance(request, COMPARED_MEASURES, {"inputs": inputs})
    evaluations = [
        evaluate_source(location, source, source.stages[-1:], relevance, request.exclude_identical_ids)
        for location, source in zip(request.inputs, sources, strict=True)
    ]
    answered = set().union(*(evaluation.answered for evaluation in evaluations))
    queries = [query for query in relevance.judgements.grades if query in answered or not request.only_run_queries]
    runs = {
        name: {measure: evaluation.values[source.stages[-1]][key] for measure, key in relevance.measures.items()}
        for name, source, evaluation in zip(names, sources, evaluations, strict=True)
    }
    # What depends on the candidates and not on their order is shown, and tested if nothing else is asked for.
    measures = [name for name in relevance.measures if name != relevance.whole_list] or [relevance.whole_list]
    rows = comparison.comparison_rows(measures, runs, queries, request.show)
    if jobs:
        first = [row for row in rows if row["measure"] == measures[0]]
        locations = dict(zip(names, request.inputs, strict=True))
        add_moved(first, locations, jobs, relevance.judgements.grades, request.exclude_identical_ids)
    report = {
        "baseline": names[0],
        **relevance.provenance,
        "only_run_queries": request.only_run_queries,
        "exclude_identical_ids": request.exclude_identical_ids,
        "queries": len(queries),
        "runs": [
            {
                "run": name,
                "location": location,
                "stage": source.stages[-1],
                "means": {measure: fmean(values[query] for query in queries) for measure, values in runs[name].items()},
                "queries_without_candidates": sum(query not in evaluation.answered for query in queries),
                "notes": source.notes,
                "job": source.job,
            }
            for name, location, source, evaluation in zip(names, request.inputs, sources, evaluations, strict=True)
        ],
        "comparisons": rows,
        "tests": comparison.tests(len(rows)),
        "notes": grade_notes(relevance.judgements),
        "versions": versions(PACKAGES),
    }
    print(comparison.render_comparison(report))
    if request.per_query:
        write_table(request.per_query, comparison.query_rows(measures, runs, queries))
    if request.html:
        write_text(request.html, html(report))
    if request.json:
        write_json(request.json, report)
