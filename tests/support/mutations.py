"""Every key of a checkpoint's files in turn with another valid value.

The keys of config.json are those of transformers' own class, those of sentence-transformers' files the ones that its
classes read and write, those of tokenizer_config.json what transformers' tokenizers take; and what the files hold.
"""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers import AutoConfig, GenerationConfig, PreTrainedTokenizerBase

from tests.support import tiny

Path_ = tuple[str | int, ...]


class Mutant(NamedTuple):
    """One change.

    Attributes:
        file: which file of the directory.
        place: the keys that lead to the value; none for the whole file.
        value: what stands there then; `Removed` takes it away.
    """

    file: str
    place: Path_
    value: Any

    @property
    def key(self) -> tuple[str, Path_]:
        """What is counted as one key, however many values it is tried with."""
        return self.file, self.place


class Removed:
    """In place of a value."""


TOKENS = dict.fromkeys(PreTrainedTokenizerBase.SPECIAL_TOKENS_ATTRIBUTES, "a")
# What the libraries read and tiny directories do not have, with a value that changes nothing.
ABSENT: Mapping[str, dict[str, Any]] = {
    "config.json": {"is_causal": None, "quantization_config": None},
    "tokenizer_config.json": dict.fromkeys(PreTrainedTokenizerBase.SPECIAL_TOKENS_ATTRIBUTES)
    | {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 32,
        "padding_side": "right",
        "truncation_side": "right",
        "do_lower_case": False,
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "add_prefix_space": False,
        "add_bos_token": False,
        "add_eos_token": False,
        "split_special_tokens": False,
        "clean_up_tokenization_spaces": False,
        "extra_special_tokens": [],
        "additional_special_tokens": [],
        "added_tokens_decoder": {},
        "chat_template": None,
        "stride": 0,
        "max_length": None,
        "truncation_strategy": None,
        "pad_to_multiple_of": None,
    },
    "special_tokens_map.json": dict.fromkeys(PreTrainedTokenizerBase.SPECIAL_TOKENS_ATTRIBUTES),
    "added_tokens.json": {"b": None, "a b": None},
    "generation_config.json": GenerationConfig().to_dict(),
}
# What else sentence-transformers reads, in directories that are its own.
SENTENCE_TRANSFORMERS: Mapping[str, dict[str, Any]] = {
    "config_sentence_transformers.json": {
        "prompts": {"query": "", "document": "", "classify": "b c "},
        "default_prompt_name": None,
        "similarity_fn_name": "cosine",
        "truncate_dim": None,
        "keep_in_fp32_modules": None,
        "requirements": None,
    },
    "sentence_bert_config.json": dict.fromkeys(
        (*Transformer.config_keys, *inspect.signature(Transformer.__init__).parameters, "model_args", "tokenizer_args")
    )
    | {"config_args": None, "max_seq_length": 24, "do_lower_case": False},
    "1_Pooling/config.json": dict.fromkeys(Pooling.config_keys)
    | {"include_prompt": True}
    | {
        f"pooling_mode_{way}": False
        for way in (
            "cls_token",
            "mean_tokens",
            "max_tokens",
            "mean_sqrt_len_tokens",
            "weightedmean_tokens",
            "lasttoken",
        )
    },
    "2_Normalize/config.json": dict.fromkeys(Normalize.config_keys),
}
NEVER = {"self", "model_name_or_path", "name_or_path", "backend"}  # no keys of the files, or only of the reference's
LETTERS = [{"type": "Replace", "pattern": {"String": old}, "content": new} for old, new in (("A", "c"), ("a", "b"))]
TEMPLATE = {
    "type": "TemplateProcessing",
    "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "a", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "B", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 1}}],
    "special_tokens": {"a": {"id": "a", "ids": [4], "tokens": ["a"]}},
}
TRUNCATION = {"direction": "Right", "max_length": 9, "strategy": "LongestFirst", "stride": 0}
PADDING = {
    "strategy": {"Fixed": 40},
    "direction": "Right",
    "pad_to_multiple_of": None,
    "pad_id": 4,
    "pad_type_id": 0,
    "pad_token": "a",
}
ROPE = {"rope_theta": 10000.0, "factor": 2.0, "original_max_position_embeddings": 64, "attention_factor": 1.3}
FORWARD = {"method": "forward", "method_output_name": "last_hidden_state"}
# Other valid values of a key; other kinds of values have theirs in `others`.
VALUES: Mapping[str, list[Any]] = {
    "hidden_act": ["relu"],
    "hidden_activation": ["relu"],
    "classifier_activation": ["relu"],
    "model_type": ["roberta", "qwen2"],
    "architectures": [["BertModel"], ["Qwen3ForSequenceClassification"]],
    "is_causal": [True, False],
    "dtype": ["bfloat16"],
    "torch_dtype": ["bfloat16"],
    "problem_type": ["regression"],
    "id2label": [{"0": "NO", "1": "YES"}, {"0": "RELEVANT"}],
    "label2id": [{"RELEVANT": 0}],
    "rope_parameters": [
        ROPE | {"rope_type": kind, "mrope_section": [1, 1]} for kind in ("default", "linear", "dynamic", "yarn")
    ],
    "rope_scaling": [
        ROPE | {key: kind, "mrope_section": [1, 1]} for key, kind in (("rope_type", "linear"), ("type", "yarn"))
    ],
    "layer_types": [["sliding_attention", "full_attention"]],
    "quantization_config": [{"quant_method": "awq"}],
    "padding_side": ["left"],
    "truncation_side": ["left"],
    "tokenizer_class": ["BertTokenizer", "XLMRobertaTokenizer", "Qwen2Tokenizer"],
    "model_input_names": [["input_ids", "attention_mask"]],
    "extra_special_tokens": [["b"], {"z_token": "b c"}],
    "additional_special_tokens": [["b"], ["b c"]],
    "added_tokens_decoder": [{"7": {"content": "d", "special": True}}, {"7": {"content": "d", "lstrip": True}}],
    "chat_template": ["{{ messages[0]['content'] }} b"],
    "max_length": [9],
    "truncation_strategy": ["only_first"],
    "b": [20],
    "a b": [20],
    "prompts": [{"query": "b ", "document": ""}, {"classify": "b c "}],
    "default_prompt_name": ["classify"],
    "similarity_fn_name": ["dot", "euclidean"],
    "truncate_dim": [3, 100],
    "requirements": [["transformers>=99"]],
    "keep_in_fp32_modules": [[]],
    "transformer_task": ["text-generation", "sequence-classification", "feature-extraction"],
    "modality_config": [
        {"text": {"method": "forward", "method_output_name": "pooler_output"}},
        {kind: FORWARD | {"format": "flat"} for kind in ("text", "message")},
    ],
    "method_output_name": ["pooler_output", "hidden_states"],
    "module_output_name": ["sentence_embedding"],
    "processing_kwargs": [{"text": {"max_length": 9}}, {"text": {"truncation": "only_first"}}],
    "query_expansion": [{"length": 9}],
    "query_length": [9],
    "document_length": [9],
    "max_seq_length": [9, 16, 20],
    "pooling_mode": ["cls", "lasttoken", "max", ["cls", "mean"]],
    "module_input_name": ["token_embeddings"],
    "activation_function": ["torch.nn.modules.activation.Tanh", "torch.nn.modules.activation.Softsign"],
    "activation_fn": ["torch.nn.modules.activation.Tanh"],
    "normalizer": [*LETTERS, {"type": "Sequence", "normalizers": LETTERS}],
    "pre_tokenizer": [
        {"type": "Whitespace"},
        {"type": "Split", "pattern": {"String": "b"}, "behavior": "Isolated", "invert": False},
    ],
    "post_processor": [None, TEMPLATE, {"type": "BertProcessing", "sep": ["b", 5], "cls": ["c", 6]}],
    "decoder": [{"type": "Fuse"}, {"type": "WordPiece", "prefix": "a", "cleanup": True}],
    "truncation": [TRUNCATION, TRUNCATION | {"direction": "Left"}, TRUNCATION | {"strategy": "OnlyFirst", "stride": 2}],
    "padding": [PADDING, PADDING | {"direction": "Left"}],
    "unk_token": ["b"],
    **{
        f"{kind}_{name}": [{"torch_dtype": "bfloat16"}, {"dtype": "float32"}]
        for kind in ("model",)
        for name in ("args", "kwargs")
    },
    **{
        f"{kind}_{name}": [{"truncation_side": "left"}, {"model_max_length": 9}]
        for kind in ("tokenizer", "processor")
        for name in ("args", "kwargs")
    },
    **{f"config_{name}": [{"layer_norm_eps": 1.0}] for name in ("args", "kwargs")},
}
# Of a key without one, whose type is not known; the 72 keys of how to generate text are tried with one each.
UNTYPED: Mapping[str, list[Any]] = {"generation_config.json": [1]}
SPECIAL = ["a", {"content": "d", "lstrip": True, "rstrip": True, "normalized": True, "single_word": True}]


