"""Hand a finished job's scores on: as training data with hard negatives, for other libraries, or as a run."""

from __future__ import annotations

from eval.export.job import export
from eval.export.request import ExportRequest


def run(request: ExportRequest) -> None:
    """Write the export and say what is in it.

    Raises:
        UserError: the job or its input is wrong.
        OSError: a file cannot be read or written.
    """
    print(export(request))
