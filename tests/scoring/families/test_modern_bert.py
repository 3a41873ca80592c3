"""ModernBERT as cross-encoder and as encoder, against transformers and sentence-transformers one text at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from transformers import AutoModelForSequenceClassification, ModernBertConfig, ModernBertModel

from tests.support import tiny, tiny_encoder, tiny_modular
from transforms.base.errors import UserError
from transforms.scoring import Reranker
from transforms.scoring.catalogue import UNLISTED
from transforms.scoring.recognition import recognise
from transforms.scoring.weights import checkpoints

TEXTS = ("a b c", "d", "", "e f g h i j k l m n o p q r s t", " ".join("uvwxyzabcdefghijklmnopqrstuvwxyz"))
LOGITS = 1e-4  # raw ones, of up to 8 here
PAIRS = [(query, document) for query in TEXTS for document in TEXTS]


def scores(folder: Path, **choices: object) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    settings = {"device": "cpu", "dtype": "float32", **choices}
    reranker = Reranker.load(str(folder), **settings)  # type: ignore[arg-type]
    return np.concatenate(reranker.score_lists([(query, TEXTS) for query in TEXTS]))


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("bias", [False, True])
def test_scores_are_those_of_transformers(tmp_path: Path, pooling: str, bias: bool) -> None:
    """With windows of 4 tokens on each side in three of five layers, and of texts longer than two of them."""
    biases = dict.fromkeys(("norm_bias", "attention_bias", "mlp_bias", "classifier_bias"), bias)
    folder = tiny.modern_bert(tmp_path, classifier_pooling=pooling, **biases)
    model = AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()
    backend = checkpoints.load_tokenizer(checkpoints.locate(str(folder))).backend_tokenizer
    with torch.inference_mode():
        expected = [model(torch.tensor([backend.encode(*pair).ids])).logits.item() for pair in PAIRS]
    np.testing.assert_allclose(scores(folder), expected, atol=LOGITS)
    assert len(set(np.round(expected, 3))) > 20  # else the comparison says nothing


def test_old_names_of_the_configuration_are_read(tmp_path: Path) -> None:
    """As on the hub, from before transformers 5: one theta a kind, and every how many layers attention is full."""
    folder = tiny.modern_bert(tmp_path)
    expected = scores(folder)
    old = {"global_attn_every_n_layers": 3, "global_rope_theta": 160000.0, "local_rope_theta": 10000.0}
    tiny.change(folder / "config.json", layer_types=None, rope_parameters=None, **old)
    np.testing.assert_array_equal(scores(folder), expected)
    tiny.change(folder / "config.json", global_attn_every_n_layers=2)
    assert np.abs(scores(folder) - expected).max() > 1e-2


def test_in_bfloat16_the_order_is_that_of_float32(tmp_path: Path) -> None:
    folder = tiny.modern_bert(tmp_path)
    exact = scores(folder)
    assert np.abs(scores(folder, dtype="bfloat16") - exact).max() < 0.1 * np.ptp(exact)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_head_of_modules_gives_what_sentence_transformers_gives(tmp_path: Path, pooling: str) -> None:
    folder = tiny_modular.modular_cross_encoder(tmp_path, pooling)
    assert recognise(checkpoints.locate(str(folder))) is UNLISTED
    theirs = CrossEncoder(str(folder), device="cpu", local_files_only=True)
    expected = theirs.predict(PAIRS, activation_fn=torch.nn.Identity())
    np.testing.assert_allclose(scores(folder), expected, atol=2e-5)
    assert np.ptp(expected) > 0.5
    np.testing.assert_allclose(scores(folder, activation="sigmoid"), theirs.predict(PAIRS), atol=2e-5)


@pytest.mark.parametrize(
    ("file", "fields", "says"),
    [
        ("2_Dense/config.json", {"activation_function": "torch.nn.modules.activation.Softplus"}, "Softplus"),
        ("2_Dense/config.json", {"use_residual": True}, "'use_residual': True"),
        ("2_Dense/config.json", {"in_features": 9}, "takes 9 features where 8 are given"),
        ("2_Dense/config.json", {"bias": True}, "2_Dense/model.safetensors does not hold the weights"),
        ("4_Dense/config.json", {"module_output_name": "sentence_embedding"}, "'module_output_name': 'sentence_em"),
        ("4_Dense/config.json", {"out_features": 2}, "4_Dense/model.safetensors does not hold the weights"),
        ("1_Pooling/config.json", {"pooling_mode": "lasttoken"}, "of the last hidden state"),
        ("1_Pooling/config.json", {"pooling_mode": "max"}, "pooling max"),
    ],
)
def test_a_head_that_is_not_followed_is_refused(
    tmp_path: Path, file: str, fields: dict[str, object], says: str
) -> None:
    folder = tiny_modular.modular_cross_encoder(tmp_path)
    tiny.change(folder / file, **fields)
    with pytest.raises(UserError, match=says):
        scores(folder)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_embeddings_are_those_of_sentence_transformers(tmp_path: Path, pooling: str) -> None:
    folder = tiny.modern_bert(tmp_path / "encoder")
    model = ModernBertModel(ModernBertConfig.from_pretrained(folder))
    tiny_encoder.save(folder, model, pooling, "[PAD]")
    theirs = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    embeddings = theirs.encode(list(TEXTS), convert_to_tensor=True)
    expected = (embeddings @ embeddings.T).cpu().numpy().ravel()
    np.testing.assert_allclose(scores(folder), expected, atol=2e-5)
