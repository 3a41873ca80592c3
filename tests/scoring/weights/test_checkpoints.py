from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.support import tiny, tiny_listwise
from tests.support.damage import configure, drop, put, reweigh, scores, shard
from transforms.base.errors import UserError
from transforms.scoring.places import EMBEDDED
from transforms.scoring.reranker import specify
from transforms.scoring.weights import checkpoints, directory
from transforms.scoring.weights.checkpoints import Tensors
from transforms.scoring.weights.vendor_layouts import RERANKER_V2


def pool(folder: Path) -> None:
    (folder / "1_Pooling").mkdir()
    tiny.write(folder / "1_Pooling" / "config.json", {"pooling_mode_lasttoken": True})


@pytest.mark.parametrize("index", [True, False])
def test_a_sharded_checkpoint_scores_the_same(original: Path, folder: Path, index: bool) -> None:
    shard(folder, index=index)
    assert scores(folder) == scores(original)


def test_old_names_of_layer_norm_are_read(original: Path, folder: Path) -> None:
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}

    def renamed(key: str) -> str:
        return next((key.removesuffix(new) + name for new, name in old.items() if key.endswith(new)), key)

    reweigh(folder, lambda tensors: {renamed(key): tensor for key, tensor in tensors.items()})
    assert any(key.endswith("gamma") for key in load_file(folder / "model.safetensors"))
    assert scores(folder) == scores(original)


def test_an_index_beside_a_single_file_is_ignored(original: Path, folder: Path) -> None:
    tiny.write(folder / "model.safetensors.index.json", {"weight_map": {"a": "gone.safetensors"}})
    assert scores(folder) == scores(original)


def test_an_index_reaches_no_file_outside_of_its_directory(folder: Path, tmp_path: Path) -> None:
    shard(folder, index=True)
    for path in folder.glob("model-*"):
        path.rename(tmp_path / path.name)
    weight_map = {"a": "../model-00001-of-00002.safetensors", "b": "../model-00002-of-00002.safetensors"}
    tiny.write(folder / "model.safetensors.index.json", {"weight_map": weight_map})
    (folder / "other.safetensors").touch()
    with pytest.raises(UserError, match=r"names model-00001-of-00002\.safetensors: not there"):
        specify(str(folder))


def test_int8_rows_with_scales_are_multiplied_out(folder: Path) -> None:
    key = "bert.encoder.layer.0.attention.self.query.weight"
    rows = torch.arange(-32, 32, dtype=torch.int8).view(8, 8)
    scale = torch.arange(1.0, 9.0)[:, None]
    reweigh(folder, lambda tensors: tensors | {key: rows, f"{key}_scale": scale})
    checkpoint = checkpoints.locate(str(folder))
    read = checkpoints.read_tensors(checkpoint)
    assert read[key][0].tolist() == [-32.0, -31.0, -30.0, -29.0, -28.0, -27.0, -26.0, -25.0]
    assert read[key][7].tolist() == [192.0, 200.0, 208.0, 216.0, 224.0, 232.0, 240.0, 248.0]
    assert f"{key}_scale" not in read
    by_scale = scores(folder)
    reweigh(folder, lambda tensors: {k: v for k, v in tensors.items() if k != f"{key}_scale"} | {key: read[key]})
    assert scores(folder) == by_scale


@pytest.mark.parametrize("name", ["small-cross-encoder", "tiny"])
def test_outline_is_what_is_read_without_the_data(folder: Path, name: str) -> None:
    checkpoint = checkpoints.locate(name if name in EMBEDDED else str(folder))
    outline, tensors = checkpoints.outline(checkpoint), checkpoints.read_tensors(checkpoint)
    assert {key: tensor.shape for key, tensor in outline.items()} == {key: t.shape for key, t in tensors.items()}
    assert {tensor.device.type for tensor in outline.values()} == {"meta"}


