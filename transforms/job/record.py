"""job.json: what made an output directory, so that the same command continues and no other one mixes into it."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from transforms.base import files
from transforms.base.errors import UnavailableError, UserError, one_line
from transforms.base.json_text import indented, parse, sha256
from transforms.base.versions import version
from transforms.base.words import listed, number_of
from transforms.input.inputs import InputFile
from transforms.job import directory
from transforms.job.lock import lock, not_writable
from transforms.layout import JOB, RERANKING, Layout, input_path

_PACKAGES = ("offline-rerank", "apache-beam", "pyarrow", "numpy", "torch", "transformers", "tokenizers")
# An option with one of these words in its name is taken for a secret. "tokens" is not one of them: --batch_tokens.
_SECRET_WORDS = frozenset({"key", "token", "secret", "password", "credential", "credentials", "auth", "connection"})


@dataclass(frozen=True)
class Input:
    """One input file as job.json knows it again; `footer_hash` as in `transforms.input.inputs.InputFile`."""

    path: str
    size: int
    footer_hash: str


@dataclass(frozen=True)
class Job:
    """The contents of job.json. `inputs`, `model` and `options` are all that a part file depends on besides
    `execution`.

    Attributes:
        fingerprint: hexadecimal SHA-256 of inputs, model, options, execution and schema version as they were when the
            job began. Every part file carries it, those of input files that were added later too.
        inputs: input files in the order of their indices, which the part files' names hold.
        model: what identifies the weights, and the model's settings.
        options: the other options that change a part file's bytes.
        execution: what decides the rounding of a score: device, dtype, threads and so on, settled once.
        versions: of Python and of the packages that matter, under "tokenising" what made the token ids, and under
            "layers" what computed a model's on a GPU.
        created: when the job began, ISO 8601.
        command: the options given, less secrets.
        schema_version: of the part files' columns. The first one is not recorded in older jobs.
        kind: what the job does, see `layout.Layout`.
        part_version: of how they are written, see `schema.PART_VERSION`; likewise. A job keeps its own.
    """

    fingerprint: str
    inputs: tuple[Input, ...]
    model: Mapping[str, Any]
    options: Mapping[str, Any]
    execution: Mapping[str, Any]
    versions: Mapping[str, str]
    created: str
    command: Mapping[str, Any]
    schema_version: int = 1
    part_version: int = 1
    kind: str = ""


def new_job(
    inputs: Sequence[InputFile],
    *,
    kind: str,
    model: Mapping[str, Any],
    options: Mapping[str, Any],
    execution: Mapping[str, Any],
    command: Mapping[str, Any],
    schema_version: int = 1,
    part_version: int = 1,
) -> Job:
    """The job that a command asks for; all values as JSON can hold them."""
    read = tuple(Input(file.path, file.size, file.footer_hash) for file in inputs)
    decisive: list[Any] = [[astuple(file) for file in read], model, options, execution]
    decisive += [schema_version] if schema_version > 1 else []  # the first one's jobs began without it
    return Job(
        fingerprint=sha256(decisive),
        inputs=read,
        model=_as_json(model),
        options=_as_json(options),
        execution=_as_json(execution),
        versions={"python": platform.python_version()} | {name: version(name) or "not installed" for name in _PACKAGES},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=_as_json(without_secrets(command)),
        schema_version=schema_version,
        part_version=part_version,
        kind=kind,
    )


def _as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """As they will be read back, tuples as lists say, so that a comparison is of the same kinds."""
    result: dict[str, Any] = json.loads(json.dumps(values))
    return result


def without_secrets(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that are set, less those that sound like secrets, and with no user or password in a URL."""
    return {
        name: _without_user(value)
        for name, value in options.items()
        if value is not None and not _SECRET_WORDS.intersection(re.split("[_-]", name.lower()))
    }


def _without_user(value: Any) -> Any:
    if isinstance(value, str):
        return re.sub(r"(?<=://)[^/\s]*@", "", value)
    return [_without_user(item) for item in value] if isinstance(value, (list, tuple)) else value


