"""The files that a job is given: found and checked before what searches them is imported, which takes seconds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipelines.candidates.options import ANSWERS, QRELS, REPORT
from pipelines.candidates.request import CandidatesRequest
from transforms.base import files
from transforms.base.errors import UserError, one_line
from transforms.input.names import OF_FILES, parse_columns
from transforms.job import directory, record
from transforms.layout import CANDIDATES_DIRECTORY, SUCCESS, Layout
from transforms.retrieval import step_files
from transforms.retrieval.source import DataSetFiles, of_dataset, of_files

LAYOUT = Layout(
    kind="candidates",
    parts=(CANDIDATES_DIRECTORY,),
    numbers=1,
    files=(SUCCESS, REPORT, QRELS, ANSWERS),
    steps=(step_files.WORK,),
)


@dataclass(frozen=True)
class CandidatesInputs:
    """What a job finds.

    Attributes:
        output: the job's directory, absolute.
        source: the files of the data set.
        run_digest: hexadecimal SHA-256 of the run that is the first stage; None for another first stage.
        previous: the job that is continued; None for a new one.
    """

    output: str
    source: DataSetFiles
    run_digest: str | None
    previous: record.Job | None


def find_inputs(request: CandidatesRequest) -> CandidatesInputs:
    """Check the job's files, fetched if need be; nothing is written to the output.

    Raises:
        UserError: a mistake that the user can fix.
    """
    output = files.absolute(request.output)
    previous = record.previous_job(output, LAYOUT, request.overwrite)
    if request.dataset:
        revisions = previous.options.get("revisions") if previous else None
        source = of_dataset(request.dataset, request.split, request.data_dir, revisions)
    else:
        columns = parse_columns(request.columns, OF_FILES)
        source = of_files(request.corpus, request.queries, request.qrels, output, columns)
    kind, name = request.retriever
    read = [file.path for file in (*source.corpus, *source.queries, *source.qrels)]
    directory.check_inputs(output, [*read, name] if kind == "run" else read, LAYOUT)
    digest = digest_of(name) if kind == "run" else None
    return CandidatesInputs(output, replace(source, language=request.language or source.language), digest, previous)


def digest_of(run: str) -> str:
    """What identifies a run's content.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return files.sha256(files.absolute(run))
    except files.FAILURES as error:
        raise UserError(f"--retriever run:{run}: {one_line(error)}; give a TREC run") from error
