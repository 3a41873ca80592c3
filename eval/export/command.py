"""Hand a finished job's scores on: as training data with hard negatives, for other libraries, or as a run."""

from __future__ import annotations

import argparse

from eval.export.job import Request, export
from eval.export.negatives import Mining
from transforms.base.errors import UserError


def run(args: argparse.Namespace) -> None:
    """Write the export and say what is in it.

    Raises:
        UserError: an argument, the job or its input is wrong.
        OSError: a file cannot be read or written.
    """
    first, last = args.range
    if last is not None and last - first < args.num_negatives:
        raise UserError(f"--range {first}:{last}: leaves no room for {args.num_negatives} negatives; widen it")
    limits = {name: getattr(args, name) for name in ("absolute_margin", "relative_margin", "max_score", "min_score")}
    mining = Mining(
        args.num_negatives, **limits, range_min=first, range_max=last, sampling=args.sampling, seed=args.seed
    )
    request = Request(
        args.output, args.to, args.format, args.qrels, args.score_transform, mining, args.overwrite, args.keep_id_types
    )
    print(export(request))
