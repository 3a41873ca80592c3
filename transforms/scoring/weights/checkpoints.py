"""Checkpoints: where they are, what makes them what they are, and how they become a model.

Weights come from safetensors files alone, and no code that lies beside them is ever run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from transforms.base import hub
from transforms.base.errors import UserError, one_line
from transforms.base.files import sha256
from transforms.scoring.packed.attention import implementation
from transforms.scoring.packed.execution import Placement
from transforms.scoring.places import directory_of
from transforms.scoring.weights import directory as directory_files

MODULE_FOLDER = "[0-9]_*"  # as sentence-transformers names those of its modules
# Beside the weights, the files of a directory that decide a score. What training leaves behind (earlier checkpoints,
# optimiser states, logs) does not.
DECISIVE_FILES = (
    "config*.json",
    "sentence_*_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "modules.json",
    f"{MODULE_FOLDER}/*.json",
    f"{MODULE_FOLDER}/*.safetensors",
)

FLOATS = frozenset({"F64", "F32", "F16", "BF16"})  # safetensors' names of what a weight may be stored as
# Old names of a LayerNorm's tensors, which transformers reads too.
LAYER_NORM_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}

ROBERTA = ("roberta", "xlm-roberta")  # values of model_type whose positions depend on the padding's id

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
        tokens: the tokenizer's largest token id and 1, so the rows of embeddings that it needs.
    """

    name: str
    directory: Path
    revision: str | None
    config: Mapping[str, Any]
    tokenizer_config: Mapping[str, Any]
    tokens: int = 0

    def identity(self) -> dict[str, Any]:
        """What decides the scores, for job.json: the hub's commit, or the SHA-256 of each file, wherever it lies."""
        if self.revision:
            return {"name": self.name, "revision": self.revision}
        files = {path for pattern in DECISIVE_FILES for path in self.directory.glob(pattern) if path.is_file()}
        files |= set(_weight_files(self))
        return {"files": {path.relative_to(self.directory).as_posix(): sha256(str(path)) for path in sorted(files)}}


def locate(name: str, revision: str | None = None) -> Checkpoint:
    """Find a checkpoint's files, fetching them from the hub where they are not on this machine yet.

    Args:
        name: an embedded model's short name, a directory, or a hub id.
        revision: a commit, tag or branch of the hub; None for its main branch.

    Raises:
        UserError: it is not there, not reachable, or not a checkpoint that can be loaded safely.
    """
    own = directory_of(name, revision)
    directory, commit = hub.fetch(name, revision) if own is None else (own, None)
    config = directory_files.read_config(name, directory)
    tokens = directory_files.read_tokenizer(directory, name).tokens
    checkpoint = Checkpoint(name, directory, commit, config, {}, tokens)
    value(checkpoint, "tokenizer_config.json", "model_max_length", int, float)
    return replace(checkpoint, tokenizer_config=read_json(checkpoint, "tokenizer_config.json"))


def read_json(checkpoint: Checkpoint, file: str) -> dict[str, Any]:
    """The contents of one of the checkpoint's JSON files, tokenizer.json's, which each has, without its vocabulary;
    empty where there is no such file.

    Raises:
        UserError: it is damaged, or holds no object.
    """
    if file == directory_files.TOKENIZER:
        return dict(directory_files.read_tokenizer(checkpoint.directory, checkpoint.name).settings)
    path = checkpoint.directory / file
    return directory_files.read_json(path, checkpoint.name) if path.is_file() else {}


def value(checkpoint: Checkpoint, file: str, key: str, *kinds: type) -> Any:
    """What one of the checkpoint's JSON files says of a key; None where it is absent or null.

    Raises:
        UserError: the value is of none of the kinds (True is no int), or see `read_json`.
    """
    stored = read_json(checkpoint, file).get(key)
    if stored is not None and type(stored) not in kinds:
        raise UserError(
            f"model {checkpoint.name}: {file} says {key} {stored!r}, which is not "
            f"{' or '.join(kind.__name__ for kind in kinds)}; fetch it again"
        )
    return stored


