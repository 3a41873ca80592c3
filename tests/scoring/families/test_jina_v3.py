from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import JinaEmbeddingsV3Config, JinaEmbeddingsV3Model

from tests.support import tiny, tiny_causal
from transforms.base.errors import UserError
from transforms.scoring import Encoder, RankingTask, Reranker
from transforms.scoring.packed.run_batches import Rows
from transforms.scoring.reranker import Specification, specify

ADAPTERS = ["separation", "retrieval.passage", "retrieval.query"]
RANK, ALPHA = 2, 3
SIZES: dict[str, Any] = {
    "vocab_size": 30,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 8194,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
    "pad_token_id": 1,
    "hidden_act": "gelu",
}
# Transformers' names and the vendor's.
NAMES = (
    ("embeddings.LayerNorm", "emb_ln"),
    ("layers.", "encoder.layers."),
    ("self_attn.o_proj", "mixer.out_proj"),
    ("post_attention_layernorm", "norm1"),
    ("post_mlp_layernorm", "norm2"),
)
Tensors = dict[str, torch.Tensor]


def vendors(tensors: Tensors) -> Tensors:
    """The weights under the vendor's names, projections fused."""
    renamed: Tensors = {}
    for name, tensor in tensors.items():
        for ours, theirs in NAMES:
            name = name.replace(ours, theirs)
        if "q_proj" in name:
            parts = [tensors[key] for key in (name_of(name, part) for part in "qkv")]
            renamed[name.replace("self_attn.q_proj", "mixer.Wqkv")] = torch.cat(parts)
        elif "k_proj" not in name and "v_proj" not in name:
            renamed[name] = tensor
    return {f"roberta.{name}": tensor for name, tensor in renamed.items()}


def name_of(vendors_query: str, part: str) -> str:
    return vendors_query.replace("encoder.layers.", "layers.").replace("q_proj", f"{part}_proj")


def checkpoint(folder: Path) -> dict[str, JinaEmbeddingsV3Model]:
    """Writes a checkpoint in the vendor's layout; returns for each adapter transformers' model with it added."""
    torch.manual_seed(0)
    rope = {"rope_type": "default", "rope_theta": 20000.0}
    config = JinaEmbeddingsV3Config(**SIZES, rope_parameters=rope)
    base = tiny_causal.randomise(JinaEmbeddingsV3Model(config, add_pooling_layer=False))
    stored: Tensors = {}
    changed: list[Tensors] = [{} for _ in ADAPTERS]
    for name, tensor in vendors(base.state_dict()).items():
        if tensor.ndim < 2:
            stored[name] = tensor
            continue
        rows, columns = tensor.shape
        module = name.removesuffix(".weight")
        first, second = (rows, RANK), (RANK, columns)  # of an embedding; a linear layer has them the other way round
        linear = ".embeddings." not in name
        a = torch.randn(len(ADAPTERS), *(second if linear else first))
        b = torch.randn(len(ADAPTERS), *(first if linear else second))
        stored[f"{module}.parametrizations.weight.original"] = tensor
        stored |= {f"{module}.parametrizations.weight.0.lora_A": a, f"{module}.parametrizations.weight.0.lora_B": b}
        for i, change in enumerate(changed):
            change[name] = ALPHA / RANK * (b[i] @ a[i] if linear else a[i] @ b[i])
    save_file({name: tensor.contiguous() for name, tensor in stored.items()}, folder / "model.safetensors")
    lora = {"lora_adaptations": ADAPTERS, "lora_rank": RANK, "lora_alpha": ALPHA}
    rotary = {"model_type": "xlm-roberta", "position_embedding_type": "rotary", "rotary_emb_base": 20000.0}
    code = {
        "AutoConfig": "x--configuration_xlm_roberta.XLMRobertaFlashConfig",
        "AutoModel": "x--modeling_lora.XLMRobertaLoRA",
    }
    tiny.write(folder / "config.json", SIZES | lora | rotary | {"architectures": ["XLMRobertaLoRA"], "auto_map": code})
    models = {}
    for adapter, change in zip(ADAPTERS, changed, strict=True):
        model = JinaEmbeddingsV3Model(config, add_pooling_layer=False)
        model.load_state_dict(added(base.state_dict(), change))
        model.train(False)
        models[adapter] = model
    return models


