from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.support import tiny
from tests.support.damage import configure, drop, put, scores, shard, truncate
from transforms.base.errors import UserError
from transforms.scoring.reranker import specify
from transforms.scoring.weights import checkpoints


def only_a_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def lose_a_shard(folder: Path) -> None:
    shard(folder, index=True)
    (folder / "model-00002-of-00002.safetensors").unlink()


def lose_the_map(folder: Path) -> None:
    shard(folder, index=True)
    tiny.write(folder / "model.safetensors.index.json", {"weight_map": ["model-00001-of-00002.safetensors"]})


def more_tokens(folder: Path) -> None:
    vocabulary = tiny.read(folder / "tokenizer.json")
    vocabulary["model"]["vocab"]["zz"] = 30
    tiny.write(folder / "tokenizer.json", vocabulary)


NO_FLOATS = "classifier.weight is stored as integers, or in 8 bits without a scale for each row; give the original"

DAMAGES: list[tuple[str, Callable[[Path], object], str]] = [
    (
        "no config.json",
        lambda folder: (folder / "config.json").unlink(),
        "no config.json in {folder}; give the directory of a checkpoint",
    ),
    (
        "damaged config.json",
        lambda folder: truncate(folder / "config.json"),
        "{folder}/config.json is not valid JSON (Expecting ",
    ),
    (
        "a list for a config.json",
        lambda folder: tiny.write(folder / "config.json", [1]),
        "{folder}/config.json holds no JSON object; fetch it again",
    ),
    (
        "a directory for a tokenizer_config.json's contents",
        lambda folder: (folder / "tokenizer_config.json").write_bytes(b"\xff\xfe"),
        "{folder}/tokenizer_config.json is not valid JSON ('utf-8' codec can't decode",
    ),
    (
        "no weights",
        lambda folder: (folder / "model.safetensors").unlink(),
        "no *.safetensors in {folder}; convert the weights to safetensors",
    ),
    (
        "a pickle",
        only_a_pickle,
        "no *.safetensors in {folder} (only pytorch_model.bin, a pickle, which could run code); "
        "convert the weights to safetensors",
    ),
    (
        "no tokenizer.json",
        lambda folder: (folder / "tokenizer.json").unlink(),
        "no tokenizer.json in {folder}; save its fast tokenizer there",
    ),
    (
        "damaged tokenizer.json",
        lambda folder: truncate(folder / "tokenizer.json"),
        "{folder}/tokenizer.json is not valid JSON (",
    ),
    (
        "truncated weights",
        lambda folder: truncate(folder / "model.safetensors"),
        "{folder}/model.safetensors is not a complete safetensors file (",
    ),
    (
        "empty weights",
        lambda folder: (folder / "model.safetensors").write_bytes(b""),
        "{folder}/model.safetensors is not a complete safetensors file (",
    ),
    (
        "a weight is missing",
        drop("bert.pooler.dense.bias"),
        "the weights lack bert.pooler.dense.bias; the checkpoint is incomplete or of another kind",
    ),
    (
        "another shape",
        put("classifier.weight", torch.zeros(2, 8)),
        "classifier.weight has shape [2, 8], but config.json says [1, 8]; the files do not belong together",
    ),
    (
        "a scale without its weight",
        put("bert.other.weight_scale", torch.ones(4, 1)),
        "bert.other.weight_scale does not fit bert.other.weight; the weights are damaged",
    ),
    (
        "a scale of another shape",
        put("classifier.weight_scale", torch.ones(8)),
        "classifier.weight_scale does not fit classifier.weight; the weights are damaged",
    ),
    (
        "a shard is missing",
        lose_a_shard,
        "model.safetensors.index.json names model-00002-of-00002.safetensors: not there; fetch it again",
    ),
    ("no weight_map", lose_the_map, "{folder}/model.safetensors.index.json lacks its weight_map; fetch it again"),
    (
        "another model type",
        configure(model_type="deberta-v2"),
        "config.json says model_type 'deberta-v2', but bert or roberta or xlm-roberta or modernbert is needed here",
    ),
    (
        "two labels",
        configure(id2label={"0": "NO", "1": "YES"}, label2id={"NO": 0, "YES": 1}),
        "2 labels in config.json; a reranker has one",
    ),
    (
        "a word for a size",
        configure(hidden_size="large"),
        "config.json cannot be understood: ",
    ),
    (
        "sizes that do not go together",
        configure(num_attention_heads=3),
        "config.json describes no model that can be built: The hidden size (8) is not a multiple of",
    ),
    ("no layers", configure(num_hidden_layers=0), "config.json says num_hidden_layers 0; at least 1 is needed"),
    (
        "more layers than any model has",
        configure(num_hidden_layers=1025),
        "config.json says num_hidden_layers 1025; at most 1024 make sense",
    ),
    (
        "a negative number of layers",
        configure(num_hidden_layers=-1),
        "config.json says num_hidden_layers -1; at least 1 is needed",
    ),
    (
        "a list for a model type",
        configure(model_type=["bert"]),
        "config.json says model_type \"['bert']\", but bert or roberta or xlm-roberta or modernbert is needed here",
    ),
    *(
        (f"weights in {dtype}", put("classifier.weight", torch.zeros(1, 8, dtype=dtype)), NO_FLOATS)
        for dtype in (torch.int8, torch.int64, torch.bool, torch.float8_e4m3fn)
    ),
    (
        "more tokens than embeddings",
        more_tokens,
        "tokenizer.json has token ids up to 30, but config.json says vocab_size 30; the files do not belong together",
    ),
    (
        "an adapter beside the weights",
        lambda folder: tiny.write(folder / "adapter_config.json", {"peft_type": "LORA"}),
        "adapter_config.json: an adapter beside the weights is not applied here; merge it into the weights",
    ),
    (
        "a decoder",
        configure(is_decoder=True),
        "config.json says is_decoder True (tokens attend to earlier ones only), which is not supported",
    ),
    (
        "quantised",
        configure(quantization_config={"quant_method": "awq"}),
        "config.json says that its weights are quantised; give the original weights",
    ),
]


