"""What a sentence-transformers directory says beside the model's weights: pooling, prompts, limits.

Source of the file formats: the package sentence-transformers, version 6 and before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from transforms.base.errors import UserError
from transforms.base.json_text import parse
from transforms.scoring.settings import Pooling, Similarity
from transforms.scoring.weights import requirements
from transforms.scoring.weights.checkpoints import MODULE_FOLDER, Checkpoint, read_json, value
from transforms.scoring.weights.requirements import Part

POOLINGS: Mapping[str, Pooling] = {"mean": "mean", "cls": "cls", "lasttoken": "last"}
# Before version 6, one flag for each way of pooling.
FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_lasttoken": "lasttoken",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
}
# Names that sentence-transformers gave the file of its Transformer module, in the order in which it looks for them.
TRANSFORMER_FILES = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
OWN_FILE = "config_sentence_transformers.json"
SIMILARITIES: Mapping[Any, Similarity] = {"cosine": "cosine", "dot": "dot"}


@dataclass(frozen=True)
class SentenceTransformersConfig:
    """What the files say; None or empty where they say nothing.

    Attributes:
        pooling: "mean", "cls" or "last".
        pools_prompt: whether a prompt's own tokens are pooled too.
        normalised: whether embeddings have length 1.
        max_length: in tokens, special ones included.
        size: how many of an embedding's dimensions to keep.
        prompts: name -> text to put before the text.
        default_prompt: name of the prompt where none is asked for.
        similarity: "cosine" or "dot".
    """

    pooling: Pooling | None = None
    pools_prompt: bool = True
    normalised: bool = False
    max_length: int | None = None
    size: int | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str | None = None
    similarity: Similarity | None = None


def describes_encoder(checkpoint: Checkpoint) -> bool:
    """Whether the directory is one of sentence-transformers' sentence encoders."""
    return "Pooling" in (kind for kind, _ in _modules(checkpoint)) and not _is_cross_encoder(checkpoint)


class Head(NamedTuple):
    """What a cross-encoder of several modules has after its transformer.

    Attributes:
        pooling: what of the hidden states goes into the first module.
        modules: kind and folder of each module after that.
    """

    pooling: Pooling
    modules: list[tuple[str, str]]


def head(checkpoint: Checkpoint) -> Head | None:
    """The head of a directory that is a cross-encoder of several modules; None for any other.

    Raises:
        UserError: its modules are others than a Transformer, a Pooling and those of the head.
    """
    modules = _modules(checkpoint)
    if len(modules) < 2 or not _is_cross_encoder(checkpoint):
        return None
    kinds = [kind for kind, _ in modules]
    if kinds[:2] != ["Transformer", "Pooling"]:
        raise _unlike(checkpoint, f"the modules {', '.join(kinds)}", "Transformer, Pooling, and a head after them")
    return Head(_pooling(checkpoint, read_json(checkpoint, str(Path(modules[1][1]) / "config.json"))), modules[2:])


def pair_limit(checkpoint: Checkpoint) -> int | None:
    """The most tokens of a pair that a cross-encoder's files beside modules.json allow; None where they say nothing.

    Raises:
        UserError: they ask for what is not done here.
    """
    modules = _modules(checkpoint)
    if not modules or not _is_cross_encoder(checkpoint):
        return None
    return _text_limit(checkpoint, modules[0][1], "encoder's files" if len(modules) > 1 else "classifier's files")


def prompt_before_query(checkpoint: Checkpoint) -> str:
    """What a cross-encoder's files put before every query; sentence-transformers heeds them beside modules.json alone.

    Raises:
        UserError: there is no prompt of the default's name.
    """
    name, prompts = value(checkpoint, OWN_FILE, "default_prompt_name", str), _prompts(checkpoint, OWN_FILE, "prompts")
    if name is None or not _modules(checkpoint) or not _is_cross_encoder(checkpoint):
        return ""
    if name not in prompts:
        raise UserError(
            f"model {checkpoint.name}: config_sentence_transformers.json has no prompt {name!r}, which its "
            "default_prompt_name is; fetch it again"
        )
    return prompts[name] or ""


def answers(checkpoint: Checkpoint) -> tuple[Any, Any] | None:
    """The tokens at whose logits a language model is read, as its LogitScore module says; None where it has none.

    Returns:
        Ids of the answer for an irrelevant document, None where its logit is not read, and of that for a relevant one.
    """
    for kind, folder in _modules(checkpoint):
        if kind == "LogitScore":
            said = read_json(checkpoint, str(Path(folder) / "config.json"))
            return said.get("false_token_id"), said.get("true_token_id")
    return None


def _is_cross_encoder(checkpoint: Checkpoint) -> bool:
    return read_json(checkpoint, OWN_FILE).get("model_type") == "CrossEncoder"