def others(file: str, key: str | int, value: Any) -> list[Any]:
    """Other valid values of a file's key that has this one."""
    if key in TOKENS:
        return SPECIAL if file == "tokenizer_config.json" else SPECIAL[1:]
    if key in VALUES:
        return [other for other in VALUES[str(key)] if other != value]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [2 * value or 1]
    if isinstance(value, float):
        return [2 * value + 0.5]
    # Where nothing says which type a key's values have.
    return UNTYPED.get(file, [1, True, "relu"]) if value is None else []


def _inside(file: str, content: Any, place: Path_ = ()) -> Iterator[Mutant]:
    """Of a JSON value: each key, and those in the objects under it."""
    items: list[tuple[str | int, Any]] = list(content.items() if isinstance(content, dict) else enumerate(content))
    for key, value in items:
        if key in NEVER:
            continue
        for other in others(file, key, value):
            yield Mutant(file, (*place, key), other)
        if isinstance(value, dict) and key not in ("vocab", "prompts", "id2label", "label2id", "__version__"):
            yield from _inside(file, value, (*place, key))
        elif isinstance(value, list) and key in ("added_tokens", "normalizers", "pretokenizers"):
            yield from _inside(file, value[:1] + value[-1:], (*place, key))


def _modules(folder: Path) -> Iterator[Mutant]:
    """Of modules.json: each module without, in another place, of another type, or with another path."""
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    for number, module in enumerate(modules):
        for key, values in (
            ("path", ["0_Other"]),
            ("type", ["sentence_transformers.models.Dropout", "sentence_transformers.models.Normalize"]),
            ("name", ["other"]),
            ("kwargs", [["task"]]),
            ("idx", [7]),
        ):
            yield from (Mutant("modules.json", (number, key), value) for value in values)
        yield Mutant("modules.json", (number,), Removed)
        if number:
            yield Mutant("modules.json", (), [*modules[:number], module, *modules[number:]])


