from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import tiny, tiny_encoder
from transforms.base.errors import UserError
from transforms.scoring.families import sentence_transformers_config
from transforms.scoring.families.sentence_transformers_config import SentenceTransformersConfig, describes_encoder
from transforms.scoring.weights import checkpoints


def read(folder: Path) -> SentenceTransformersConfig:
    return sentence_transformers_config.read(checkpoints.locate(str(folder)))


def test_files_of_an_encoder(tmp_path: Path) -> None:
    tiny_encoder.bert(tmp_path)
    prompts = {"query": "q: ", "document": ""}
    described = {"prompts": prompts, "default_prompt_name": "query", "similarity_fn_name": "dot"}
    tiny.write(tmp_path / "config_sentence_transformers.json", described)
    assert read(tmp_path) == SentenceTransformersConfig("mean", True, True, 24, None, prompts, "query", "dot")
    assert describes_encoder(checkpoints.locate(str(tmp_path)))


def test_no_files(tmp_path: Path) -> None:
    tiny.bert(tmp_path)
    assert read(tmp_path) == SentenceTransformersConfig()
    assert not describes_encoder(checkpoints.locate(str(tmp_path)))


@pytest.mark.parametrize(
    ("described", "pooling"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_lasttoken": True}, "last"),
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode": ["lasttoken"]}, "last"),
    ],
)
def test_pooling_in_the_forms_of_all_versions(tmp_path: Path, described: dict[str, object], pooling: str) -> None:
    tiny_encoder.bert(tmp_path)
    tiny.write(tmp_path / "1_Pooling" / "config.json", described)
    assert read(tmp_path).pooling == pooling


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("1_Pooling/config.json", {"pooling_mode": "max"}, "pooling max; what can be done here is mean or cls or last"),
        ("1_Pooling/config.json", {"pooling_mode": ["cls", "mean"]}, "pooling cls and mean; what"),
        ("1_Pooling/config.json", {}, "pooling of no kind; what"),
        ("sentence_bert_config.json", {"do_lower_case": True}, "says do_lower_case True"),
        ("sentence_roberta_config.json", {"do_lower_case": True}, "says do_lower_case True"),
        (
            "config_sentence_transformers.json",
            {"truncate_dim": 4, "similarity_fn_name": "dot"},
            "truncate_dim and the dot product of normalised embeddings; what can be done here is one of them",
        ),
        ("config_sentence_transformers.json", {"similarity_fn_name": "euclidean"}, "similarity 'euclidean'; what"),
        ("config_sentence_transformers.json", {"truncate_dim": True}, "says truncate_dim True, which is not int"),
        (
            "modules.json",
            [{"type": "models.Transformer", "path": ""}, {"type": "m.Dense", "path": ""}],
            "Transformer, De",
        ),
        (
            "modules.json",
            [{"type": "m.Transformer", "path": ""}, {"type": "m.Pooling", "path": "../1_Pooling"}],
            "a module in ../1_Pooling; what can be done here is a folder such as 1_Pooling",
        ),
        (
            "modules.json",
            [{"type": "m.Transformer", "path": "0_Transformer"}, {"type": "m.Pooling", "path": "1_Pooling"}],
            "a Transformer in 0_Transformer; what can be done here is one beside modules.json",
        ),
        (
            "modules.json",
            [
                {"type": f"m.{kind}", "path": path, "name": "a"}
                for kind, path in (("Transformer", ""), ("Pooling", "1_P"))
            ],
            "modules.json has two modules of one name; fetch it again",
        ),
        ("modules.json", {"0": "Transformer"}, "modules.json is not a list of modules; fetch it again"),
    ],
)
def test_what_is_not_done_is_refused(tmp_path: Path, file: str, content: object, message: str) -> None:
    tiny_encoder.bert(tmp_path)
    if file.startswith("sentence_"):
        (tmp_path / "sentence_bert_config.json").unlink()  # it would be read first
    tiny.write(tmp_path / file, content)
    with pytest.raises(UserError, match=message):
        read(tmp_path)


@pytest.mark.parametrize("file", ["sentence_bert_config.json", "1_Pooling/config.json", "modules.json"])
def test_what_decides_embeddings_is_part_of_the_identity(tmp_path: Path, file: str) -> None:
    tiny_encoder.bert(tmp_path)
    before = checkpoints.locate(str(tmp_path)).identity()
    tiny.write(tmp_path / file, [])
    assert checkpoints.locate(str(tmp_path)).identity() != before


def test_damaged_file(tmp_path: Path) -> None:
    tiny_encoder.bert(tmp_path)
    (tmp_path / "modules.json").write_text("[{", encoding="utf-8")
    with pytest.raises(UserError, match=r"modules.json is not valid JSON \(.*\); fetch it again"):
        read(tmp_path)