@pytest.mark.parametrize(("damage", "message"), [case[1:] for case in DAMAGES], ids=[case[0] for case in DAMAGES])
def test_a_damaged_checkpoint_is_refused_before_it_is_loaded(
    folder: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(folder)
    with pytest.raises(UserError) as refused:
        specify(str(folder))
    assert str(refused.value).startswith(f"model {folder}: {message.format(folder=folder)}")
    assert "\n" not in str(refused.value)


def test_a_tokenizer_that_is_none_is_refused(folder: Path) -> None:
    tiny.write(folder / "tokenizer.json", {"model": {"type": "Unheard"}})
    with pytest.raises(UserError) as refused:
        scores(folder)
    assert str(refused.value).startswith(f"model {folder}: its tokenizer cannot be read: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "model nowhere: no such directory; give a directory, a hub id (owner/name) or small-cross-encoder"),
        ("./no/where", "model ./no/where: no such directory; give a directory, a hub id"),
        ("/no/where", "model /no/where: no such directory; give a directory, a hub id"),
        ("a/b/c", "model a/b/c: no such directory; give a directory, a hub id"),
    ],
)
def test_a_name_that_is_nothing(name: str, message: str) -> None:
    with pytest.raises(UserError) as refused:
        checkpoints.locate(name)
    assert str(refused.value).startswith(message)


def test_a_file_in_place_of_its_directory(folder: Path) -> None:
    path = folder / "model.safetensors"
    with pytest.raises(UserError) as refused:
        checkpoints.locate(str(path))
    assert str(refused.value) == f"model {path}: a file; give the directory that it is in"


def test_a_revision_of_a_directory(folder: Path) -> None:
    with pytest.raises(UserError) as refused:
        checkpoints.locate(str(folder), "main")
    assert str(refused.value) == (
        f"--revision main applies to a model on the hub, but {folder} is a directory: leave it out"
    )
