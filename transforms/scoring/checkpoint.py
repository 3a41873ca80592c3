"""Checkpoints: where they are, what makes them what they are, and how they become a model.

Weights come from safetensors files alone, and no code that lies beside them is ever run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError, safe_open
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from transforms.errors import UserError
from transforms.scoring.attention import PACKED

# What is fetched from a hub: configuration, tokenizer and safetensors; never code, never another format of weights.
WANTED_FILES = ("*.json", "*.safetensors", "*.model", "*.txt")
EMBEDDED = {"small-cross-encoder": Path(__file__).parent / "models" / "small-cross-encoder"}

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """A model's files on this machine.

    Attributes:
        name: as the user gave it: an embedded model's short name, a directory, or a hub id.
        directory: where the files are.
        revision: the hub's commit; None for a directory.
        config: the contents of config.json.
        tokenizer_config: the contents of tokenizer_config.json; empty where there is none.
    """

    name: str
    directory: Path
    revision: str | None
    config: Mapping[str, Any]
    tokenizer_config: Mapping[str, Any]

    def identity(self) -> dict[str, Any]:
        """What decides the scores, for job.json: the hub's commit, or the SHA-256 of each file."""
        if self.revision:
            return {"name": self.name, "revision": self.revision}
        files = sorted(path for path in self.directory.rglob("*") if path.suffix in {".json", ".safetensors", ".model"})
        return {"name": self.name, "files": {str(path.relative_to(self.directory)): _sha256(path) for path in files}}


def locate(name: str, revision: str | None = None) -> Checkpoint:
    """Find a checkpoint's files, fetching them from the hub where they are not on this machine yet.

    Args:
        name: an embedded model's short name, a directory, or a hub id.
        revision: a commit, tag or branch of the hub; None for its main branch.

    Raises:
        UserError: it is not there, not reachable, or not a checkpoint that can be loaded safely.
    """
    directory = EMBEDDED.get(name, Path(name))
    commit = None
    if not directory.is_dir():
        if name.count("/") != 1 or name.startswith((".", "/", "~")):
            raise UserError(
                f"model {name}: no such directory; give a directory, a hub id (owner/name) or {', '.join(EMBEDDED)}"
            )
        directory, commit = _fetch(name, revision)
    elif revision:
        raise UserError(f"--revision {revision} applies to a model on the hub, but {name} is a directory: leave it out")
    config = _read_json(directory / "config.json", name)
    if not list(directory.glob("*.safetensors")):
        others = sorted(path.name for path in directory.iterdir() if path.suffix in {".bin", ".pt", ".pth", ".ckpt"})
        found = f" (only {others[0]}, a pickle, which could run code)" if others else ""
        raise UserError(f"model {name}: no *.safetensors in {directory}{found}; convert the weights to safetensors")
    told = directory / "tokenizer_config.json"
    return Checkpoint(name, directory, commit, config, _read_json(told, name) if told.is_file() else {})


def _fetch(name: str, revision: str | None) -> tuple[Path, str]:
    """Download a hub repository's wanted files, or take them from the local cache; returns folder and commit."""
    at = f"model {name}" + (f" at revision {revision}" if revision else "")
    try:
        path = Path(snapshot_download(name, revision=revision, allow_patterns=list(WANTED_FILES)))
    except GatedRepoError as error:
        raise UserError(f"{at}: the hub asks you to accept its terms first; do so there, then set HF_TOKEN") from error
    except RepositoryNotFoundError as error:
        raise UserError(f"{at}: not on the hub, or private; check the id, or set HF_TOKEN") from error
    except (RevisionNotFoundError, EntryNotFoundError) as error:
        if isinstance(error, LocalEntryNotFoundError):
            raise UserError(f"{at}: the hub cannot be reached and the files are not in the local cache") from error
        raise UserError(f"{at}: the hub has no such revision; check --revision") from error
    except OfflineModeIsEnabled as error:
        raise UserError(f"{at}: not in the local cache, and HF_HUB_OFFLINE forbids to fetch it; unset it") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no status"
        raise UserError(f"{at}: the hub answered {status}; the same command later may succeed") from error
    except OSError as error:
        raise UserError(f"{at}: download failed ({error}); the same command continues it") from error
    return path, path.name  # the cache keeps each commit in a folder of that name


