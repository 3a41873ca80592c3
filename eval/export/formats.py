"""The forms in which scored lists are handed on: one entry of FORMATS each, with the source of its layout."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from eval.export.id_types import ID_COLUMNS, typed
from eval.export.lists import ScoredList
from transforms.output.report import check_run_ids

TEXTS_HELD = 10_000  # of a row group, and in memory
TAG = "rerank"  # the run's name in a TREC run
INSTEAD = "give another --format"  # of a TREC run


class Example(NamedTuple):
    """A list, its scores as they are exported, and which of its documents are what.

    Attributes:
        scored: the list.
        scores: one a document.
        positives: places of the positives, best first; empty in a format that has none.
        negatives: places of the negatives, best first.
    """

    scored: ScoredList
    scores: list[float]
    positives: list[int]
    negatives: list[int]

    def text(self, place: int) -> str:
        return self.scored.texts[place]


Row = dict[str, Any]
Rows = Callable[[Example], Iterable[Row]]
Write = Callable[[BinaryIO, Iterable[Row]], None]


class Format(NamedTuple):
    """A form of export.

    Attributes:
        file: name of the file.
        about: what it is for, and the source of its layout.
        rows: an example's rows.
        write: rows to the file.
        positives: whether its rows are of positives and negatives: "always", "if_judged" (with --qrels, else all
            documents of a list), or "never".
        texts: whether it holds texts.
        columns: of a table, by the number of negatives.
    """

    file: str
    about: str
    rows: Rows
    write: Write | None = None
    positives: Literal["always", "if_judged", "never"] = "always"
    texts: bool = True
    columns: Callable[[int], Mapping[str, pa.DataType]] | None = None

    def has_ids(self) -> bool:
        """Whether it is a table with columns of ids."""
        return self.write is None and self.columns is not None and not ID_COLUMNS.keys().isdisjoint(self.columns(1))


TEXT, NUMBER = pa.string(), pa.float32()
TEXTS, NUMBERS = pa.list_(pa.string()), pa.list_(pa.float32())


def write_parquet(columns: Mapping[str, pa.DataType], types: Mapping[str, pa.DataType]) -> Write:
    """A writer of Parquet with these columns, in row groups of bounded size; `types` are those of ids, if not text."""
    schema, written = (pa.schema(list(each.items())) for each in (columns, typed(columns, types)))

    def write(stream: BinaryIO, rows: Iterable[Row]) -> None:
        with pq.ParquetWriter(stream, written) as writer:
            for held in _batches(rows):
                writer.write_table(pa.Table.from_pylist(held, schema=schema).cast(written))

    return write


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows with so many texts (or ids) together, at least one a batch."""
    held: list[Row] = []
    texts = 0
    for row in rows:
        held.append(row)
        texts += sum(len(value) if isinstance(value, list) else 1 for value in row.values())
        if texts >= TEXTS_HELD:
            yield held
            held, texts = [], 0
    if held:
        yield held


def write_json_lines(stream: BinaryIO, rows: Iterable[Row]) -> None:
    for row in rows:
        stream.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")


def write_run(stream: BinaryIO, rows: Iterable[Row]) -> None:
    """As the job's own --run_file: nine significant digits distinguish any two float32."""
    for row in rows:
        stream.write("{query} Q0 {document} {rank} {score:.9g} {tag}\n".format(tag=TAG, **row).encode())


def write_predictions(stream: BinaryIO, rows: Iterable[Row]) -> None:
    """One object: subset "default", split "test", query id, document id -> score."""
    stream.write(b'{"mteb_model_meta": {"model_name": "offline-rerank", "revision": null}, "default": {"test": {')
    for number, row in enumerate(rows):
        [(query, scores)] = row.items()
        stream.write(f"{',' if number else ''}\n{json.dumps(query)}: {json.dumps(scores)}".encode())
    stream.write(b"\n}}}\n")


def _ids(example: Example) -> Iterator[Row]:
    scored = example.scored
    yield {"query_id": scored.query_id, "document_ids": scored.documents, "scores": example.scores}


def _labeled_list(example: Example) -> Iterator[Row]:
    places = _listed(example)
    yield {
        "query": example.scored.query,
        "documents": [example.text(place) for place in places],
        "scores": [example.scores[place] for place in places],
    }


def _labeled_pair(example: Example) -> Iterator[Row]:
    for place in _listed(example):
        yield {"query": example.scored.query, "document": example.text(place), "score": example.scores[place]}


def _listed(example: Example) -> Sequence[int]:
    """Positives, then negatives; all documents where there is no such difference."""
    return [*example.positives, *example.negatives] or range(len(example.scores))


def _triplet(example: Example) -> Iterator[Row]:
    for positive, negative in _pairs(example):
        yield _texts(example, positive, negative)


def _margin(example: Example) -> Iterator[Row]:
    for positive, negative in _pairs(example):
        yield _texts(example, positive, negative) | {"score": example.scores[positive] - example.scores[negative]}


def _pairs(example: Example) -> Iterator[tuple[int, int]]:
    return ((positive, negative) for positive in example.positives for negative in example.negatives)


def _texts(example: Example, positive: int, negative: int) -> Row:
    return {"query": example.scored.query, "positive": example.text(positive), "negative": example.text(negative)}


def _n_tuple(example: Example) -> Iterator[Row]:
    negatives = {f"negative_{i}": example.text(place) for i, place in enumerate(example.negatives, start=1)}
    for positive in example.positives:
        scores = [example.scores[place] for place in (positive, *example.negatives)]
        yield {"query": example.scored.query, "positive": example.text(positive), **negatives, "scores": scores}


