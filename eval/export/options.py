"""The arguments of `export`; nothing here takes long to import."""

from __future__ import annotations

import argparse

from transforms.base.arguments import not_empty, number, positive

# Also the keys of `formats.FORMATS`, which takes longer to import.
NAMES = (
    *("ids", "scores", "labeled-list", "labeled-pair", "n-tuple", "margin-mse", "triplet", "flagembedding", "tevatron"),
    *("mteb", "trec", "rank_llm"),
)


def export(parser: argparse.ArgumentParser) -> None:
    """Hand a finished job's scores on: as training data with hard negatives, for other libraries, or as a run."""
    parser.add_argument("output", metavar="OUT", type=not_empty, help="directory of a finished reranking job")
    parser.add_argument(
        "--to", required=True, metavar="DIR", type=not_empty, help="a new or an empty directory for the export"
    )
    parser.add_argument("--format", required=True, choices=NAMES, help="what the files look like, see docs/export.md")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier export in that directory")
    parser.add_argument(
        "--keep_id_types",
        action="store_true",
        help="in the formats ids and scores, write ids that are integers in the job's input as such (default: text)",
    )
    parser.add_argument(
        "--qrels",
        metavar="FILE",
        type=not_empty,
        help="relevance judgements: documents with a grade above 0 are positives (default: each list's best document)",
    )
    parser.add_argument(
        "--score_transform",
        choices=("none", "sigmoid", "minmax"),
        default="none",
        help="write scores as they are, their sigmoid, or each list's between 0 and 1 (default: %(default)s)",
    )
    mining = parser.add_argument_group("negatives", "as in sentence-transformers' mine_hard_negatives")
    mining.add_argument("--num_negatives", type=positive, default=3, metavar="N", help="of a list (default: 3)")
    mining.add_argument(
        "--absolute_margin",
        type=number,
        metavar="M",
        help="how far below the positive's score a negative's is, at least",
    )
    mining.add_argument(
        "--relative_margin", type=number, metavar="M", help="the same as a share of the positive score's magnitude"
    )
    mining.add_argument("--max_score", type=number, metavar="S", help="highest score of a negative")
    mining.add_argument("--min_score", type=number, metavar="S", help="lowest score of a negative")
    mining.add_argument(
        "--range",
        type=_range,
        default=(0, None),
        metavar="MIN:MAX",
        help="skip the best MIN negatives, and inspect the best MAX documents of a list alone (default: 0:, all)",
    )
    mining.add_argument(
        "--sampling", choices=("top", "random"), default="top", help="the best negatives, or any (default: %(default)s)"
    )
    mining.add_argument("--seed", type=int, default=0, metavar="N", help="of the random choice (default: %(default)s)")


def _range(text: str) -> tuple[int, int | None]:
    first, colon, last = text.partition(":")
    if not colon or not first.isdecimal() or not (last.isdecimal() or not last):
        raise argparse.ArgumentTypeError(f"{text!r} is not MIN:MAX, such as 10:50 or 10:")
    return int(first), int(last) if last else None
