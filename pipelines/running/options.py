"""The options that commands share, as data; Beam's come later, see `beam_options`.

Nothing here takes long to import: --help and a mistake are answered at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from transforms.base.arguments import names, not_empty, positive
from transforms.base.errors import UserError
from transforms.schema import PART_PAIRS
from transforms.scoring.choices import DTYPES, ENDPOINT_BATCH, ENDPOINT_CONCURRENCY, GROUP_SIZE, KERNELS
from transforms.scoring.hosted.dialects import APIS

# Fields of the model families' Settings. Where an option is not given the vendor's default holds; one that the model's
# family does not have is an error.
MODEL_OPTIONS: dict[str, dict[str, Any]] = {
    "max_length": {"type": positive, "metavar": "TOKENS", "help": "tokens that the model reads at once"},
    "max_query_length": {"type": positive, "metavar": "TOKENS", "help": "tokens kept of a query"},
    "max_doc_length": {"type": positive, "metavar": "TOKENS", "help": "tokens kept of a document"},
    "long_documents": {
        "choices": ("window", "truncate"),
        "help": "read a long document in overlapping windows and take the best score, or cut it",
    },
    "window_score": {
        "choices": ("max", "mean", "first"),
        "help": "score of a document in windows: the best window's (as without this option), the mean of all, or the "
        "first one's, which alone is then read; adds the columns best_window and best_window_token",
    },
    "activation": {
        "choices": ("none", "sigmoid"),
        "help": "write the model's raw logit, or a score between 0 and 1 made of it",
    },
    "group_size": {
        "type": positive,
        "metavar": "N",
        "help": f"documents that a listwise model reads together, at most (default: {GROUP_SIZE})",
    },
    "special_tokens": {
        "choices": ("vendor", "escape"),
        "help": "let special-token strings in the input act as the vendor's code does, or make them plain text",
    },
    "prompt": {"metavar": "NAME", "help": "which of a model's prompts to use, if it has several"},
    "task": {"metavar": "NAME", "help": "which task to embed for, if a model has several"},
    "size": {
        "type": positive,
        "metavar": "N",
        "help": "dimensions to keep of an embedding, if the model was trained for that (Matryoshka)",
    },
    "instruction": {"metavar": "TEXT", "help": "for queries that have none of their own"},
    "endpoint_model": {"metavar": "NAME", "help": "the model's name at the rerank API"},
    "endpoint_api": {"metavar": "NAME", "help": f"the rerank API's dialect: {' or '.join(APIS)} (default: common)"},
    "endpoint_batch": {
        "type": positive,
        "metavar": "N",
        "help": f"documents in a request, at most (default: {ENDPOINT_BATCH})",
    },
    "endpoint_concurrency": {
        "type": positive,
        "metavar": "N",
        "help": f"requests at once, at most (default: {ENDPOINT_CONCURRENCY})",
    },
}

# What settles how the arithmetic runs; the defaults leave the choice open.
RUN_OPTIONS: dict[str, dict[str, Any]] = {
    "device": {"default": "auto", "help": "auto, cpu, cuda or cuda:N"},
    "dtype": {
        "default": "auto",
        "choices": ("auto", *DTYPES),
        "help": "number format of the model; auto is bfloat16 if the hardware multiplies it natively, else float32",
    },
    "attention": {
        "default": "auto",
        "choices": ("auto", *KERNELS),
        "help": "kernel that computes attention; auto takes the first that device, dtype and model allow",
    },
    "batch_tokens": {
        "default": None,
        "type": positive,
        "metavar": "N",
        "help": "tokens in one forward pass, at most (default: by device)",
    },
    "threads": {
        "default": None,
        "type": positive,
        "metavar": "N",
        "help": "threads of each worker process on the CPU (default: as many as cores, or OMP_NUM_THREADS)",
    },
}


def words_of(parser: argparse.ArgumentParser, request: object) -> list[str]:
    """The command line that asks for this: of each option what is not its default. The reverse of parsing.

    Raises:
        UserError: a value would be read as an option.
    """
    words: list[str] = []
    for action in parser._actions:
        value = getattr(request, action.dest, action.default)
        if value is None or value == (tuple(action.default) if isinstance(action.default, list) else action.default):
            continue
        name = action.option_strings[0]
        if isinstance(value, bool):
            words.append(name if value else action.option_strings[-1])
        elif action.nargs:
            values = [str(one) for one in (value if isinstance(value, (tuple, list)) else (value,))]
            if dashed := [value for value in values if value.startswith("-")]:
                raise UserError(f"{name} {dashed[0]}: begins with a dash; give it with its folder, ./{dashed[0]}")
            words += [name, *values]
        elif isinstance(value, (tuple, list)):
            words.append(f"{name}={(',' if action.type is names else ':').join(map(str, value))}")
        else:
            words.append(f"{name}={value}")
    return words


class ListModels(argparse.Action):
    """Prints the catalogue and ends, as --help does."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from transforms.scoring import catalogue

        print(catalogue.table())
        parser.exit()


# Of the commands whose jobs write scores.
SCORING_OPTIONS: dict[str, dict[str, Any]] = {
    "shard_pairs": {"type": positive, "default": PART_PAIRS, "metavar": "N", "help": "pairs in a shard, at most"},
}


# Of the commands whose lists have an order.
ORDER_OPTIONS: dict[str, dict[str, Any]] = {
    "candidate_order": {
        "default": "best_first",
        "metavar": "ORDER",
        "help": "order in which a listwise model reads a list: given, best_first, worst_first or random:SEED",
    }
}


def add_model_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add what chooses a model that scores, and how it is used; returns the group of these options."""
    model = parser.add_argument_group("model")
    model.add_argument(
        "--model",
        required=True,
        type=not_empty,
        help="embedded model, hub id, checkpoint directory or URL of a rerank API",
    )
    model.add_argument("--list_models", action=ListModels, nargs=0, help="print what is known of each model, and exit")
    model.add_argument(
        "--model_like",
        metavar="NAME",
        help="treat a checkpoint as this model of the catalogue: its prompt, limits, score",
    )
    model.add_argument("--revision", help="commit, tag or branch on the hub (default: the catalogue's)")
    add_options(model, MODEL_OPTIONS)
    return model


def add_own_files(group: argparse._ArgumentGroup, files: Mapping[str, str], columns: str) -> None:
    """Add options that name files of the user's own, and what their columns are called.

    Args:
        group: where they go.
        files: option -> what stands in its files.
        columns: an example of `--columns`, and what may stand there.
    """
    for name, what in files.items():
        group.add_argument(
            f"--{name}",
            nargs="+",
            action="extend",
            type=not_empty,
            default=[],
            metavar="PATH",
            help=f"{what}, Parquet, JSON lines, CSV or TSV, plain or .gz",
        )
    group.add_argument(
        "--columns",
        type=names,
        action="extend",
        default=[],
        metavar="FIELD=COLUMN,...",
        help=f"columns of other names, such as {columns}",
    )


def add_options(group: argparse._ArgumentGroup, described: Mapping[str, Mapping[str, Any]]) -> None:
    """Add options that are kept as data."""
    for name, keywords in described.items():
        group.add_argument(f"--{name}", **keywords)
