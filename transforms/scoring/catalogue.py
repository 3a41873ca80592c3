"""The models as data. A new model of a known family is one entry here; nothing here takes long to import."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal, get_args, get_origin, get_type_hints

from transforms.base.arguments import check_number
from transforms.base.errors import UserError
from transforms.base.request import refusals, refuse
from transforms.scoring.model import Model
from transforms.scoring.settings import (
    CrossEncoderSettings,
    EmbeddingSettings,
    ListwiseSettings,
    M0Settings,
    WindowedListwiseSettings,
    YesNoSettings,
)

# jina-code-embeddings' model card. The benchmark CoIR uses nl2code for Apps, CosQA and SyntheticText2SQL, qa for
# CodeFeedback and StackOverflowQA, code2code for CodeTransOcean, code2nl for CodeSearchNet, code2completion for
# CodeSearchNet-CCR.
JINA_CODE_PROMPTS = {
    "nl2code_query": "Find the most relevant code snippet given the following query:\n",
    "nl2code_document": "Candidate code snippet:\n",
    "qa_query": "Find the most relevant answer given the following question:\n",
    "qa_document": "Candidate answer:\n",
    "code2code_query": "Find an equivalent code snippet given the following code snippet:\n",
    "code2code_document": "Candidate code snippet:\n",
    "code2nl_query": "Find the most relevant comment given the following code snippet:\n",
    "code2nl_document": "Candidate comment:\n",
    "code2completion_query": "Find the most relevant completion given the following start of code snippet:\n",
    "code2completion_document": "Candidate completion:\n",
}

# From copies of the model card and of the vendor's files; on loading they are compared with the checkpoint's own.
JINA_V3_PROMPTS = {
    "retrieval.query": "Represent the query for retrieving evidence documents: ",
    "retrieval.passage": "Represent the document for retrieval: ",
}

GOLDEN = "the vendor's code, on a small random checkpoint in the vendor's layout"
MODERN_BERT = "transformers' own ModernBERT, on a small random checkpoint; NOT against the vendor's code or weights"
MODULES = "sentence-transformers' CrossEncoder, on a small random checkpoint; NOT against the vendor's weights"
CARD = f"{GOLDEN}; with `eval verify`, the scores on the model card"
TRANSFORMERS = "transformers' own class, on a small random checkpoint"
HEAD = f"{TRANSFORMERS}, and against the language model that it is made from"
NOT_VENDOR = "NOT against the vendor's code or weights"

# Models of which several differ in little.
BGE = Model(
    name="BAAI/bge-reranker-v2-m3",
    family="cross_encoder",
    settings=CrossEncoderSettings(max_length=512, truncation="only_document"),
    licence="Apache-2.0",
    parameters=0.57,
    limit=8_192,
    score="raw logit",
    checked=CARD,
    revision="953dc6f6f85a1b2dbfca4c34a2796e7dde08d41e",
)
BGE_1 = replace(
    BGE,
    licence="MIT",
    limit=512,
    checked=f"{TRANSFORMERS}; the vendor's code, on one of bge-reranker-v2-m3",
    revision=None,
)
MINILM = Model(
    name="cross-encoder/ms-marco-MiniLM-L6-v2",
    family="cross_encoder",
    settings=CrossEncoderSettings(),
    licence="Apache-2.0",
    parameters=0.023,
    limit=512,
    score="raw logit",
    checked=f"{TRANSFORMERS}; sentence-transformers' CrossEncoder, on ms-marco-MiniLM-L12-v2",
)
QWEN3 = Model(
    name="Qwen/Qwen3-Reranker-0.6B",
    family="yes_no",
    settings=YesNoSettings(prompt="qwen3"),
    licence="Apache-2.0",
    parameters=0.6,
    limit=40_960,
    score='probability of "yes" against "no", 0 to 1',
    checked=GOLDEN,
    revision="e61197ed45024b0ed8a2d74b80b4d909f1255473",
)
MXBAI = Model(
    name="mixedbread-ai/mxbai-rerank-base-v2",
    family="yes_no",
    settings=YesNoSettings(prompt="mxbai", activation="none", centre=4.5),
    licence="Apache-2.0",
    parameters=0.5,
    limit=32_768,
    score='logit of "1" less logit of "0"; with --activation sigmoid the vendor\'s normalised score',
    checked=GOLDEN,
    revision="3ea9d4dffa7d12a4f366be8e275c349de9fc9865",
)
ZERANK = Model(
    name="zeroentropy/zerank-1",
    family="yes_no",
    settings=YesNoSettings(prompt="zerank", max_length=32_768, activation="none"),
    licence="CC-BY-NC-4.0",
    parameters=4.0,
    limit=32_768,
    score='logit of "Yes"; with --activation sigmoid the vendor\'s probability, the sigmoid of a fifth of it',
    checked=f"{TRANSFORMERS}, with a prompt from copies of the model card; {NOT_VENDOR}",
)
CTXL = replace(
    ZERANK,
    name="ContextualAI/ctxl-rerank-v2-instruct-multilingual-1b",
    settings=YesNoSettings(prompt="ctxl", max_length=32_768, activation="none"),
    licence="CC-BY-NC-SA-4.0",
    parameters=1.0,
    score='logit of "!", the first token of the vocabulary; not rounded to bfloat16, as the vendor\'s is',
    revision="8fd1edf6a98564cb712064f884b8ef7df5c1b876",
)

MODELS = (
    Model(
        name="small-cross-encoder",
        family="cross_encoder",
        settings=CrossEncoderSettings(),
        licence="Apache-2.0",
        parameters=0.019,
        limit=512,
        score="raw logit",
        checked="sentence-transformers' CrossEncoder, on a larger model of its kind",
    ),
    Model(
        name="jinaai/jina-reranker-v2-base-multilingual",
        family="cross_encoder",
        settings=CrossEncoderSettings(long_documents="window", activation="sigmoid"),
        licence="CC-BY-NC-4.0",
        parameters=0.28,
        limit=1_024,
        score="sigmoid of the logit, 0 to 1",
        checked=CARD,
        revision="126747772a932960028d9f4dc93bd5d9c4869be4",
        signature=("modeling_xlm_roberta.XLMRobertaForSequenceClassification",),
    ),
    BGE,
    replace(BGE_1, name="BAAI/bge-reranker-base", parameters=0.28),
    replace(BGE_1, name="BAAI/bge-reranker-large", parameters=0.56),
    MINILM,
    replace(
        MINILM,
        name="cross-encoder/ms-marco-MiniLM-L12-v2",
        parameters=0.033,
        checked="sentence-transformers' CrossEncoder, on these weights, dequantised from an int8 export",
    ),
    *(
        Model(
            name=f"cross-encoder/ettin-reranker-{size}-v1",
            family="cross_encoder",
            settings=CrossEncoderSettings(),
            licence="Apache-2.0",
            parameters=parameters,
            limit=7_999,
            score="raw logit",
            checked=MODULES,
        )
        for size, parameters in (
            ("17m", 0.017),
            ("32m", 0.032),
            ("68m", 0.068),
            ("150m", 0.15),
            ("400m", 0.4),
            ("1b", 1.0),
        )
    ),
    *(
        Model(
            name=name,
            family="cross_encoder",
            settings=CrossEncoderSettings(),
            licence="Apache-2.0",
            parameters=0.149,
            limit=8_192,
            score="raw logit",
            checked=MODERN_BERT,
        )
        for name in (
            "Alibaba-NLP/gte-reranker-modernbert-base",
            "ibm-granite/granite-embedding-reranker-english-r2",
        )
    ),
    Model(
        name="jinaai/jina-reranker-v3.5",
        family="listwise",
        settings=WindowedListwiseSettings(max_doc_length=8192, max_query_length=1024, group_size=125),
        licence="CC-BY-NC-4.0",
        parameters=0.6,
        limit=131_072,
        score="cosine, -1 to 1",
        checked="transformers' own Qwen3 with the same layer_types, on a small random checkpoint; the prompt is from "
        "ports (omlx, mlx-swift-lm), NOT from the vendor's file",
        revision="e8a93f33f0b22108f8c2364f8484ce3422552fbc",
        signature=("JinaForRanking", "sliding_attention"),
    ),
    Model(
        name="jinaai/jina-reranker-v3",
        family="listwise",
        settings=ListwiseSettings(),
        licence="CC-BY-NC-4.0",
        parameters=0.6,
        limit=131_072,
        score="cosine, -1 to 1",
        checked=GOLDEN,
        revision="10fb694fc21f7a710a563ff1eb977a460f3868e4",
        signature=("JinaForRanking",),
    ),
    QWEN3,
    replace(QWEN3, name="Qwen/Qwen3-Reranker-4B", parameters=4.0, revision="f16fc5d5d2b9b1d0db8280929242745d79794ef5"),
    replace(
        QWEN3,
        name="Qwen/Qwen3-Reranker-8B",
        parameters=8.2,
        checked=f"{GOLDEN}; {TRANSFORMERS} whose output matrix is its own, as here",
        revision="77d193c791ed757ca307ee72715aa132723da912",
    ),
    replace(
        QWEN3,
        name="nlpai-lab/KURE-Reranker-base",
        settings=YesNoSettings(prompt="qwen3", activation="none"),
        parameters=1.7,
        score='logit of "yes" less logit of "no"',
        checked=f"{TRANSFORMERS}, with the prompt of its training code, which is Qwen3-Reranker's; {NOT_VENDOR}",
        revision=None,
    ),
    *(  # sequence classifiers whose one row is that of "yes" less that of "no"
        replace(QWEN3, name=f"tomaarsen/Qwen3-Reranker-{size}-seq-cls", parameters=count, checked=HEAD, revision=None)
        for size, count in (("0.6B", 0.6), ("4B", 4.0), ("8B", 8.2))
    ),
    MXBAI,
    replace(
        MXBAI,
        name="mixedbread-ai/mxbai-rerank-large-v2",
        settings=replace(MXBAI.settings, centre=6.0),
        parameters=1.5,
        revision="ca7e1ee484c37c0ddd8d178a9a5c33cec575c5e6",
    ),
    *(  # the vendor has renamed its repositories; both names are in use
        replace(ZERANK, name=f"zeroentropy/zerank-{which}{called}", licence=licence, parameters=count, revision=commit)
        for which, licence, count, commit in (
            ("1", "CC-BY-NC-4.0", 4.0, "d03c467e29e29c0a16a130a86ce3b62d30116a2c"),
            ("1-small", "Apache-2.0", 1.7, "a65fd51c450e9b47fdddab98e31166ecad21af8d"),
            ("2", "CC-BY-NC-4.0", 4.0, "5eae30d5ee3c6b2df2ef6d723bde45172d761c4c"),
        )
        for called in ("", "-reranker")
    ),
    CTXL,
    replace(
        CTXL,
        name="ContextualAI/ctxl-rerank-v2-instruct-multilingual-2b",
        parameters=2.0,
        revision="6ffef5dc552583b8db58dc4a87f79f7aee78d2d9",
    ),
    Model(
        name="jinaai/jina-reranker-m0",
        family="m0",
        settings=M0Settings(),
        licence="CC-BY-NC-4.0",
        parameters=2.4,
        limit=32_768,
        score="sigmoid of the logit, 0 to 1",
        checked=CARD,
        revision="94bfe0aeb2d4dd7978362699cddd5893d4e0adc8",
        signature=("JinaVLForRanking",),
    ),
    Model(
        name="jinaai/jina-code-embeddings-0.5b",
        family="embedding",
        settings=EmbeddingSettings(
            max_length=8192, task="nl2code", pooling="last", sizes=(64, 128, 256, 512, 896), prompts=JINA_CODE_PROMPTS
        ),
        licence="CC-BY-NC-4.0",
        parameters=0.5,
        limit=32_768,
        score="cosine, -1 to 1",
        checked=GOLDEN,
        revision="4db235132dafbe56a8b9c5f59b59795ecf58a4a7",
    ),
    Model(
        name="jinaai/jina-embeddings-v3",
        family="embedding",
        settings=EmbeddingSettings(
            max_length=8192,
            task="retrieval",
            pooling="mean",
            sizes=(32, 64, 128, 256, 512, 768, 1024),
            prompts=JINA_V3_PROMPTS,
            adapters=("retrieval.query", "retrieval.passage"),
        ),
        licence="CC-BY-NC-4.0",
        parameters=0.57,
        limit=8_192,
        score="cosine, -1 to 1",
        checked="transformers' own jina_embeddings_v3 with the adapters added, on a small random checkpoint; "
        "NOT against the vendor's code or weights",
        revision="ab036b023d30b4d1138c4c3bfa9f0c445ab455d6",
        signature=("XLMRobertaLoRA",),
    ),
)

# A one-label classifier that no entry describes: its raw logit, cut as sentence-transformers' CrossEncoder cuts.
UNLISTED = Model("", "cross_encoder", CrossEncoderSettings(), licence="unknown", parameters=0)
# A sentence-transformers directory that no entry describes; its own files say what is needed.
UNLISTED_ENCODER = Model("", "embedding", EmbeddingSettings(), licence="unknown", parameters=0)


def named(name: str) -> Model | None:
    """The entry of this name, if there is one."""
    return next((model for model in MODELS if model.name == name), None)


def entry(name: str, like: str | None = None) -> Model | None:
    """The entry that a model is to be scored by, as far as names say: that of `like`, else that of its own name.

    Raises:
        UserError: no entry is called `like`.
    """
    model = named(name if like is None else like)
    if model is None and like is not None:
        raise UserError(f"--model_like {like}: not in the catalogue, which has {', '.join(one.name for one in MODELS)}")
    return model


def with_options(model: Model, options: Mapping[str, Any]) -> Any:
    """The model's settings with the user's own in place of the vendor's; options that are None are left out.

    Raises:
        UserError: options do not apply to the model's family, are none of the values to choose from, or no number where
            one belongs; all of them.
    """
    chosen = {name: value for name, value in options.items() if value is not None}
    refuse(_wrong_options(model, chosen))
    return replace(model.settings, **chosen)


def _wrong_options(model: Model, chosen: Mapping[str, Any]) -> Iterator[str]:
    known = {field.name for field in dataclasses.fields(model.settings)}
    foreign = [f"--{name}" for name in chosen if name not in known]
    if foreign:
        kind = model.family.replace("_", "-")
        article = "an" if kind[0] in "aeiou" else "a"
        what = model.name or "this model"
        yield f"{', '.join(foreign)}: does not apply to {what}, {article} {kind}; leave it out"
    for name, hint in get_type_hints(type(model.settings)).items():
        choices = get_args(hint) if get_origin(hint) is Literal else ()
        if choices and chosen.get(name, choices[0]) not in choices:
            yield f"--{name} {chosen[name]}: give {' or '.join(choices)}"
        if name in chosen:
            yield from refusals(partial(check_number, name, chosen[name], hint))


def licence_notice(model: Model) -> str | None:
    """One line for the start of a job with a model whose licence restricts its use."""
    if "-NC-" not in model.licence:
        return None
    return f"{model.name} is under {model.licence}, not for commercial use; for that, see its vendor's API"


def table() -> str:
    """All models with what is known of them, for people to read."""
    return "\n".join(_described(model) for model in MODELS)


def _described(model: Model) -> str:
    used = model.settings.max_length or model.limit
    facts = {
        "family": model.family.replace("_", "-"),
        "size": f"{model.parameters:g} billion parameters",
        "limit": f"{used:,} tokens" + (f" ({model.limit:,} by its files)" if model.limit not in (None, used) else ""),
        "prompt": getattr(model.settings, "prompt", None),
        "task": getattr(model.settings, "task", None),
        "score": model.score,
        "licence": model.licence + (", not for commercial use" if licence_notice(model) else ""),
        "revision": model.revision,
        "checked against": model.checked,
    }
    return "\n".join([model.name, *(f"    {name:<16}{fact}" for name, fact in facts.items() if fact)])