def jina_v2(folder: Path) -> None:
    """The same XLM-R under jina-reranker-v2's names, with its fused projections, and with its config.json."""

    def rename(tensors: Tensors) -> Tensors:
        renamed: Tensors = {}
        for key, tensor in tensors.items():
            if ".attention.self.query." in key:
                parts = [tensors[key.replace(".query.", f".{part}.")] for part in ("query", "key", "value")]
                renamed[key.replace(".attention.self.query.", ".mixer.Wqkv.")] = torch.cat(parts)
            elif ".attention.self." not in key:
                # Longest first: ".output.dense." ends ".attention.output.dense." too.
                for theirs, ours in sorted(RERANKER_V2.parts, key=lambda names: -len(names[1])):
                    key = key.replace(ours, theirs)
                renamed[key] = tensor
        return {key.replace(".encoder.layer.", ".encoder.layers."): tensor for key, tensor in renamed.items()}

    reweigh(folder, rename)
    auto_map = {
        "AutoConfig": "configuration_xlm_roberta.XLMRobertaFlashConfig",
        "AutoModelForSequenceClassification": "modeling_xlm_roberta.XLMRobertaForSequenceClassification",
    }
    configure(model_type=None, auto_map=auto_map)(folder)


def test_jina_v2s_own_layout_scores_the_same(tmp_path: Path) -> None:
    folder = tiny.xlm_roberta(tmp_path)
    logits = torch.tensor(scores(folder))
    jina_v2(folder)
    keys = set(load_file(folder / "model.safetensors"))
    assert "roberta.encoder.layers.0.mixer.Wqkv.weight" in keys
    assert not [key for key in keys if "attention" in key or "LayerNorm" in key.replace("emb_ln", "")]
    torch.testing.assert_close(torch.tensor(scores(folder)), logits.sigmoid())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (drop("roberta.emb_ln.bias"), "the weights lack roberta.embeddings.LayerNorm.bias"),
        (
            put("roberta.encoder.layers.1.mixer.Wqkv.bias", torch.zeros(27)),
            "roberta.encoder.layer.1.attention.self.query.bias has shape [9], but config.json says [8]",
        ),
        (
            put("roberta.encoder.layers.1.mixer.Wqkv.bias", torch.zeros(16)),
            "roberta.encoder.layer.1.attention.self.query.bias has shape [6], but config.json says [8]",
        ),
        (
            put("roberta.encoder.layers.1.mixer.Wqkv.bias", torch.zeros(2)),
            "roberta.encoder.layer.1.attention.self.query.bias has shape [1], but config.json says [8]",
        ),
    ],
)
def test_jina_v2s_own_layout_damaged_is_refused(tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    folder = tiny.xlm_roberta(tmp_path)
    jina_v2(folder)
    damage(folder)
    with pytest.raises(UserError) as refused:
        specify(str(folder))
    assert str(refused.value).startswith(f"model {folder}: {message}")


def test_identity_is_that_of_the_contents_wherever_they_lie(original: Path, folder: Path) -> None:
    identity = checkpoints.locate(str(original)).identity()
    assert identity == checkpoints.locate(str(folder)).identity()
    assert list(identity["files"]) == ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]


def test_identity_passes_over_what_decides_no_score(original: Path, folder: Path) -> None:
    (folder / "README.md").write_text("written anew", encoding="utf-8")
    tiny.write(folder / "trainer_state.json", {"step": 900})
    (folder / "optimizer.pt").write_bytes(b"0")
    shutil.copytree(original, folder / "checkpoint-500")
    assert checkpoints.locate(str(folder)).identity() == checkpoints.locate(str(original)).identity()


@pytest.mark.parametrize(
    "change",
    [
        put("classifier.bias", torch.ones(1)),
        configure(layer_norm_eps=1e-3),
        lambda folder: tiny.change(folder / "tokenizer_config.json", model_max_length=16),
        lambda folder: tiny.write(folder / "added_tokens.json", {"[NEW]": 30}),
        pool,
    ],
)
def test_identity_changes_with_what_decides_a_score(
    original: Path, folder: Path, change: Callable[[Path], object]
) -> None:
    change(folder)
    assert checkpoints.locate(str(folder)).identity() != checkpoints.locate(str(original)).identity()


def test_identity_names_every_shard(folder: Path) -> None:
    shard(folder, index=True)
    assert [name for name in checkpoints.locate(str(folder)).identity()["files"] if name.startswith("model")] == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]


# Run in a process of its own, in which a hub may be asked for what the directory does not have, and whose imports are
# not done yet. Whatever is connected to or looked up is an error that nobody catches.
SCORE_A_DIRECTORY = """
import os, sys
def forbid(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        print(event, arguments, flush=True)
        os._exit(9)
sys.addaudithook(forbid)
from transforms.scoring import Reranker
for folder in sys.argv[1:]:
    try:
        print(len(Reranker.load(folder, device="cpu").score("a", ["b", "c"])))
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
"""


