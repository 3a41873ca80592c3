"""One cell of a benchmark: which job reranks a data set with a model, and what its output says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from importlib import metadata
from typing import Any, NamedTuple

from eval.published.training_data import trained_on
from eval.ranking.job_output import measure_job
from eval.table.cells import Cell, safe_name
from eval.table.values import write_values
from pipelines.benchmark.candidates import CandidateFiles
from pipelines.benchmark.entrants import Entrant, check_apply, model_options
from pipelines.benchmark.request import BenchmarkRequest
from pipelines.rerank import RerankRequest
from pipelines.running.request import RunRequest
from transforms.base import files
from transforms.base.cost import cost_of
from transforms.base.errors import UserError
from transforms.base.json_text import sha256
from transforms.base.request import values_of
from transforms.job.record import read_job
from transforms.layout import REPORT
from transforms.scoring.packed.execution import resolve
from transforms.scoring.places import EMBEDDED
from transforms.scoring.reranker import specify
from transforms.scoring.scorer import ScorerSpecification
from transforms.scoring.weights.checkpoints import locate

JOBS = "jobs"
QUERY_COUNTS = ("queries_in_qrels", "queries_with_candidates", "queries_without_candidates")
MEASURING_PACKAGES = ("ir_measures", "pytrec-eval-terrier")


class Machine(NamedTuple):
    """What a cell runs on: options of the job by their names, and whether it is not this machine."""

    device: str
    dtype: str
    attention: str
    remote: bool


@dataclass(frozen=True)
class CellJob:
    """A cell to do.

    Attributes:
        entrant: the model.
        candidates: of the data set.
        options: of the model, by name.
        run: other options of the job, by name.
        beam: options of Beam's runner, as given.
        machine: what it runs on.
    """

    entrant: Entrant
    candidates: CandidateFiles
    options: Mapping[str, Any]
    run: Mapping[str, Any]
    beam: tuple[str, ...]
    machine: Machine

    @property
    def _model(self) -> tuple[Entrant, tuple[tuple[str, Any], ...], Machine]:
        return self.entrant, tuple(sorted(self.options.items())), self.machine

    @property
    def specification(self) -> ScorerSpecification:
        """The model, settled; raises UserError where it is unavailable."""
        return _settled(*self._model)

    @property
    def departures(self) -> dict[str, Any]:
        """Settings that are other ones than the published comparison's protocol has."""
        protocol = model_options(self.specification.model, self.candidates.data.name, {})
        usual = _settled(self.entrant, tuple(sorted(protocol.items())), self.machine).fingerprint()["settings"]
        chosen = self.specification.fingerprint()["settings"]
        return {name: value for name, value in chosen.items() if value != usual.get(name)}

    @cached_property
    def scores_fingerprint(self) -> str:
        """Of all that decides the job's scores, wherever the files lie."""
        inputs = [(file.size, file.footer_hash) for file in self.candidates.inputs]
        return _hash({"model": _identity(*self._model), "inputs": inputs, "dtype": self.run["dtype"]})

    @cached_property
    def fingerprint(self) -> str:
        """Of all that decides the cell's value: the scores, and what they are measured by."""
        identical_ids = self.candidates.data.excludes_identical_ids
        judgements = self.candidates.judgements_sha256
        return _hash({"scores": self.scores_fingerprint, "judgements": judgements, "identical_ids": identical_ids})

    def job_directory(self, output: str) -> str:
        """The job's own directory in that of the results; other scores have another, other judgements have not."""
        name = f"{safe_name(self.entrant.name)}-{self.scores_fingerprint}"
        return files.join(output, JOBS, safe_name(self.candidates.data.name), name)

    def request(self, output: str) -> RerankRequest:
        """What the main job is asked for."""
        return RerankRequest(
            input=tuple(file.path for file in self.candidates.inputs),
            output=self.job_directory(output),
            model=self.entrant.where,
            model_like=self.entrant.like,
            **self.options,
            **self.run,
        )


def work_of(
    entrant: Entrant,
    candidates: CandidateFiles,
    request: BenchmarkRequest,
    words: Sequence[str],
    machine: Machine,
) -> CellJob:
    """The cell of a model and a data set.

    Args:
        entrant: the model.
        candidates: of the data set.
        request: of the benchmark; of its options of models each is taken where the model has it.
        words: options of Beam's runner.
        machine: what it runs on.

    Raises:
        UserError: the model is unavailable, or cannot run so.
    """
    model = settled(entrant, machine).model
    options = model_options(model, candidates.data.name, request.model_options())
    run = values_of(request, RunRequest)
    run |= {"shard_pairs": request.shard_pairs, "max_rejected": request.max_rejected}
    return CellJob(entrant, candidates, options, run, tuple(words), machine)


def settled(entrant: Entrant, machine: Machine) -> ScorerSpecification:
    """A model with its own settings; raises UserError where it is unavailable, or cannot run so."""
    return _settled(entrant, (), machine)