def added(base: Tensors, change: Tensors) -> Tensors:
    """The base model's weights with a change that is known by the vendor's names."""
    result = {}
    for name, tensor in base.items():
        theirs = "roberta." + name
        for ours, vendor in NAMES:
            theirs = theirs.replace(ours, vendor)
        for place, part in enumerate("qkv"):
            if f"{part}_proj" in name and name.endswith("weight"):
                fused = theirs.replace(f"self_attn.{part}_proj", "mixer.Wqkv")
                result[name] = tensor + change[fused].chunk(3)[place]
                break
        else:
            result[name] = tensor + change[theirs] if theirs in change else tensor
    return result


def expected(model: JinaEmbeddingsV3Model, ids: list[int]) -> Rows:
    with torch.no_grad():
        mean = model(torch.tensor([ids])).last_hidden_state[0].mean(0)
    normalised: Rows = (mean / mean.norm()).numpy()
    return normalised


def test_the_part_of_a_sequence_says_whose_adapter_reads_it(tmp_path: Path) -> None:
    tiny.xlm_roberta(tmp_path)
    checkpoint(tmp_path)
    reranker = Reranker.load(str(tmp_path), device="cpu", dtype="float32")
    batches = reranker.batches([RankingTask("c", ["d", "e"])])
    assert [(batch.part, len(batch.reads)) for batch in batches] == [(0, 1), (1, 2)]
    assert not any(batch.types.any() for batch in batches)


def test_queries_and_documents_have_their_own_adapter(tmp_path: Path) -> None:
    tiny.xlm_roberta(tmp_path)
    models = checkpoint(tmp_path)
    options: dict[str, Any] = {"device": "cpu", "dtype": "float32", "query_prompt": "a ", "document_prompt": "b "}
    encoder = Encoder.load(str(tmp_path), **options)
    assert encoder.specification.model.name == "jinaai/jina-embeddings-v3"
    texts = {"c d": [6, 7], "e": [8], "c d e f": [6, 7, 8, 9]}
    queries = np.stack([expected(models["retrieval.query"], [0, 4, *ids, 2]) for ids in texts.values()])
    passages = np.stack([expected(models["retrieval.passage"], [0, 5, *ids, 2]) for ids in texts.values()])
    assert np.abs(queries - passages).max() > 0.1
    np.testing.assert_allclose(encoder.embed(list(texts), "query"), queries, atol=1e-5)
    np.testing.assert_allclose(encoder.embed(list(texts), "document"), passages, atol=1e-5)
    scores = Reranker.load(str(tmp_path), **options).score("c d", list(texts))
    np.testing.assert_allclose(scores, passages @ queries[0], atol=1e-5)


def test_prompts_are_held_against_the_checkpoints_own(tmp_path: Path) -> None:
    tiny.xlm_roberta(tmp_path)
    checkpoint(tmp_path)
    specification = specify(str(tmp_path), device="cpu")
    assert isinstance(specification, Specification)
    assert (specification.settings.query_prompt, specification.settings.document_prompt) == (
        "Represent the query for retrieving evidence documents: ",
        "Represent the document for retrieval: ",
    )
    tiny.change(tmp_path / "config.json", task_instructions={"retrieval.query": "Query: ", "retrieval.passage": ""})
    with pytest.raises(
        UserError, match=r"its files say prompt retrieval.query 'Query: ', the catalogue 'Represent the q"
    ):
        specify(str(tmp_path), device="cpu")


def test_adapter_that_is_missing(tmp_path: Path) -> None:
    tiny.xlm_roberta(tmp_path)
    checkpoint(tmp_path)
    tiny.change(tmp_path / "config.json", lora_adaptations=["retrieval.query"])
    with pytest.raises(UserError, match=r"its files hold no adapter retrieval.passage \(.*\); fetch it again"):
        specify(str(tmp_path), device="cpu")
