"""The exact token ids that each model of the catalogue is given for one pair, by the real tokenizers.

A changed template, special token, default instruction or version of the tokenizers library is seen here, before it is
seen in scores. The ids are literals: none is computed from another.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from tests.support import tiny, tiny_modular
from transforms.scoring import RankingTask, Reranker, catalogue
from transforms.scoring.families.embedding import SIDES, Embedder, prompt_of
from transforms.scoring.families.sentence_transformers_config import SentenceTransformersConfig
from transforms.scoring.families.tokenise import Tokens
from transforms.scoring.weights import checkpoints

QUERY, DOCUMENT = "Who discovered penicillin?", "Alexander Fleming, in 1928.\n"

# One text of numbers for each sequence.
WORDPIECE = ("101 2040 3603 7279 28775 21202 1029 102 3656 13779 1010 1999 4662 1012 102",)
XLM_R = ("0 40469 134053 280 4158 52704 32 2 2 42814 22964 14578 4 23 61786 5 2",)
MODERNBERT = ("50281 7883 6888 36218 32 50282 41736 48585 13 275 31751 15 187 50282",)
LISTWISE = (
    "151644 8948 198 2610 525 264 2711 40861 6203 879 646 8253 264 23001 315 279 46769 3118 389 1246 9760 807 525 311 "
    "279 3239 13 1416 279 3239 374 264 3405 11 1246 9760 264 21085 374 13798 389 1246 1632 432 11253 279 3405 13 1416 "
    "537 11 1430 311 23643 279 7385 315 279 3239 323 8552 1246 1632 1817 21085 67901 279 7385 13 1416 458 7600 374 "
    "3897 11 498 1265 1795 279 7600 979 25597 279 23001 13 151645 198 151644 872 198 40 686 3410 498 448 220 16 46769 "
    "11 1817 16317 553 264 34776 12816 13 19298 279 46769 3118 389 862 40861 311 3239 25 10479 11105 5750 292 60497 "
    "5267 27 6385 424 877 428 15 881 77750 85197 11 304 220 16 24 17 23 624 151670 198 522 6385 424 397 27 1631 397 "
    "15191 11105 5750 292 60497 30 151671 198 522 1631 29 151645 198 151644 77091 198 151667 271 151668 271",
)
LISTWISE_TWICE = (
    "151644 8948 198 2610 525 264 2711 40861 6203 879 646 8253 264 23001 315 279 46769 3118 389 1246 9760 807 525 311 "
    "279 3239 13 1416 279 3239 374 264 3405 11 1246 9760 264 21085 374 13798 389 1246 1632 432 11253 279 3405 13 1416 "
    "537 11 1430 311 23643 279 7385 315 279 3239 323 8552 1246 1632 1817 21085 67901 279 7385 13 1416 458 7600 374 "
    "3897 11 498 1265 1795 279 7600 979 25597 279 23001 13 151645 198 151644 872 198 40 686 3410 498 448 220 16 46769 "
    "11 1817 16317 553 264 34776 12816 13 19298 279 46769 3118 389 862 40861 311 3239 25 10479 11105 5750 292 60497 "
    "30 151671 198 27 6385 424 877 428 15 881 77750 85197 11 304 220 16 24 17 23 624 151670 198 522 6385 424 397 27 "
    "1631 397 15191 11105 5750 292 60497 30 151671 198 522 1631 29 151645 198 151644 77091 198 151667 271 151668 271",
)
QWEN3 = (
    "151644 8948 198 60256 3425 279 11789 20027 279 8502 3118 389 279 11361 323 279 758 1235 3897 13 7036 429 279 "
    "4226 646 1172 387 330 9693 1 476 330 2152 3263 151645 198 151644 872 198 27 641 1235 26818 16246 264 3482 2711 "
    "3239 11 17179 9760 46769 429 4226 279 3239 198 27 2859 26818 10479 11105 5750 292 60497 5267 75692 26818 20042 "
    "85197 11 304 220 16 24 17 23 624 151645 198 151644 77091 198 151667 271 151668 271",
)
MXBAI = (
    "151644 8948 198 2610 525 1207 16948 11 3465 553 54364 14817 13 1446 525 264 10950 17847 13 151645 198 151644 872 "
    "198 1631 25 10479 11105 5750 292 60497 30 198 6062 25 20042 85197 11 304 220 16 24 17 23 624 198 2610 525 264 "
    "2711 40861 6203 879 66249 1246 1632 9293 2432 2711 19556 13 1752 1817 3239 82233 6716 11 15516 23643 279 41733 "
    "5025 1948 1105 11 1221 3410 697 7868 40861 19407 320 15 369 537 9760 11 220 16 369 9760 4292 693 32094 25 151645 "
    "198 151644 77091 198",
)
ZERANK = (
    "151644 8948 198 15191 11105 5750 292 60497 30 151645 198 151644 872 198 77750 85197 11 304 220 16 24 17 23 13 "
    "151645 198 151644 77091 198",
)
CTXL = (
    "3973 3425 264 2661 2197 5610 1995 10950 311 4226 279 3239 624 75692 29 20042 85197 11 304 220 16 24 17 23 382 27 "
    "2859 29 10479 11105 5750 292 60497 30 9415",
)
M0 = ("334 7524 334 510 77750 85197 11 304 220 16 24 17 23 382 334 2859 334 510 15191 11105 5750 292 60497 30 100",)
CODE = (
    "9885 279 1429 9760 2038 43065 2661 279 2701 3239 510 15191 11105 5750 292 60497 30",
    "63901 2038 43065 510 77750 85197 11 304 220 16 24 17 23 624",
)
EMBEDDINGS_V3 = (
    "0 853 55247 70 41 1294 100 456 97351 6496 77950 60525 12 40469 134053 280 4158 52704 32 2",
    "0 853 55247 70 12937 100 456 97351 1405 12 42814 22964 14578 4 23 61786 5 2",
)


class Case(NamedTuple):
    """What a model is given.

    Attributes:
        source: an embedded model, a key of `MODERN`, or where the larger fixtures have a checkpoint with the model's
            own tokenizer.
        ids: of each sequence.
        config: what config.json has beside that of the source.
    """

    source: str
    ids: tuple[str, ...]
    config: tuple[tuple[str, object], ...] = ()


WINDOWS = (
    ("layer_types", ["sliding_attention", "full_attention"]),
    ("sliding_window", 1024),
    ("use_sliding_window", True),
)


CASES = {
    "small-cross-encoder": Case("embedded", WORDPIECE),
    "cross-encoder/ms-marco-MiniLM-L6-v2": Case("ms-marco-MiniLM-L12-v2", WORDPIECE),
    "cross-encoder/ms-marco-MiniLM-L12-v2": Case("ms-marco-MiniLM-L12-v2", WORDPIECE),
    "jinaai/jina-reranker-v2-base-multilingual": Case("golden/jina-reranker-v2", XLM_R),
    "BAAI/bge-reranker-v2-m3": Case("golden/bge-reranker-v2-m3", XLM_R),
    "BAAI/bge-reranker-base": Case("golden/bge-reranker-v2-m3", XLM_R),
    "BAAI/bge-reranker-large": Case("golden/bge-reranker-v2-m3", XLM_R),
    "Alibaba-NLP/gte-reranker-modernbert-base": Case("ModernBERT", MODERNBERT),
    "ibm-granite/granite-embedding-reranker-english-r2": Case("ModernBERT", MODERNBERT),
    **{
        f"cross-encoder/ettin-reranker-{size}-v1": Case("Ettin", MODERNBERT)
        for size in ("17m", "32m", "68m", "150m", "400m", "1b")
    },
    "jinaai/jina-reranker-v3": Case("golden/jina-reranker-v3", LISTWISE),
    "jinaai/jina-reranker-v3.5": Case("golden/jina-reranker-v3", LISTWISE_TWICE, WINDOWS),
    "Qwen/Qwen3-Reranker-0.6B": Case("golden/qwen3-reranker", QWEN3),
    "Qwen/Qwen3-Reranker-4B": Case("golden/qwen3-reranker", QWEN3),
    "Qwen/Qwen3-Reranker-8B": Case("golden/qwen3-reranker", QWEN3),
    **{
        f"tomaarsen/Qwen3-Reranker-{size}-seq-cls": Case("golden/qwen3-reranker", QWEN3)
        for size in ("0.6B", "4B", "8B")
    },
    "nlpai-lab/KURE-Reranker-base": Case("golden/qwen3-reranker", QWEN3),
    "mixedbread-ai/mxbai-rerank-base-v2": Case("golden/mxbai-rerank-base-v2", MXBAI),
    "mixedbread-ai/mxbai-rerank-large-v2": Case("golden/mxbai-rerank-large-v2", MXBAI),
    **{
        f"zeroentropy/zerank-{which}{called}": Case("golden/qwen3-reranker", ZERANK)
        for which in ("1", "1-small", "2")
        for called in ("", "-reranker")
    },
    "ContextualAI/ctxl-rerank-v2-instruct-multilingual-1b": Case("golden/qwen3-reranker", CTXL),
    "ContextualAI/ctxl-rerank-v2-instruct-multilingual-2b": Case("golden/qwen3-reranker", CTXL),
    "jinaai/jina-reranker-m0": Case("golden/jina-reranker-m0", M0),
    "jinaai/jina-code-embeddings-0.5b": Case("golden/jina-code-embeddings", CODE),
    "jinaai/jina-embeddings-v3": Case("tokenizer of golden/bge-reranker-v2-m3", EMBEDDINGS_V3),
}
# What transformers' ModernBERT and a CrossEncoder of modules are made by, given a folder and fields of config.json.
MODERN: dict[str, Callable[..., Path]] = {"ModernBERT": tiny.modern_bert, "Ettin": tiny_modular.modular_cross_encoder}
# What is needed of OLMo's vocabulary for the texts of this file, under ModernBERT's special tokens and template; where
# it is from, tests/data/NOTICE.md says. The vendors' own files were not at hand: that they give these ids is read from
# what others publish of them, see PUBLISHED. No ids of granite's reranker were found; its model card says that it is
# made from granite-embedding-english-r2, whose tokenizer.json is said to be gte-modernbert-base's.
MODERN_TOKENIZER = Path(__file__).parents[1] / "data" / "modernbert_tokenizer.json"
# Pairs that others tokenised with the vendor's file: gte-reranker-modernbert-base's, in a test of a Go program
# (TestModernBERTTokenizerMatchesHuggingFace), and ettin-reranker-17m-v1's, in testdata/ of masacento/aikit on GitHub,
# whose other 20 texts that were tried give the same ids as the whole vocabulary too.
PUBLISHED = (
    (
        "What is rank nullity?",
        "The rank plus nullity equals the dimension.",
        "50281 1276 310 5958 3635 414 32 50282 510 5958 5043 3635 414 18207 253 7877 15 50282",
    ),
    (
        "What is the capital of France?",
        "Paris is the capital and most populous city of France.",
        "50281 1276 310 253 5347 273 6181 32 50282 36062 310 253 5347 285 954 1684 15873 2846 273 6181 15 50282",
    ),
    (
        "int8 quantization",
        "Quantizing weights to int8 cuts memory roughly 4x versus float32.",
        "50281 565 25 36643 50282 19154 3006 13461 281 540 25 12176 3541 11467 577 89 7147 8253 1237 15 50282",
    ),
)


_loaded: dict[Path, PreTrainedTokenizerBase] = {}


@pytest.fixture(autouse=True)
def _each_tokenizer_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most models share one of a few, which take seconds."""
    load = checkpoints.load_tokenizer

    def load_once(checkpoint: checkpoints.Checkpoint) -> PreTrainedTokenizerBase:
        if checkpoint.directory not in _loaded:
            _loaded[checkpoint.directory] = load(checkpoint)
        return _loaded[checkpoint.directory]

    monkeypatch.setattr(checkpoints, "load_tokenizer", load_once)