def test_a_directory_needs_no_network_and_runs_no_code_of_its_own(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    plain, code = tiny.bert(tmp_path / "plain"), tiny.bert(tmp_path / "code")
    layout, tokenizer = tiny.xlm_roberta(tmp_path / "layout"), tiny.bert(tmp_path / "tokenizer")
    jina_v2(layout)
    for folder in (code, layout, tokenizer):
        for module in ("modeling_evil", "configuration_xlm_roberta", "tokenization_evil"):
            (folder / f"{module}.py").write_text(f"open({str(mark)!r}, 'w')\n", encoding="utf-8")
    auto_map = {
        "AutoConfig": "modeling_evil.Config",
        "AutoModel": "modeling_evil.Model",
        "AutoModelForSequenceClassification": "modeling_evil.Model",
    }
    # The last two name kernels that transformers would fetch from a hub and run.
    configure(auto_map=auto_map, attn_implementation="evil/kernel", _attn_implementation="evil/kernel")(code)
    tokenizer_class = {"AutoTokenizer": ["tokenization_evil.Slow", "tokenization_evil.Fast"]}
    tiny.change(tokenizer / "tokenizer_config.json", auto_map=tokenizer_class, tokenizer_class="EvilTokenizer")

    done = subprocess.run(
        [sys.executable, "-c", SCORE_A_DIRECTORY, *map(str, (plain, code, layout, tokenizer))],
        env=os.environ | {"HF_HUB_OFFLINE": "0"},
        input="y\n" * 9,  # to whoever asks whether to run it
        capture_output=True,
        text=True,
        check=False,
    )
    answers = done.stdout.splitlines()
    assert (answers[:3], done.returncode) == (["2", "2", "2"], 0), done.stderr
    assert answers[3] == "2" or answers[3].startswith(f"UserError: model {tokenizer}: its tokenizer cannot be read: ")
    assert not mark.exists()


@pytest.mark.parametrize(("make", "kind"), [(tiny.bert, "BertTokenizer"), (tiny_listwise.checkpoint, "Qwen2Tokenizer")])
def test_a_vocabulary_is_held_by_the_tokenizers_library_alone(
    tmp_path: Path, make: Callable[[Path], Path], kind: str
) -> None:
    folder = make(tmp_path / "model")
    tiny.change(folder / "tokenizer_config.json", tokenizer_class=kind)
    tokenizer = checkpoints.load_tokenizer(checkpoints.locate(str(folder)))
    assert (type(tokenizer).__name__, len(tokenizer) > 25) == (kind, True)
    assert [name for name, value in vars(tokenizer).items() if isinstance(value, dict | list) and len(value) > 25] == []
    assert str(tokenizer.decode(tokenizer.convert_tokens_to_ids(["a", "b"]))).replace(" ", "") == "ab"


def test_added_tokens_that_the_normalizer_makes_one_text_are_refused(tmp_path: Path) -> None:
    """Of these tokenizers finds either, another one from load to load."""
    folder = tiny.bert(tmp_path)
    content = tiny.read(folder / "tokenizer.json")
    token = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False}
    content["added_tokens"] += [{"id": 4, "content": "a", **token}, {"id": 5, "content": "A", **token}]
    content["model"]["vocab"] |= {"A": 5}
    tiny.write(folder / "tokenizer.json", content)
    checkpoints.load_tokenizer(checkpoints.locate(str(folder)))
    tiny.write(folder / "tokenizer.json", content | {"normalizer": {"type": "Lowercase"}})
    with pytest.raises(
        UserError, match=r"tokenizer.json has the added tokens 'a' and 'A', which its normalizer makes one"
    ):
        checkpoints.load_tokenizer(checkpoints.locate(str(folder)))


def test_a_tokenizers_file_is_read_once_and_again_when_it_changes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def noted(path: Path, name: str) -> dict[str, Any]:
        read.append(path.name)
        return read_json(path, name)

    read_json = directory.read_json
    monkeypatch.setattr(directory, "read_json", noted)
    specify(str(folder)).load()
    assert read.count("tokenizer.json") == 1
    tiny.change(folder / "tokenizer.json", truncation={"direction": "Left"})
    assert directory.read_tokenizer(folder, "m").settings["truncation"] == {"direction": "Left"}
