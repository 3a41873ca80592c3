"""A model's directory, judged without the libraries that read its weights, which take seconds to import."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transforms.base.errors import UserError
from transforms.base.json_text import parse

_PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt"})


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
    if not (directory / "tokenizer.json").is_file():
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
