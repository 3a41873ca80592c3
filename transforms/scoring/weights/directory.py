"""A model's directory, judged without the libraries that read its weights, which take seconds to import."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from transforms.base.errors import UserError
from transforms.base.json_text import parse

TOKENIZER = "tokenizer.json"
_PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt"})


class TokenizerFile(NamedTuple):
    """A tokenizer.json without its vocabulary, which can take a tenth of a gigabyte.

    Attributes:
        tokens: the largest token id and 1, so the rows of embeddings that it needs; 0 for a kind of file that the
            tokenizers library will refuse.
        settings: all that it says beside its model.
    """

    tokens: int
    settings: Mapping[str, Any]


def read_config(name: str, directory: Path) -> dict[str, Any]:
    """The contents of config.json, of a directory that has weights and a tokenizer that can be loaded safely.

    Args:
        name: the model's, for messages.
        directory: where its files are.

    Raises:
        UserError: one of them is missing, or not as it should be.
    """
    config = read_json(directory / "config.json", name)
    if "quantization_config" in config:
        raise UserError(f"model {name}: config.json says that its weights are quantised; give the original weights")
    if not list(directory.glob("*.safetensors")):
        others = sorted(path.name for path in directory.iterdir() if path.suffix in _PICKLES)
        pickle = f" (only {others[0]}, a pickle, which could run code)" if others else ""
        raise UserError(f"model {name}: no *.safetensors in {directory}{pickle}; convert the weights to safetensors")
    if not (directory / TOKENIZER).is_file():
        raise UserError(f"model {name}: no tokenizer.json in {directory}; save its fast tokenizer there")
    return config


def read_json(path: Path, name: str) -> dict[str, Any]:
    """The object that a JSON file holds.

    Args:
        path: of the file.
        name: the model's, for messages.

    Raises:
        UserError: it is missing or damaged, or holds no object.
    """
    try:
        content = parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"model {name}: no {path.name} in {path.parent}; give the directory of a checkpoint") from None
    except OSError as error:
        raise UserError(f"model {name}: {path} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"model {name}: {path} is not valid JSON ({error}); fetch it again") from error
    if not isinstance(content, dict):
        raise UserError(f"model {name}: {path} holds no JSON object; fetch it again")
    return content


def read_tokenizer(directory: Path, name: str) -> TokenizerFile:
    """What tokenizer.json holds, read once as long as the file stays the same: the largest take half a second.

    Args:
        directory: where a model's files are.
        name: the model's, for messages.

    Raises:
        UserError: as `read_json`.
    """
    path = directory / TOKENIZER
    try:
        described = path.stat()
        same = (described.st_ino, described.st_size, described.st_mtime_ns)
    except OSError:  # which reading says in words
        same = (0, 0, 0)
    return _read_tokenizer(path, name, same)


@lru_cache(maxsize=4)
def _read_tokenizer(path: Path, name: str, same: tuple[int, int, int]) -> TokenizerFile:
    content = read_json(path, name)
    return TokenizerFile(_token_count(content), {key: value for key, value in content.items() if key != "model"})


def _token_count(tokenizer: Mapping[str, Any]) -> int:
    try:
        vocabulary = tokenizer["model"].get("vocab") or {}
        ids = vocabulary.values() if isinstance(vocabulary, dict) else range(len(vocabulary))
        return int(max([-1, *ids, *(token["id"] for token in tokenizer.get("added_tokens") or ())])) + 1
    except (AttributeError, KeyError, TypeError, ValueError):
        return 0