def read(checkpoint: Checkpoint) -> SentenceTransformersConfig:
    """Read modules.json and what it leads to.

    Raises:
        UserError: the directory asks for something that is not done here; its embeddings would come out wrong.
    """
    modules = _modules(checkpoint)
    older = _prompts(checkpoint, "config.json", "task_instructions")  # jina-embeddings-v3 has them here too
    said = _prompts(checkpoint, OWN_FILE, "prompts")
    prompts = {name: text for name, text in (older | said).items() if text is not None}
    default = value(checkpoint, OWN_FILE, "default_prompt_name", str)
    named = value(checkpoint, OWN_FILE, "similarity_fn_name", str)
    similarity = SIMILARITIES.get(named)
    if named != similarity:
        raise _unlike(checkpoint, f"similarity {named!r}", " or ".join(SIMILARITIES))
    if not modules:
        return SentenceTransformersConfig(prompts=prompts, default_prompt=default, similarity=similarity)
    kinds = [kind for kind, _ in modules]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise _unlike(checkpoint, f"the modules {', '.join(kinds)}", "Transformer, Pooling and perhaps Normalize")
    pooling = read_json(checkpoint, str(Path(modules[1][1]) / "config.json"))
    size = value(checkpoint, OWN_FILE, "truncate_dim", int)
    if size is not None and "Normalize" in kinds and named == "dot":  # cut after they were normalised, and not anew
        raise _unlike(checkpoint, "truncate_dim and the dot product of normalised embeddings", "one of them")
    return SentenceTransformersConfig(
        pooling=_pooling(checkpoint, pooling),
        pools_prompt=bool(pooling.get("include_prompt", True)),
        normalised="Normalize" in kinds,
        max_length=_text_limit(checkpoint, modules[0][1], "encoder's files"),
        size=size,
        prompts=prompts,
        default_prompt=default,
        similarity=similarity,
    )


def _text_limit(checkpoint: Checkpoint, folder: str, part: Part) -> int | None:
    """The most tokens of a text that the file of the Transformer module allows; None where it says nothing.

    Raises:
        UserError: the file asks for what is not done here.
    """
    if folder:
        raise _unlike(checkpoint, f"a Transformer in {folder}", "one beside modules.json")
    file = next((file for file in TRANSFORMER_FILES if (checkpoint.directory / file).is_file()), TRANSFORMER_FILES[0])
    requirements.check(checkpoint, part, transformer=file)
    limit: int | None = value(checkpoint, file, "max_seq_length", int)
    return limit


def _prompts(checkpoint: Checkpoint, file: str, key: str) -> dict[str, str | None]:
    """Name -> text."""
    prompts: dict[str, str | None] = value(checkpoint, file, key, dict) or {}
    if not all(text is None or isinstance(text, str) for text in prompts.values()):
        raise UserError(
            f"model {checkpoint.name}: {file} says {key} {prompts}, which are not all texts; fetch it again"
        )
    return prompts


def _pooling(checkpoint: Checkpoint, described: Mapping[str, Any]) -> Pooling:
    modes = described.get("pooling_mode", [mode for flag, mode in FLAGS.items() if described.get(flag)])
    modes = modes if isinstance(modes, list) else [modes]
    if len(modes) != 1 or not isinstance(modes[0], str) or modes[0] not in POOLINGS:
        raise _unlike(checkpoint, f"pooling {' and '.join(map(str, modes)) or 'of no kind'}", " or ".join(POOLINGS))
    return POOLINGS[modes[0]]


def _modules(checkpoint: Checkpoint) -> list[tuple[str, str]]:
    """Kind and folder of each module; a kind is the last part of its class's name, whoever's class it is."""
    path = checkpoint.directory / "modules.json"
    if not path.is_file():
        return []
    try:
        listed = parse(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"model {checkpoint.name}: {path} is not valid JSON ({error}); fetch it again") from error
    try:
        modules = {
            module.get("name", number): (str(module["type"]).rsplit(".", 1)[-1], str(module["path"]))
            for number, module in enumerate(listed)
        }
    except (AttributeError, TypeError, KeyError) as error:
        raise UserError(f"model {checkpoint.name}: {path} is not a list of modules; fetch it again") from error
    for _, folder in modules.values():
        if folder and ("/" in folder or not fnmatchcase(folder, MODULE_FOLDER)):
            raise _unlike(checkpoint, f"a module in {folder}", "a folder such as 1_Pooling")
    if len(modules) < len(listed):
        raise UserError(f"model {checkpoint.name}: modules.json has two modules of one name; fetch it again")
    return list(modules.values())


def _unlike(checkpoint: Checkpoint, requirement: str, done: str) -> UserError:
    return UserError(f"model {checkpoint.name}: its files ask for {requirement}; what can be done here is {done}")
