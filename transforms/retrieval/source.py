"""Where a job's corpus, queries and judgements are: on the hub, in a copy of it, in a directory, or the user's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from transforms.base import files, hub
from transforms.base.errors import UserError, one_line
from transforms.base.patterns import expand
from transforms.retrieval import datasets
from transforms.retrieval.datasets import Dataset, Place


@dataclass(frozen=True)
class SourceFile:
    """One file of a data set.

    Attributes:
        path: where it is on this machine or elsewhere.
        name: what the job knows it by, wherever it lies: repository/path on the hub, or the path itself.
        size: bytes.
        digest: see `files.identify`.
        columns: field -> column, of those that have other names, see `records`.
    """

    path: str
    name: str
    size: int
    digest: str
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DataSetFiles:
    """What a job reads.

    Attributes:
        name: of the data set, for people.
        split: of the queries; None for the user's own files.
        language: of the corpus.
        question_language: of MKQA's questions; None for other sets.
        exclude_identical_ids: the set's own rule.
        revisions: repository -> commit on the hub, None for a local copy.
    """

    name: str
    split: str | None
    language: str
    question_language: str | None
    exclude_identical_ids: bool
    corpus: tuple[SourceFile, ...]
    queries: tuple[SourceFile, ...]
    qrels: tuple[SourceFile, ...]
    revisions: Mapping[str, str | None] = field(default_factory=dict)


def of_dataset(
    name: str,
    split: str | None = None,
    data_dir: str | None = None,
    revisions: Mapping[str, str | None] | None = None,
) -> DataSetFiles:
    """A data set by its name, or in a directory of BEIR's layout.

    Args:
        name: of the data set, or a directory.
        split: None for the one that its benchmark uses.
        data_dir: holds copies in the hub's layout, OWNER/NAME/...; None to ask the hub, or its cache.
        revisions: repository -> commit, of a job that is continued; for others the main branch's.

    Raises:
        UserError: it is not there, or not as it was.
    """
    if Path(name).is_dir():
        return _gather(datasets.in_directory(files.absolute(name)), split, files.absolute(name), {})
    return _gather(datasets.named(name), split, data_dir, revisions or {})


def of_files(
    corpus: Sequence[str],
    queries: Sequence[str],
    qrels: Sequence[str],
    output: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> DataSetFiles:
    """The user's own files, taken for English; those that globs find in the job's directory `output` left out.

    Args:
        corpus: files, directories or globs.
        queries: likewise.
        qrels: likewise; none where there are no judgements.
        output: the job's directory.
        columns: field -> column, of those that have other names.

    Raises:
        UserError: one is missing.
    """
    own = {
        kind: tuple(replace(_describe(path, path), columns=columns or {}) for path in expand(patterns, output))
        if patterns
        else ()
        for kind, patterns in (("corpus", corpus), ("queries", queries), ("qrels", qrels))
    }
    return DataSetFiles("own files", None, "en", None, False, own["corpus"], own["queries"], own["qrels"])


def _gather(
    dataset: Dataset, split: str | None, directory: str | None, known: Mapping[str, str | None]
) -> DataSetFiles:
    if dataset.qrels is None and split not in (None, dataset.split):
        raise UserError(f"--split {split}: {dataset.name} has one split alone; leave it out")
    split = split or dataset.split
    places = [place for place in (dataset.corpus, dataset.queries, dataset.qrels) if place is not None]
    patterns: dict[str, list[str]] = {}
    for place in places:
        patterns.setdefault(place.repository, []).extend(_patterns(place, split))
    folders: dict[str, Path] = {}
    revisions: dict[str, str | None] = {}
    for repository, wanted in patterns.items():
        if directory is None:
            folders[repository], revisions[repository] = hub.fetch(repository, known.get(repository), wanted, "dataset")
        else:
            folders[repository], revisions[repository] = _local(dataset.name, repository, directory), None
    located = [_find(place, split, folders[place.repository], dataset.name) for place in places]
    corpus, queries, qrels = [*located, ()][:3]
    return DataSetFiles(
        dataset.name,
        split,
        dataset.language,
        dataset.question_language,
        dataset.exclude_identical_ids,
        corpus,
        queries,
        qrels,
        {repository: revision for repository, revision in revisions.items() if repository},
    )


def _patterns(place: Place, split: str) -> list[str]:
    return [pattern.format(split=split) for pattern in place.patterns]


def _local(dataset: str, repository: str, directory: str) -> Path:
    folder = Path(directory, repository)
    if not folder.is_dir():
        raise UserError(
            f"dataset {dataset}: {folder} is not a directory; copy the hub's {repository} there, or leave "
            "--data_dir out"
        )
    return folder


def _find(place: Place, split: str, folder: Path, dataset: str) -> tuple[SourceFile, ...]:
    """The files of a place, in the order of their names."""
    present = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    patterns = _patterns(place, split)
    for pattern in patterns:
        if names := [name for name in present if fnmatchcase(name, pattern)]:
            prefix = place.repository or str(folder)
            return tuple(_describe(str(folder / name), f"{prefix}/{name}") for name in names)
    lacks = f"{place.repository or 'it'} has no {' or '.join(patterns)}"
    own = f"is the split {split!r} one of its own, and the copy whole?"
    if not place.repository:
        raise UserError(f"dataset {dataset}: {lacks}; {own} Files of other names are for --corpus, --queries, --qrels")
    raise UserError(f"dataset {dataset}: {lacks}; {own} If the hub has changed, --data_dir reads a local copy")


def _describe(path: str, name: str) -> SourceFile:
    try:
        return SourceFile(path, name, *files.identify(path))
    except files.FAILURES as error:
        raise UserError(f"{path}: cannot be read ({one_line(error)}); check the path") from error