def outline(checkpoint: Checkpoint) -> Tensors:
    """What `read_tensors` gives, from the files' headers alone: tensors with shapes and without data.

    Their type is float32 for all floating-point types that weights may have, int8 for all others.
    """

    def empty(file: Any, key: str) -> torch.Tensor:
        stored = file.get_slice(key)
        dtype = torch.float32 if stored.get_dtype() in FLOATS else torch.int8
        return torch.empty(stored.get_shape(), dtype=dtype, device="meta")

    return _collect(checkpoint, empty)


def read_tensors(checkpoint: Checkpoint, wanted: Callable[[str], bool] = lambda key: True) -> Tensors:
    """All wanted tensors by name.

    A matrix stored as int8 rows beside a `<name>_scale` of shape [rows, 1] is multiplied out to float32.

    Raises:
        UserError: a file of the weights is missing or damaged.
    """
    return _collect(checkpoint, lambda file, key: file.get_tensor(key), wanted)


def _collect(
    checkpoint: Checkpoint,
    read: Callable[[Any, str], torch.Tensor],
    wanted: Callable[[str], bool] = lambda key: True,
) -> Tensors:
    tensors: Tensors = {}
    for path in _weight_files(checkpoint):
        with _open(path, checkpoint.name) as file:
            tensors |= {key: read(file, key) for key in file.keys() if wanted(key)}  # noqa: SIM118
    for old, new in LAYER_NORM_NAMES.items():
        for key in [key for key in tensors if key.endswith(old)]:
            tensors[key.removesuffix(old) + new] = tensors.pop(key)
    for key in [key for key in tensors if key.endswith(".weight_scale")]:
        scale, weight = tensors.pop(key), key.removesuffix("_scale")
        if weight not in tensors or scale.shape != (len(tensors[weight]), 1):
            raise UserError(f"model {checkpoint.name}: {key} does not fit {weight}; the weights are damaged")
        tensors[weight] = tensors[weight].float() * scale
    return tensors


def fitting(model_class: type[PreTrainedModel], config: PreTrainedConfig, tensors: Tensors, *, name: str) -> Tensors:
    """Those of the tensors that the model takes, checked to be complete; needs no more of them than their outline.

    Args:
        model_class: which of transformers' models.
        config: its sizes.
        tensors: weights under transformers' names.
        name: of the checkpoint, for messages.

    Raises:
        UserError: a weight is missing, has another shape than the configuration says, or is not floating-point.
    """
    config._attn_implementation = implementation("sdpa")  # a config.json could name one to be fetched from a hub even
    try:
        with torch.device("meta"):
            model = model_class(config)
    except Exception as error:  # sizes that do not go together show in as many ways as there are models
        raise UserError(f"model {name}: config.json describes no model that can be built: {one_line(error)}") from error
    taken: Tensors = {}
    for key, parameter in model.state_dict().items():
        if key in tensors:
            taken[key] = tensors[key]
        elif key not in model.all_tied_weights_keys:
            raise UserError(f"model {name}: the weights lack {key}; the checkpoint is incomplete or of another kind")
        if key in tensors and tensors[key].shape != parameter.shape:
            raise UserError(
                f"model {name}: {key} has shape {list(tensors[key].shape)}, but config.json says "
                f"{list(parameter.shape)}; the files do not belong together"
            )
        if key in tensors and not tensors[key].is_floating_point():
            raise UserError(
                f"model {name}: {key} is stored as integers, or in 8 bits without a scale for each row; give the "
                "original weights"
            )
    return taken


def build(
    model_class: type[PreTrainedModel],
    config: PreTrainedConfig,
    tensors: Tensors,
    placement: Placement,
    *,
    name: str,
    float32: Sequence[str] = (),
) -> PreTrainedModel:
    """One of transformers' own models with the given weights and packed attention, ready to score.

    Args:
        model_class: which model.
        config: its sizes.
        tensors: its weights under transformers' names; others are ignored.
        placement: where it shall run, and how; its dtype is that of all arithmetic but for the modules in `float32`.
        name: of the checkpoint, for messages.
        float32: name prefixes of the modules that stay in float32: a head is small, and in bfloat16 its last rounding
            alone would tie close scores.

    Raises:
        UserError: see `fitting`.
    """
    taken = fitting(model_class, config, tensors, name=name)
    with quiet():
        model = model_class.from_pretrained(
            None,
            config=config,
            state_dict=taken,
            dtype=placement.dtype,
            attn_implementation=implementation(placement.attention),
        )
    for key, parameter in model.named_parameters():
        if key.startswith(tuple(float32)):
            parameter.data = tensors[key].float()
    ready: PreTrainedModel = model.requires_grad_(False).eval().to(placement.device)
    return ready