def _flag_embedding(example: Example) -> Iterator[Row]:
    row: Row = {"query": example.scored.query}
    sides = {"pos": example.positives, "neg": example.negatives}
    row |= {side: [example.text(place) for place in places] for side, places in sides.items()}
    yield row | {f"{side}_scores": [example.scores[place] for place in places] for side, places in sides.items()}


def _tevatron(example: Example) -> Iterator[Row]:
    """Without the field `title`: Tevatron puts a space between that and the text, even where it is empty."""
    scored = example.scored
    sides = {"positive_passages": example.positives, "negative_passages": example.negatives}
    yield {
        "query_id": scored.query_id,
        "query": scored.query,
        **{
            side: [{"docid": scored.documents[place], "text": example.text(place)} for place in places]
            for side, places in sides.items()
        },
    }


def _rank_llm(example: Example) -> Iterator[Row]:
    scored = example.scored
    documents = zip(scored.documents, example.scores, scored.texts, strict=True)
    yield {
        "query": {"text": scored.query, "qid": scored.query_id},
        "candidates": [{"docid": i, "score": score, "doc": {"contents": text}} for i, score, text in documents],
    }


def _run(example: Example) -> Iterator[Row]:
    scored = example.scored
    check_run_ids(pa.array([scored.query_id]), "query", INSTEAD)
    check_run_ids(pa.array(scored.documents, pa.string()), "document", INSTEAD)
    for rank, (document, score) in enumerate(zip(scored.documents, example.scores, strict=True), start=1):
        yield {"query": scored.query_id, "document": document, "rank": rank, "score": score}


def _scores(example: Example) -> Iterator[Row]:
    scored = example.scored
    for rank, (document, score) in enumerate(zip(scored.documents, example.scores, strict=True), start=1):
        yield {"query_id": scored.query_id, "doc_id": document, "rank": rank, "score": score}


def _predictions(example: Example) -> Iterator[Row]:
    yield {example.scored.query_id: dict(zip(example.scored.documents, example.scores, strict=True))}


_PASSAGES = pa.list_(pa.struct({"docid": TEXT, "text": TEXT}))
_REQUEST = {
    "query": pa.struct({"text": TEXT, "qid": TEXT}),
    "candidates": pa.list_(pa.struct({"docid": TEXT, "score": NUMBER, "doc": pa.struct({"contents": TEXT})})),
}
_PAIR = {"query": TEXT, "positive": TEXT, "negative": TEXT}
FORMATS: Mapping[str, Format] = {
    "ids": Format(
        "train.parquet",
        "lists of ids with scores, texts apart: what sentence-transformers' resolve_ids and PyLate read",
        _ids,
        positives="never",
        columns=lambda _: {"query_id": TEXT, "document_ids": TEXTS, "scores": NUMBERS},
    ),
    "scores": Format(
        "scores.parquet",
        "query_id, doc_id, rank, score: to join with a data frame",
        _scores,
        positives="never",
        texts=False,
        columns=lambda _: {"query_id": TEXT, "doc_id": TEXT, "rank": pa.int32(), "score": NUMBER},
    ),
    "labeled-list": Format(
        "train.parquet",
        "query, documents, scores: sentence-transformers' listwise losses of cross-encoders",
        _labeled_list,
        positives="if_judged",
        columns=lambda _: {"query": TEXT, "documents": TEXTS, "scores": NUMBERS},
    ),
    "labeled-pair": Format(
        "train.parquet",
        "query, document, score: sentence-transformers' pairwise losses (MSELoss and the like)",
        _labeled_pair,
        positives="if_judged",
        columns=lambda _: {"query": TEXT, "document": TEXT, "score": NUMBER},
    ),
    "n-tuple": Format(
        "train.parquet",
        "query, positive, negative_1 to negative_N, scores; only lists with N negatives",
        _n_tuple,
        columns=lambda n: {
            "query": TEXT,
            "positive": TEXT,
            **{f"negative_{i}": TEXT for i in range(1, n + 1)},
            "scores": NUMBERS,
        },
    ),
    "margin-mse": Format(
        "train.parquet",
        "query, positive, negative, score (the positive's less the negative's): sentence-transformers' MarginMSELoss",
        _margin,
        columns=lambda _: {**_PAIR, "score": NUMBER},
    ),
    "triplet": Format("train.parquet", "query, positive, negative: ranking losses", _triplet, columns=lambda _: _PAIR),
    "flagembedding": Format(
        "train.jsonl",
        "query, pos, neg, pos_scores, neg_scores: FlagEmbedding 1.4",
        _flag_embedding,
        write_json_lines,
        columns=lambda _: {"query": TEXT, "pos": TEXTS, "neg": TEXTS, "pos_scores": NUMBERS, "neg_scores": NUMBERS},
    ),
    "tevatron": Format(
        "train.jsonl",
        "query_id, query, positive_passages, negative_passages: Tevatron 0.1",
        _tevatron,
        write_json_lines,
        columns=lambda _: {
            "query_id": TEXT,
            "query": TEXT,
            "positive_passages": _PASSAGES,
            "negative_passages": _PASSAGES,
        },
    ),
    "mteb": Format(
        "predictions.json",
        "predictions of mteb 2, subset default, split test",
        _predictions,
        write_predictions,
        positives="never",
        texts=False,
    ),
    "trec": Format("run.trec", "a TREC run", _run, write_run, positives="never", texts=False),
    "rank_llm": Format(
        "requests.jsonl",
        "requests of rank_llm 0.25",
        _rank_llm,
        write_json_lines,
        positives="never",
        columns=lambda _: _REQUEST,
    ),
}


def writer_of(form: Format, negatives: int, types: Mapping[str, pa.DataType]) -> Write:
    """What writes a format's rows, see `write_parquet`."""
    if form.write is not None:
        return form.write
    assert form.columns is not None
    return write_parquet(form.columns(negatives), types)
