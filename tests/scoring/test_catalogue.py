from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import tiny, tiny_causal, tiny_encoder
from transforms.base.errors import UserError
from transforms.scoring import catalogue
from transforms.scoring.catalogue import MODELS, UNLISTED, UNLISTED_ENCODER, licence_notice, named, table
from transforms.scoring.recognition import recognise
from transforms.scoring.reranker import FAMILIES
from transforms.scoring.settings import ListwiseSettings
from transforms.scoring.weights import checkpoints


def test_every_entry_is_complete() -> None:
    for model in MODELS:
        assert model.family in FAMILIES, model.name
        assert model.score, model.name
        assert model.checked, model.name
        assert model.limit, model.name
        assert 0 < model.parameters < 10, model.name
        assert re.fullmatch(r"MIT|[A-Za-z]+(-[A-Za-z]+)*-[0-9.]+", model.licence), model.name
        assert re.fullmatch("[0-9a-f]{40}", model.revision or "0" * 40), model.name
    assert len({model.name for model in MODELS}) == len(MODELS)


def test_table_has_all_models() -> None:
    blocks = re.split(r"\n(?! )", table())
    assert [block.splitlines()[0] for block in blocks] == [model.name for model in MODELS]
    [block] = (block for block in blocks if block.startswith("jinaai/jina-embeddings-v3"))
    assert block == (
        "jinaai/jina-embeddings-v3\n"
        "    family          embedding\n"
        "    size            0.57 billion parameters\n"
        "    limit           8,192 tokens\n"
        "    task            retrieval\n"
        "    score           cosine, -1 to 1\n"
        "    licence         CC-BY-NC-4.0, not for commercial use\n"
        "    revision        ab036b023d30b4d1138c4c3bfa9f0c445ab455d6\n"
        "    checked against transformers' own jina_embeddings_v3 with the adapters added, on a small random "
        "checkpoint; NOT against the vendor's code or weights"
    )


@pytest.mark.parametrize(
    ("name", "revision", "limit", "query", "document", "group"),
    [
        ("jinaai/jina-reranker-v3", "10fb694fc21f7a710a563ff1eb977a460f3868e4", 131_072, 512, 2_048, 64),
        ("jinaai/jina-reranker-v3.5", "e8a93f33f0b22108f8c2364f8484ce3422552fbc", 131_072, 1_024, 8_192, 125),
    ],
)
def test_limits_of_listwise_models(name: str, revision: str, limit: int, query: int, document: int, group: int) -> None:
    """In tokens, and documents of a group: v3's as on its model card, v3.5's as in ports."""
    model = named(name)
    assert model is not None
    assert (model.revision, model.limit) == (revision, limit)
    settings = model.settings
    assert isinstance(settings, ListwiseSettings)
    assert (settings.max_query_length, settings.max_doc_length, settings.group_size) == (query, document, group)


def test_licence_that_is_not_for_everybody_is_said() -> None:
    said = {model.name: licence_notice(model) for model in MODELS}
    assert {name for name, notice in said.items() if notice} == {
        *(name for name in said if name.startswith(("jinaai/", "ContextualAI/"))),
        "zeroentropy/zerank-1",
        "zeroentropy/zerank-2",
        "zeroentropy/zerank-1-reranker",
        "zeroentropy/zerank-2-reranker",
    }
    assert said["jinaai/jina-reranker-m0"] == (
        "jinaai/jina-reranker-m0 is under CC-BY-NC-4.0, not for commercial use; for that, see its vendor's API"
    )


@pytest.mark.parametrize(
    ("described", "name"),
    [
        ({"architectures": ["JinaVLForRanking"], "model_type": "qwen2_vl"}, "jinaai/jina-reranker-m0"),
        (
            {
                "architectures": ["XLMRobertaLoRA"],
                "model_type": "xlm-roberta",
                "auto_map": {"AutoConfig": "jinaai/x--configuration_xlm_roberta.XLMRobertaFlashConfig"},
            },
            "jinaai/jina-embeddings-v3",
        ),
        (
            {
                "architectures": ["XLMRobertaForSequenceClassification"],
                "auto_map": {
                    "AutoConfig": "configuration_xlm_roberta.XLMRobertaFlashConfig",
                    "AutoModelForSequenceClassification": "modeling_xlm_roberta.XLMRobertaForSequenceClassification",
                },
            },
            "jinaai/jina-reranker-v2-base-multilingual",
        ),
    ],
)
def test_models_that_config_json_tells(tmp_path: Path, described: dict[str, object], name: str) -> None:
    tiny.bert(tmp_path)
    tiny.write(tmp_path / "config.json", described)
    assert recognise(checkpoints.locate(str(tmp_path))).name == name


def test_unlisted_models(tmp_path: Path) -> None:
    assert recognise(checkpoints.locate(str(tiny.bert(tmp_path / "classifier")))) is UNLISTED
    assert recognise(checkpoints.locate(str(tiny_encoder.bert(tmp_path / "encoder")))) is UNLISTED_ENCODER


def test_a_model_that_does_not_say_what_it_is_needs_model_like(tmp_path: Path) -> None:
    checkpoint = checkpoints.locate(str(tiny_causal.qwen3(tmp_path)))
    with pytest.raises(
        UserError, match=r"model_type 'qwen3', does not say which model this is; say it with --model_like"
    ):
        recognise(checkpoint)
    assert recognise(checkpoint, "Qwen/Qwen3-Reranker-4B") is named("Qwen/Qwen3-Reranker-4B")
    with pytest.raises(
        UserError, match="--model_like qwen: not in the catalogue, which has small-cross-encoder, jinaai/"
    ):
        recognise(checkpoint, "qwen")


def test_options_are_those_of_the_family() -> None:
    [m0] = (model for model in MODELS if model.family == "m0")
    settings = catalogue.with_options(m0, {"max_length": 512, "max_doc_length": None})
    assert settings == m0.settings.__class__(max_length=512)
    with pytest.raises(
        UserError, match=r"^--prompt, --task: does not apply to jinaai/jina-reranker-m0, an? m0; leave it out"
    ):
        catalogue.with_options(m0, {"prompt": "p", "task": "t"})


def test_all_options_that_are_wrong_are_reported_together() -> None:
    [qwen] = (model for model in MODELS if model.name == "Qwen/Qwen3-Reranker-0.6B")
    with pytest.raises(UserError) as refused:
        catalogue.with_options(qwen, {"task": "t", "activation": "tanh", "max_length": 5.5, "centre": 1})
    assert str(refused.value) == (
        "--task: does not apply to Qwen/Qwen3-Reranker-0.6B, a yes-no; leave it out; --max_length 5.5: give a whole "
        "number; --activation tanh: give sigmoid or none"
    )