@contextmanager
def open_job(
    output: str,
    wanted: Job,
    *,
    requested: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    extend: bool = False,
    layout: Layout = RERANKING,
) -> Iterator[Job]:
    """Takes the output directory for this job alone while the context lasts: begins the job there, or continues it.

    The job that is given back is the one to do: where one is continued, its `inputs` (see `in_job_order`) and its
    `execution` are the stored ones. Temporaries of killed runs are gone, and the directories for parts are there. Where
    the body fails before anything is done, the directory is free for another job again; not where the same command is
    to continue, since a worker that lives on may commit a part still.

    Args:
        output: the job's directory.
        wanted: what the command asks for, open choices settled.
        requested: the entries of `wanted.execution` that the user asked for by name.
        overwrite: delete what an earlier job left in `output`, and begin.
        extend: where the command names more input files than the job had, add them to the job.
        layout: what the job has in its directory.

    Raises:
        UserError: the directory cannot be written to, is in use, or holds other things; another job's output is there;
            files were added without `extend`; a request contradicts the stored execution; the directory went away
            while the body ran.
    """
    directory.check_place(output, layout)
    with lock(output):
        stored = of_kind(output, layout, overwrite)
        if overwrite:
            directory.check_parts(output, layout)
        elif stored is None:
            directory.check_without_parts(output, layout)
        job = wanted if stored is None else _continued(output, stored, wanted, requested or {}, extend)
        with _changing(output):
            if overwrite:
                directory.clear(output, layout)
            if job != stored:
                # These describe the job before it had more files. job.json goes last: until then the old one holds.
                files.delete(files.join(output, name) for name in layout.files)
                _write(output, job)
            for name in layout.parts:
                files.make_directory(files.join(output, name))
                files.sweep(files.join(output, name))
            files.sweep(output)
        try:
            yield job
            _check_there(output)
        except UnavailableError:
            raise
        except Exception:
            _check_there(output)
            if not any(files.list_names(files.join(output, name)) for name in (*layout.parts, *layout.steps)):
                files.delete(files.join(output, name) for name in (*layout.files, JOB))
            raise


@contextmanager
def _changing(output: str) -> Iterator[None]:
    """Turns an OSError of the body, which writes and deletes in the job's directory, into one line.

    Raises:
        UserError: that is not allowed there.
    """
    try:
        yield
    except OSError as error:
        raise not_writable(output, error) from error


def check_free(output: str, overwrite: bool, layout: Layout = RERANKING) -> None:
    """What `open_job` says of a directory without a job that it may continue, for a caller with costly work before it.

    Raises:
        UserError: as `open_job`.
    """
    directory.check_place(output, layout)
    with lock(output):
        of_kind(output, layout, overwrite)
        if not overwrite:
            directory.check_without_parts(output, layout)


def _check_there(output: str) -> None:
    if not files.exists(files.join(output, JOB)):
        raise UserError(
            f"output {output} was moved or deleted while the job ran; delete what was written there since, move it "
            "back, and give the same command"
        )


def read_job(output: str) -> Job | None:
    """What job.json says; None where there is none.

    Raises:
        UserError: it is damaged, or cannot be read.
    """
    path = files.join(output, JOB)
    try:
        if not files.exists(path):
            return None
        fields = parse(files.read_text(path))
        job = Job(**fields | {"inputs": tuple(_input(output, **entry) for entry in fields["inputs"])})
        if not job.kind:  # begun before that was recorded
            job = replace(job, kind=RERANKING.kind if "keep_columns" in job.options else "candidates")
        if not all(isinstance(part, dict) for part in (job.model, job.options, job.execution)):
            raise TypeError("sections that are not objects")
        return job
    except OSError as error:  # of a name that is too long, say
        raise UserError(f"{path} cannot be read: {one_line(error)}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} is damaged; give --overwrite to begin again, or another --output") from error


def _input(output: str, path: str, **identity: Any) -> Input:
    return Input(input_path(files.absolute(output), str(path)), **identity)


def reranking_job(output: str) -> Job:
    """The record of a reranking job, to read what it has scored.

    Raises:
        UserError: there is none, it is damaged, or it is another kind of job's.
    """
    recorded = read_job(output)
    if recorded is None:
        raise UserError(f"{output}: no job.json in it; give the directory that a reranking job's --output named")
    if recorded.kind != RERANKING.kind:
        raise UserError(
            f"{output}: is a {recorded.kind} job's; give the directory that a reranking job's --output named"
        )
    return recorded


def previous_job(output: str, layout: Layout, overwrite: bool) -> Job | None:
    """The job that is continued, before anything is read for it or written to its output; None for a new one.

    Raises:
        UserError: as `directory.check_place` and `of_kind`.
    """
    directory.check_place(output, layout)
    return of_kind(output, layout, overwrite)