def check_options(entrants: Sequence[Entrant], requested: Mapping[str, Any], machine: Machine) -> None:
    """Refuses a device that is not here, and an option that no model has (not if one is unavailable).

    Raises:
        UserError: it is not here, or does not apply.
    """
    resolve(machine.device, machine.dtype, attention=machine.attention, remote=machine.remote)
    if all(value is None for value in requested.values()):
        return
    try:
        models = [settled(entrant, machine).model for entrant in entrants]
    except UserError:
        return
    check_apply(models, requested)


def make_cell(work: CellJob, output: str, price_per_hour: float | None) -> Cell:
    """The cell of a finished job, whose values query by query are written beside where it belongs.

    Args:
        work: the cell to do, its job done.
        output: directory of the results.
        price_per_hour: of the machine, in any currency.

    Raises:
        UserError: the job's output and the judgements do not go together.
    """
    directory, candidates, data = work.job_directory(output), work.candidates, work.candidates.data
    done = read_job(directory)
    assert done is not None
    report = json.loads(files.read_text(files.join(directory, REPORT)))
    measured = measure_job(directory, candidates.judgements, candidates.languages, data.excludes_identical_ids)
    write_values(output, work.entrant.name, data.name, measured.values)
    main, recall = measured.rows[0], measured.rows[-1]
    model = work.specification.model
    return Cell(
        model=work.entrant.name,
        dataset=data.name,
        measure=main["measure"],
        value=main["reranked"],
        first_stage=main.get("first_stage"),
        list_recall=next(recall[name] for name in ("first_stage", "input_order", "reranked") if name in recall),
        trained_on=next(filter(None, (trained_on(name, data.name) for name in names_of(work, done.model))), None),
        parameters=work.specification.parameters(),
        queries={name.removeprefix("queries_"): measured.counts[name] for name in QUERY_COUNTS},
        pairs=report["pairs"]["total"],
        depth=measured.depth,
        languages=measured.languages,
        measures=measured.rows,
        candidates={
            "retriever": candidates.retriever,
            "files": [asdict(entry) for entry in done.inputs],
            "judgements": candidates.judgements,
            "judgements_sha256": candidates.judgements_sha256,
            "provenance": candidates.provenance,
            "identical_ids_left_out": data.excludes_identical_ids,
        },
        reranker={"loaded_from": work.entrant.where, "licence": model.licence, **done.model},
        departures=work.departures,
        execution=done.execution,
        run=priced(speed(report), report["pairs"]["total"], price_per_hour),
        truncated={
            "documents": report["pairs"]["truncated"],
            "queries": report["queries"]["truncated"],
            "tokens": report["tokens"]["truncated"],
            "documents_in_windows": report["pairs"]["windowed"],
        },
        rejected={"pairs": report["pairs"]["rejected"], "by_reason": report["rejected"]},
        notes=measured.notes,
        versions=dict(done.versions) | {name: metadata.version(name) for name in MEASURING_PACKAGES},
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        fingerprint=work.fingerprint,
        outdated=None,
    )


def names_of(work: CellJob, model: Mapping[str, Any]) -> list[str]:
    """What a cell's model is known by: its names, and that of an embedded model whose weights it has.

    Args:
        work: the cell.
        model: what job.json says of its model.
    """
    weights = _weights(model["model"])
    embedded = [name for name in EMBEDDED if weights and weights == _weights(locate(name).identity())]
    return [work.specification.model.name, work.entrant.name, *embedded]


def _weights(identity: Mapping[str, Any]) -> set[str]:
    """The hashes of a directory's weights."""
    return {digest for file, digest in identity.get("files", {}).items() if file.endswith(".safetensors")}


def speed(report: Mapping[str, Any]) -> dict[str, Any]:
    """The speed of a job's last run, from the contents of its report.json."""
    run = report["last_run"]
    return {"seconds": run["seconds"], "pairs": run["pairs"], "pairs_per_second": run["pairs_per_second"] or None}


def priced(run: Mapping[str, Any], pairs: int, price_per_hour: float | None) -> dict[str, Any]:
    """A cell's `run` with what all its pairs cost at its speed.

    Args:
        run: what `speed` says, or a cell's `run` with another price.
        pairs: of the cell.
        price_per_hour: of the machine, in any currency; None for no cost.
    """
    rate = run["pairs_per_second"]
    cost = None if price_per_hour is None or rate is None else cost_of(pairs / rate, price_per_hour)
    return {**run, "price_per_hour": price_per_hour, "cost": cost}


def _hash(decisive: Mapping[str, Any]) -> str:
    return sha256(decisive)[:16]


@cache
def _settled(entrant: Entrant, options: tuple[tuple[str, Any], ...], machine: Machine) -> ScorerSpecification:
    return specify(entrant.where, like=entrant.like, options=dict(options), **machine._asdict())


@cache
def _identity(entrant: Entrant, options: tuple[tuple[str, Any], ...], machine: Machine) -> dict[str, Any]:
    """What identifies the model and its settings; takes a hash of all files of a directory, so it is kept."""
    return _settled(entrant, options, machine).fingerprint()
