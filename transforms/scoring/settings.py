"""What decides each family's input and output, apart from its code, which takes seconds to import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from transforms.scoring.choices import GROUP_SIZE

Pooling = Literal["mean", "cls", "last"]
Similarity = Literal["cosine", "dot"]


@dataclass(frozen=True)
class CrossEncoderSettings:
    """What decides a cross-encoder's input and output; all lengths in tokens.

    Attributes:
        max_length: of the sequence, special tokens included; None for what the checkpoint allows.
        max_query_length: longest query, longer ones are cut. In windows it counts the query's two special tokens, as
            the vendor does. None for the policy's own limit.
        long_documents: "truncate" reads the beginning of a pair that is too long, "window" reads all of the document
            in overlapping windows and takes the best score.
        truncation: how "truncate" cuts: "longest_first" cuts the longer of query and document, then both
            (transformers' default), "only_document" cuts the query to three quarters of max_length, then the document.
        window_score: of a document in windows "max" is the best window's score, "mean" the mean of all, "first" that of
            the first, which alone is read (MaxP and FirstP of Dai and Callan, 2019, arXiv:1905.09217). None is "max"
            without saying which window was best.
        overlap_tokens: of neighbouring windows, at most a quarter of a window.
        activation: "sigmoid" for a score between 0 and 1, "none" for the raw logit.
    """

    max_length: int | None = None
    max_query_length: int | None = None
    long_documents: Literal["truncate", "window"] = "truncate"
    window_score: Literal["max", "mean", "first"] | None = None
    truncation: Literal["longest_first", "only_document"] = "longest_first"
    overlap_tokens: int = 80
    activation: Literal["sigmoid", "none"] = "none"


@dataclass(frozen=True)
class EmbeddingSettings:
    """What decides an encoder's input and output; what is None is as the checkpoint's own files say.

    Attributes:
        max_length: in tokens, prompt and special tokens included; longer texts lose their end.
        size: how many of an embedding's dimensions to keep, where the model was trained for that (Matryoshka).
        task: which of the model's prompts to use, where it has some for several tasks.
        query_prompt: text put before every query.
        document_prompt: text put before every document.
        pooling: what an embedding is made of: the mean over all tokens, the first ("cls") or the last token.
        similarity: "cosine", or "dot" for a model that says so.
        sizes: the sizes that the model was trained for; empty where all are good.
        prompts: the model's prompts by name, where its files lack them.
        adapters: of a model with adapters, the one for queries and the one for documents.
    """

    max_length: int | None = None
    size: int | None = None
    task: str | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None
    pooling: Pooling | None = None
    similarity: Similarity | None = None
    sizes: tuple[int, ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)
    adapters: tuple[str, str] | None = None


@dataclass(frozen=True)
class ListwiseSettings:
    """What decides a listwise model's input; all lengths in tokens.

    Attributes:
        max_length: of a context; None for what the checkpoint allows. The vendor's rule counts the documents and twice
            the query, but not the prompt's own words, so that a context can be longer by these.
        max_doc_length: longest document, longer ones are cut.
        max_query_length: longest query, longer ones are cut.
        group_size: documents in a context, at most. The model card says 64, the vendor's code has 125.
        instruction: for queries that have none of their own; None for none.
        special_tokens: what becomes of the tokenizer's special strings in user text. "vendor" removes the two at which
            embeddings are read and lets the others act, so that a document can close the prompt; "escape" turns all of
            them into plain text.
    """

    max_length: int | None = None
    max_doc_length: int = 2048
    max_query_length: int = 512
    group_size: int = GROUP_SIZE
    instruction: str | None = None
    special_tokens: Literal["vendor", "escape"] = "vendor"
    marks: ClassVar[int] = 1  # how many times the query's token stands in the prompt


class WindowedListwiseSettings(ListwiseSettings):
    """Those of jina-reranker-v3.5, whose prompt has the query's token twice and is read at the later one."""

    marks: ClassVar[int] = 2


@dataclass(frozen=True)
class M0Settings:
    """What decides the input; all lengths in tokens.

    Attributes:
        max_length: of the prompt, the score token included. A longer one loses its end, which is the query's.
        max_query_length: what a document leaves free for the query; the query itself is not cut to it.
        max_doc_length: longest document, longer ones are cut; None for all that max_query_length leaves.
    """

    max_length: int = 10240
    max_query_length: int = 512
    max_doc_length: int | None = None

    @property
    def document_limit(self) -> int:
        return self.max_length - self.max_query_length if self.max_doc_length is None else self.max_doc_length


@dataclass(frozen=True)
class YesNoSettings:
    """What decides the input and the output; all lengths in tokens.

    Attributes:
        prompt: a name in `families.yes_no.PROMPTS`.
        max_length: of the prompt, or of query and document alone; which, the prompt says.
        instruction: for queries that have none of their own; None for the prompt's.
        activation: "none" for the difference of the logits (of one answer, its logit), "sigmoid" for a score between 0
            and 1.
        centre: the difference, or the one answer's logit, that the sigmoid maps to 1/2.
    """

    prompt: str = "qwen3"
    max_length: int = 8192
    instruction: str | None = None
    activation: Literal["sigmoid", "none"] = "sigmoid"
    centre: float = 0.0
