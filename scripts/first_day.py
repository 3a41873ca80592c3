"""The jobs of a first day, by the documented commands, in an empty folder and without a network.

    python scripts/first_day.py

Own files in, scores out, labels, hard negatives, one list, a plan, a comparison, a table, and what goes wrong on the
way. Each step says what it is to print; exit code 1 where one does not, or ends otherwise than it should.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

QUICK = 2.0  # seconds of the processor in which a command answers that need not load a model
MODEL = "--model small-cross-encoder"


def lists(*queries: tuple[str, str, Mapping[str, str]]) -> str:
    """JSON lines of queries with their candidates, texts by id."""
    rows = [
        {"query_id": query_id, "query": query, "candidates": [{"doc_id": d, "text": text} for d, text in texts.items()]}
        for query_id, query, texts in queries
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


FILES: Mapping[str, str] = {
    "lists.jsonl": lists(
        (
            "l1",
            "capital of France",
            {"d1": "Bananas.", "d2": "Paris is the capital of France.", "d3": "Lyon is a city."},
        ),
        ("l2", "colour of bananas", {"d1": "Bananas are yellow.", "d3": "Lyon is a city in France."}),
    ),
    "pairs.jsonl": """
        {"query_id": "j1", "query": "capital of France", "doc_id": "d1", "text": "Bananas."}
        {"query_id": "j1", "query": "capital of France", "doc_id": "d2", "text": "Paris is the capital."}
        """,
    "pairs.csv": """
        qid,question,pid,passage
        c1,capital of Italy,10,"Rome is the capital, and old."
        c1,capital of Italy,11,Bananas.
        """,
    "top1000.tsv": """
        7\t20\tcapital of Spain\tMadrid is the capital.
        7\t21\tcapital of Spain\tBananas.
        """,
    "run.trec": """
        q1 Q0 d3 1 9 bm25
        q1 Q0 d2 2 8 bm25
        q1 Q0 d1 3 7 bm25
        q2 Q0 d3 1 7 bm25
        q2 Q0 d1 2 6 bm25
        """,
    "corpus.jsonl": """
        {"pid": "d1", "title": "Banana", "body": "Bananas are yellow."}
        {"pid": "d2", "title": "Paris", "body": "The capital of France."}
        {"pid": "d3", "title": "Lyon", "body": "A city in France."}
        """,
    "queries.tsv": """
        qid\tquery
        q1\tcapital of France
        q2\tcolour of bananas
        """,
    "qrels.txt": """
        q1 0 d2 1
        q2 0 d1 1
        """,
    "flat/one.csv": """
        query_id,query,doc_id,text
        f1,capital of France,d1,Bananas.
        f1,capital of France,d2,Paris is the capital.
        """,
    "later/two.csv": """
        query_id,query,doc_id,text
        f2,capital of Italy,d1,Bananas.
        f2,capital of Italy,d2,Rome is the capital.
        """,
    "eval/__init__.py": """
        raise SystemExit("a package of the user's own was imported")
        """,
    "day.py": """
        import apache_beam as beam

        from transforms.base.errors import UserError
        from transforms.rerank_lists import Candidate, RankingRequest, RerankLists
        from transforms.scoring import Reranker

        reranker = Reranker.load("small-cross-encoder")
        documents = ["Bananas.", {"title": "Paris", "text": "The capital of France."}]
        print("best", reranker.rank("capital of France", documents, top_k=1)[0].text)
        for given, instruction in (("Paris", None), (["Paris", None], None), (["Paris"], "be kind")):
            try:
                reranker.score("capital of France", given, instruction)
            except UserError as error:
                print("refused", error)

        request = RankingRequest("q1", "capital of France", [Candidate("d1", "Bananas."), Candidate("d2", "Paris.")])
        with beam.Pipeline("FnApiRunner") as pipeline:
            found = pipeline | beam.Create([request]) | RerankLists("small-cross-encoder", top_k=1)
            _ = found.ranked | beam.Map(lambda ranked: print("beam", ranked.query_id, ranked.documents[0].doc_id))
        """,
}


class Step(NamedTuple):
    """A command and what becomes of it.

    Attributes:
        job: what somebody wants, in words; empty where it goes on from the step before.
        command: as a user types it.
        shows: words that it prints, each, to standard output or error.
        hides: words that it does not print.
        code: its exit code.
        quick: whether it answers at once.
    """

    job: str
    command: str
    shows: tuple[str, ...] = ()
    hides: tuple[str, ...] = ()
    code: int = 0
    quick: bool = False


STEPS = (
    Step(
        "score own files: CSV with other names, JSON lines, MS MARCO's triples",
        f"offline-rerank rerank --input pairs.csv pairs.jsonl top1000.tsv --output scored {MODEL} --threads 1",
        ("scored    6 of 6 pairs of 3 queries", "rejected  0 of 6"),
    ),
    Step(
        "",
        f"offline-rerank rerank --input pairs.csv lists.jsonl --output both {MODEL}",
        ("error: ", "lists.jsonl", "pairs.csv"),
        ("both/_converted",),
        code=2,
    ),
    Step("", "grep -o '\"threads\": 1' scored/job.json", ('"threads": 1',)),
    Step(
        "rerank a TREC run with its texts",
        f"offline-rerank rerank --input run.trec --output reranked {MODEL}",
        ("error: ", "--corpus", "--queries"),
        code=2,
    ),
    Step(
        "",
        "offline-rerank rerank --input run.trec --corpus corpus.jsonl --queries queries.tsv "
        f"--columns doc_id=pid,text=body --output reranked {MODEL} --run_file reranked.trec",
        ("scored    5 of 5 pairs of 2 queries",),
    ),
    Step(
        "measure it, in a folder with an eval/ of its own",
        "offline-rerank measure reranked --qrels qrels.txt",
        ("RR@10                           0.5000    1.0000     +0.5000",),
    ),
    Step(
        "make training data with hard negatives",
        "offline-rerank export reranked --to triplets --format triplet --qrels qrels.txt --num_negatives 1",
        ("2",),
    ),
    Step(
        "",
        "python -c \"import datasets; print(datasets.load_dataset('triplets', 'train')['train'][0]['positive'])\"",
        ("Paris The capital of France.",),
    ),
    Step("", "offline-rerank export scored --to labels --format labeled-list", ("3",)),
    Step(
        "score from Python, and in a pipeline",
        "python day.py",
        (
            "best Paris The capital of France.",
            "refused documents: a str; give a list of texts",
            "refused documents[1]: a NoneType in it",
            "refused instruction: this model takes none",
            "beam q1 d2",
        ),
    ),
    Step(
        "plan a job before there is anything of it",
        "offline-rerank rerank --dry_run --pairs 1e7 --tokens_per_pair 155 --gpu h200 "
        "--model jinaai/jina-reranker-v2-base-multilingual --price_per_hour 3.5",
        ("h", "3.5"),
        ("cost 0.00",),
    ),
    Step(
        "score one list",
        f"head -n 1 lists.jsonl | offline-rerank score {MODEL} --top_k 1",
        ('"query_id": "l1", "results": [{"doc_id": "d2", "rank": 1,',),
        ('"rank": 2',),
    ),
    Step("ask for help, and mistype", "offline-rerank rerank --help", ("--keep_columns",), quick=True),
    Step("", "offline-rerank rerank --input a --output b --modle c", ("error: ", "--model"), code=2, quick=True),
    Step("", "offline-rerank mesure", ("did you mean measure?",), code=2, quick=True),
    Step(
        "see why queries changed",
        "offline-rerank compare run.trec reranked --qrels qrels.txt --show 1 --texts",
        ("Paris The capital of France.",),
    ),
    Step(
        "make candidates, after a mistake",
        "offline-rerank candidates --corpus nowhere.jsonl --queries queries.tsv --retriever bm25 --output cands",
        ("error: ", "nowhere.jsonl"),
        code=2,
    ),
    Step(
        "",
        "offline-rerank candidates --corpus corpus.jsonl --queries queries.tsv --columns doc_id=pid,text=body "
        "--retriever bm25 --output cands",
        (),
    ),
    Step("", f"offline-rerank rerank --input cands --output from_cands {MODEL}", ("of 2 queries",)),
    Step(
        "compare models in a table",
        "offline-rerank benchmark --models small-cross-encoder short=small-cross-encoder --retriever bm25 "
        "--output results --price_per_hour 1 --datasets own=cands/candidates/part-00000.parquet,qrels.txt",
    ),
    Step("", "offline-rerank table results && cat results/table.md", ("not distinguishable from it", "cost")),
    Step(
        "add pairs later",
        f"offline-rerank rerank --input 'flat/*.csv' --output grown {MODEL} && cp later/two.csv flat/ && "
        f"offline-rerank rerank --input 'flat/*.csv' --output grown {MODEL} --extend",
        ("scored    2 of 2 pairs of 1 query", "scored    4 of 4 pairs of 2 queries"),
    ),
    Step(
        "see which window of a long document won",
        "python -c \"import json; print(json.dumps(dict(query_id='q', query='capital of France', doc_id='d', "
        "text='bananas ' * 600 + 'Paris is the capital of France.')))\" > long.jsonl && "
        f"offline-rerank rerank --input long.jsonl --output windows {MODEL} --long_documents window "
        "--window_score max && "
        "python -c \"import pyarrow.parquet as pq; print(pq.read_table('windows/scored')['best_window'].to_pylist())\"",
        ("[1]",),
    ),
)


def write_files(folder: Path) -> None:
    """The user's own files."""
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(content).lstrip("\n"), encoding="utf-8")


def problems(step: Step, folder: Path) -> list[str]:
    """Run a step; what of it is not as it should be, in lines, the last of which is all that it printed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        ["bash", "-c", step.command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    hidden = (*step.hides, "Traceback", "\r")
    problems_found = [
        *([f"ended with {done.returncode}, not {step.code}"] if done.returncode != step.code else []),
        *(f"does not show {words!r}" for words in step.shows if words not in done.stdout),
        *(f"shows {words!r}" for words in hidden if words in done.stdout),
        *([f"took {busy:.1f} s of the processor, not {QUICK}"] if step.quick and busy > QUICK else []),
    ]
    return [*problems_found, done.stdout] if problems_found else []


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder)
        failed = 0
        for step in STEPS:
            if step.job:
                print(f"\n{step.job}")
            print(f"$ {step.command}", flush=True)
            start = time.monotonic()
            complaints = problems(step, folder)
            print("\n".join([*complaints, f"[{time.monotonic() - start:.0f} s]"]), flush=True)
            failed += bool(complaints)
    print(f"\n{len(STEPS) - failed} of {len(STEPS)} steps did what they are to do")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