def load_tokenizer(checkpoint: Checkpoint) -> PreTrainedTokenizerBase:
    """The checkpoint's tokenizer, with no truncation and no padding set.

    Raises:
        UserError: it cannot be read, or not without code from the checkpoint, or does not fit the model.
    """
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(checkpoint.directory, trust_remote_code=False)
        framed = [*tokenizer.backend_tokenizer.encode("").ids, *tokenizer.backend_tokenizer.encode("", "").ids]
    except BaseException as error:  # a damaged file shows in as many ways as there are tokenizers
        if not is_tokenizers(error):
            raise
        raise UserError(f"model {checkpoint.name}: its tokenizer cannot be read: {one_line(error)}") from error
    rows, backend = checkpoint.config.get("vocab_size"), tokenizer.backend_tokenizer
    if isinstance(rows, int) and max([*backend.get_vocab(with_added_tokens=False).values(), *framed]) >= rows:
        raise UserError(
            f"model {checkpoint.name}: its tokenizer, as tokenizer_config.json describes it, has more tokens than the "
            f"{rows} of config.json's vocab_size; the files do not belong together"
        )
    padding = checkpoint.config.get("pad_token_id")
    if checkpoint.config.get("model_type") in ROBERTA and padding in framed:  # no position is counted for that id
        raise UserError(
            f"model {checkpoint.name}: config.json says pad_token_id {padding}, a token that its tokenizer puts into "
            "every pair; the files do not belong together"
        )
    if isinstance(rows, int):
        tokenizer.rows = rows  # for `tokenise.Tokens`: a token that was added beyond them can stand in a text
    if twice := _ambiguous(backend):
        raise UserError(
            f"model {checkpoint.name}: tokenizer.json has the added tokens {twice[0]!r} and {twice[1]!r}, which its "
            "normalizer makes one text, so that either id may be given; leave one of them"
        )
    backend.no_truncation()
    backend.no_padding()
    for copied in ("_vocab", "_merges"):  # what transformers made the backend of; some 50 MB of Qwen's, 60 of XLM-R's
        vars(tokenizer).pop(copied, None)
    return tokenizer


def is_tokenizers(error: BaseException) -> bool:
    """Whether the tokenizers library failed; where its Rust code panics, it raises what is not an Exception."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def _ambiguous(backend: Tokenizer) -> list[str]:
    """Added tokens of several ids that the normalizer makes one text; none, as a rule.

    Tokenizers 0.23.3 gives either id then, another one from load to load.
    """
    if backend.normalizer is None:
        return []
    texts: dict[str, list[str]] = {}
    for token in backend.get_added_tokens_decoder().values():
        if token.normalized:
            texts.setdefault(backend.normalizer.normalize_str(token.content), []).append(token.content)
    return next((contents for contents in texts.values() if len(contents) > 1), [])


@contextmanager
def quiet() -> Iterator[None]:
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
    """The files that hold the weights: the single file, or all that the index names, in transformers' order."""
    single = checkpoint.directory / "model.safetensors"
    index = checkpoint.directory / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if not index.is_file():
        return sorted(checkpoint.directory.glob("*.safetensors"))
    listed = directory_files.read_json(index, checkpoint.name).get("weight_map")
    if not isinstance(listed, dict):
        raise UserError(f"model {checkpoint.name}: {index} lacks its weight_map; fetch it again")
    paths = sorted({checkpoint.directory / Path(str(file)).name for file in listed.values()})  # none outside of it
    for path in paths:
        if not path.is_file():
            raise UserError(f"model {checkpoint.name}: {index.name} names {path.name}: not there; fetch it again")
    return paths


def _open(path: Path, name: str) -> Any:
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise UserError(f"model {name}: {path} is not a complete safetensors file ({error}); fetch it again") from error