def of_kind(output: str, layout: Layout, overwrite: bool) -> Job | None:
    """The job that is there and is to be continued.

    Raises:
        UserError: one of another kind is there, which is not to be overwritten either; or job.json is damaged.
    """
    try:
        stored = read_job(output)
    except UserError:
        if not overwrite:
            raise
        directory.check_place(output, layout, known=False)
        return None
    if stored is not None and stored.kind != layout.kind:
        raise UserError(
            f"output {output} is a {stored.kind} job's, and this is a {layout.kind} one; give another --output"
        )
    return None if overwrite else stored


def _continued(output: str, stored: Job, wanted: Job, requested: Mapping[str, Any], extend: bool) -> Job:
    added = added_inputs(stored, wanted)
    new = set(added)
    lines = differences(stored, replace(wanted, inputs=tuple(file for file in wanted.inputs if file not in new)))
    if lines:
        raise UserError(
            f"output {output} is another job's: {listed(lines, '; ')}; "
            "give another --output, or delete what is there (--overwrite)"
        )
    if added and not extend:
        paths = listed([file.path for file in added])
        raise UserError(
            f"output {output}: {number_of(len(added), 'input file is', 'input files are')} new ({paths}); "
            "give --extend to score them too, or another --output"
        )
    changed = {name: value for name, value in requested.items() if value != stored.execution.get(name)}
    if changed:
        name, value = next(iter(changed.items()))
        raise UserError(
            f"output {output} was begun with {name} {stored.execution.get(name)}, and {value} is asked for; "
            f"leave --{name} out to continue, or give another --output"
        )
    return replace(stored, inputs=(*stored.inputs, *added))


def added_inputs(old: Job, new: Job) -> tuple[Input, ...]:
    """The files that only `new` has."""
    known = {file.path for file in old.inputs}
    return tuple(file for file in new.inputs if file.path not in known)


def differences(old: Job, new: Job) -> list[str]:
    """In words, how the fingerprint of the job `new`, which is here, differs from that of `old`, which is there."""
    lines = []
    for before, now in ((_flat(old.model), _flat(new.model)), (_flat(old.options), _flat(new.options))):
        for key in sorted(before.keys() | now.keys()):
            if before.get(key) != now.get(key):
                lines.append(f"{key}: {_words(before.get(key))} there, {_words(now.get(key))} here")
    if old.schema_version != new.schema_version:
        lines.append(f"its parts' columns are of version {old.schema_version}, those written here {new.schema_version}")
    there_by_path, here_by_path = ({file.path: file for file in job.inputs} for job in (old, new))
    gone = [path for path in there_by_path if path not in here_by_path]
    added = [path for path in here_by_path if path not in there_by_path]
    for paths, what in ((gone, "not given here"), (added, "new")):
        if paths:
            lines.append(f"{number_of(len(paths), 'input file is', 'input files are')} {what}: {listed(paths)}")
    for path, there_file in there_by_path.items():
        here_file = here_by_path.get(path, there_file)
        if there_file.size != here_file.size:
            lines.append(f"input file {path} has changed: {there_file.size} bytes there, {here_file.size} here")
        elif there_file != here_file:
            lines.append(f"input file {path} has changed: same size, another footer")
    return lines


def record_versions(output: str, job: Job, used: Mapping[str, Iterable[str]]) -> None:
    """Adds what a run has used to the versions in job.json, by what for, beside what earlier runs have."""
    versions = dict(job.versions)
    for name, values in used.items():
        before = [version for version in versions.get(name, "").split("; ") if version]
        if added := sorted(set(values).difference(before)):
            versions[name] = "; ".join([*before, *added])
    if versions != job.versions:
        _write(output, replace(job, versions=versions))


def _write(output: str, job: Job) -> None:
    own = f"{files.absolute(output)}/"
    inputs = tuple(replace(file, path=file.path.removeprefix(own)) for file in job.inputs)
    files.write_text_atomically(files.join(output, JOB), indented(asdict(replace(job, inputs=inputs)), ascii_only=True))


def in_job_order(job: Job, inputs: Sequence[InputFile]) -> list[InputFile]:
    """The input files of this command in the order, and with the indices, that they have in the job."""
    by_path = {file.path: file for file in inputs}
    return [replace(by_path[file.path], index=index) for index, file in enumerate(job.inputs)]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted names."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _words(value: Any) -> str:
    text = value if isinstance(value, str) else "not set" if value is None else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