def read_shapes(checkpoint: Checkpoint) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all tensors, from the files' headers alone."""
    shapes: dict[str, tuple[int, ...]] = {}
    for path in _weight_files(checkpoint):
        with _open(path, checkpoint.name) as file:
            shapes |= {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    return shapes


def read_tensors(checkpoint: Checkpoint, wanted: Callable[[str], bool] = lambda key: True) -> Tensors:
    """All wanted tensors by name.

    A matrix stored as int8 rows beside a `<name>_scale` of shape [rows, 1] is multiplied out to float32.
    """
    tensors: Tensors = {}
    for path in _weight_files(checkpoint):
        with _open(path, checkpoint.name) as file:
            tensors |= {key: file.get_tensor(key) for key in file.keys() if wanted(key)}  # noqa: SIM118
    for key in [key for key in tensors if key.endswith(".weight_scale")]:
        weight = key.removesuffix("_scale")
        tensors[weight] = tensors[weight].float() * tensors.pop(key)
    return tensors


def build(
    model_class: type[PreTrainedModel],
    config: PreTrainedConfig,
    tensors: Tensors,
    *,
    name: str,
    dtype: torch.dtype,
    device: torch.device,
    float32: Sequence[str] = (),
) -> PreTrainedModel:
    """One of transformers' own models with the given weights and packed attention, ready to score.

    Args:
        model_class: which model.
        config: its sizes.
        tensors: its weights under transformers' names; others are ignored.
        name: of the checkpoint, for messages.
        dtype: of the weights and of all arithmetic, but for the modules named in `float32`.
        device: where it shall run.
        float32: name prefixes of the modules that stay in float32: a head is small, and in bfloat16 its last rounding
            alone would tie close scores.

    Raises:
        UserError: a weight is missing or has another shape than the configuration says.
    """
    with torch.device("meta"):
        wanted = model_class(config).state_dict()
    tied = set(getattr(model_class, "_tied_weights_keys", None) or ())
    for key, parameter in wanted.items():
        if key not in tensors and key not in tied:
            raise UserError(f"model {name}: the weights lack {key}; the checkpoint is incomplete or of another kind")
        if key in tensors and tensors[key].shape != parameter.shape:
            raise UserError(
                f"model {name}: {key} has shape {list(tensors[key].shape)}, but config.json says "
                f"{list(parameter.shape)}; the files do not belong together"
            )
    with _quiet():
        model = model_class.from_pretrained(
            None,
            config=config,
            state_dict={key: tensors[key] for key in wanted if key in tensors},
            dtype=dtype,
            attn_implementation=PACKED,
        )
    for key, parameter in model.named_parameters():
        if key.startswith(tuple(float32)):
            parameter.data = tensors[key].float()
    ready: PreTrainedModel = model.requires_grad_(False).eval().to(device)
    return ready


def load_tokenizer(checkpoint: Checkpoint) -> PreTrainedTokenizerBase:
    """The checkpoint's tokenizer, with no truncation and no padding set."""
    if not (checkpoint.directory / "tokenizer.json").is_file():
        raise UserError(
            f"model {checkpoint.name}: no tokenizer.json in {checkpoint.directory}; save its fast tokenizer"
        )
    try:
        with _quiet():
            tokenizer = AutoTokenizer.from_pretrained(checkpoint.directory, trust_remote_code=False)
    except Exception as error:  # a damaged file shows in as many ways as there are tokenizers
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"model {checkpoint.name}: its tokenizer cannot be read: {detail}") from error
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' notes and progress bars off the terminal while loading; errors are raised all the same."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _weight_files(checkpoint: Checkpoint) -> list[Path]:
    """The files that hold the weights: all that the index names, or else the single file."""
    index = checkpoint.directory / "model.safetensors.index.json"
    if not index.is_file():
        single = checkpoint.directory / "model.safetensors"
        return [single] if single.is_file() else sorted(checkpoint.directory.glob("*.safetensors"))
    names = sorted(set(_read_json(index, checkpoint.name).get("weight_map", {}).values()))
    paths = [checkpoint.directory / Path(file).name for file in names]  # never outside of the directory
    for path in paths:
        if not path.is_file():
            raise UserError(f"model {checkpoint.name}: {index.name} names {path.name}: not there; fetch it again")
    return paths


def _open(path: Path, name: str) -> Any:
    try:
        return safe_open(path, framework="pt")
    except SafetensorError as error:
        raise UserError(f"model {name}: {path} is no complete safetensors file ({error}); fetch it again") from error


def _read_json(path: Path, name: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"model {name}: no {path.name} in {path.parent}; give the directory of a checkpoint") from None
    except ValueError as error:
        raise UserError(f"model {name}: {path} is not valid JSON ({error}); fetch it again") from error
    if not isinstance(content, dict):
        raise UserError(f"model {name}: {path} holds no JSON object; fetch it again")
    return content


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