def mutants(folder: Path, shared: Collection[str] = ()) -> Iterator[Mutant]:
    """All of a directory, but for those of the files named in `shared`."""
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*.json")} - {"model.safetensors.index.json"}
    own = (folder / "modules.json").exists()
    absent = dict(ABSENT)
    config = AutoConfig.from_pretrained(folder)
    if config.model_type != "bert" or own:
        del absent["generation_config.json"]
    absent |= dict(SENTENCE_TRANSFORMERS) if own else {}
    for file in sorted((files | set(absent)) - set(shared)):
        if file == "modules.json":
            yield from _modules(folder)
            continue
        content = tiny.read(folder / file) if file in files else {}
        known = config.to_dict() | config.get_text_config().to_dict() if file == "config.json" else {}
        known = {
            key: value for key, value in known.items() if key in {**content, **VALUES} or not isinstance(value, dict)
        }
        yield from _inside(file, absent.get(file, {}) | known | content)


@contextmanager
def changed(folder: Path, mutant: Mutant) -> Iterator[None]:
    """The directory with one change, which is taken back."""
    path = folder / mutant.file
    before = path.read_bytes() if path.exists() else None
    content = {} if before is None else json.loads(before)
    if mutant.place:
        inner = content
        for key in mutant.place[:-1]:
            inner = inner.setdefault(key, {}) if isinstance(inner, dict) else inner[int(key)]
        if mutant.value is Removed:
            del inner[mutant.place[-1]]
        else:
            inner[mutant.place[-1]] = copy.deepcopy(mutant.value)
    else:
        content = mutant.value
    made = not path.parent.exists()
    path.parent.mkdir(exist_ok=True)
    tiny.write(path, content)
    try:
        yield
    finally:
        if before is None:
            path.unlink()
            if made:
                path.parent.rmdir()
        else:
            path.write_bytes(before)