def test_every_model_has_its_ids() -> None:
    assert {*CASES} == {model.name for model in catalogue.MODELS}


@pytest.mark.parametrize(("query", "document", "ids"), PUBLISHED)
def test_part_of_a_vocabulary_gives_the_ids_that_others_publish(query: str, document: str, ids: str) -> None:
    tokenizer = Tokenizer.from_file(str(MODERN_TOKENIZER))
    assert " ".join(map(str, tokenizer.encode(query, document).ids)) == ids


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.source.startswith("tokenizer")])
def test_token_ids_of_the_pair(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    source, ids, config = CASES[name]
    if source == "embedded":
        place = name
    elif source in MODERN:
        made = MODERN[source](tmp_path, vocab_size=50_368)
        shutil.copyfile(MODERN_TOKENIZER, made / "tokenizer.json")
        place = str(made)
    elif source.startswith("golden/"):
        assembled: Callable[[str], Path] = request.getfixturevalue("golden")
        place = str(assembled(source.removeprefix("golden/")))
    else:
        place = str(request.getfixturevalue("fixtures") / "models" / source)
    if config:
        place = str(shutil.copytree(place, tmp_path / "changed"))
        tiny.change(Path(place, "config.json"), **dict(config))
    family = Reranker.load(place, like=name, device="cpu", dtype="float32").family
    prepared = family.prepare([RankingTask(QUERY, [DOCUMENT])], Tokens(family.tokenizer))
    assert tuple(" ".join(map(str, sequence.ids)) for sequence in prepared.sequences) == ids


def test_token_ids_of_jina_embeddings_v3(golden: Callable[[str], Path]) -> None:
    """Its architecture has no small checkpoint at hand; its tokenizer is XLM-R's."""
    settings = catalogue.named("jinaai/jina-embeddings-v3").settings  # type: ignore[union-attr]
    query, document = (prompt_of(side, settings, SentenceTransformersConfig(), "m") for side in SIDES)
    settings = replace(settings, query_prompt=query, document_prompt=document)
    tokenizer = checkpoints.load_tokenizer(checkpoints.locate(str(golden("bge-reranker-v2-m3"))))
    embedder = Embedder(settings, tokenizer, ())
    prepared = embedder.prepare([RankingTask(QUERY, [DOCUMENT])], Tokens(tokenizer))
    ids = [" ".join(map(str, sequence.ids)) for sequence in prepared.sequences]
    assert tuple(ids) == EMBEDDINGS_V3
