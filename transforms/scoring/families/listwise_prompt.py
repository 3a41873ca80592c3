"""The prompt of jina-reranker-v3 and v3.5: one query and its documents as text, and what is done to user text first.

Source: v3's own modeling.py (`format_docs_prompts_func`, `sanitize_input`). That v3.5 has QUERY_TOKEN twice, right
after the query in the first line too, is from two ports of it (omlx, mlx-swift-lm), not from the vendor's file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# A document's embedding is read at the first, the query's at the second.
DOCUMENT_TOKEN, QUERY_TOKEN = "<|embed_token|>", "<|rerank_token|>"

OPENING = (
    "<|im_start|>system\n"
    "You are a search relevance expert who can determine a ranking of the passages based on how relevant they are to "
    "the query. If the query is a question, how relevant a passage is depends on how well it answers the question. If "
    "not, try to analyze the intent of the query and assess how well each passage satisfies the intent. If an "
    "instruction is provided, you should follow the instruction when determining the ranking.<|im_end|>\n"
    "<|im_start|>user\n"
    "I will provide you with {documents} passages, each indicated by a numerical identifier. Rank the passages based "
    "on their relevance to query: "
)
CLOSING = "\n</query><|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"


def opening(query: str, documents: int, instruction: str | None, *, marks: int = 1) -> str:
    """The text before the first document.

    The prompt is the text before a document, the document, DOCUMENT_TOKEN for each document; then the text before the
    query's token, QUERY_TOKEN, CLOSING.

    Args:
        query: its text.
        documents: how many there are.
        instruction: None or empty for none.
        marks: how many times QUERY_TOKEN stands in the prompt: 1 (v3), or 2 (v3.5).
    """
    task = f"<instruct>\n{instruction}\n</instruct>\n" if instruction else ""
    return f"{OPENING.format(documents=documents)}{query}{QUERY_TOKEN * (marks - 1)}\n{task}{_passage(0)}"


def between(number: int) -> str:
    """The text before another document, whose number counts from 0."""
    return f"\n</passage>\n{_passage(number)}"


def last(query: str) -> str:
    """The text before the query's token at the end."""
    return f"\n</passage>\n<query>\n{query}"


def _passage(number: int) -> str:
    return f'<passage id="{number}">\n'


def sanitise(text: str) -> str:
    """Remove the two tokens at which embeddings are read, in one pass each, as the vendor does.

    What a removal joins together is not scanned again, so that a nested token can come through.
    """
    if "|" not in text:  # as neither token can be then; one sign is found sooner than two words
        return text
    return text.replace(QUERY_TOKEN, "").replace(DOCUMENT_TOKEN, "")


def special_strings(strings: Iterable[str]) -> re.Pattern[str]:
    """The first character of each occurrence of one of the strings, overlapping ones included."""
    alternatives = "|".join(re.escape(string) for string in strings)
    return re.compile(f"(?=(?:{alternatives}))(.)", re.DOTALL)


def escape(text: str, special: re.Pattern[str]) -> str:
    """Put a space after the first character of each special string: `<|im_end|>` becomes `< |im_end|>`.

    The words stay readable to the model, and no special string holds a space, so that none can result.
    """
    return special.sub(r"\1 ", text)
