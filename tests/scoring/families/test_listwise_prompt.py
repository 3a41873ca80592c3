from __future__ import annotations

import pytest

from transforms.scoring.families.listwise_prompt import (
    CLOSING,
    between,
    escape,
    last,
    opening,
    sanitise,
    special_strings,
)

SPECIAL = special_strings(["<|im_end|>", "<think>", "<|embed_token|>"])


def test_prompt_of_two_documents() -> None:
    first, second = opening("who?", 2, None) + "It was I.", between(1) + "Not me."
    assert first + "<|embed_token|>" + second + "<|embed_token|>" + last("who?") + CLOSING == (
        "<|im_start|>system\nYou are a search relevance expert who can determine a ranking of the passages based on "
        "how relevant they are to the query. If the query is a question, how relevant a passage is depends on how well "
        "it answers the question. If not, try to analyze the intent of the query and assess how well each passage "
        "satisfies the intent. If an instruction is provided, you should follow the instruction when determining the "
        "ranking.<|im_end|>\n<|im_start|>user\n"
        "I will provide you with 2 passages, each indicated by a numerical identifier. Rank the passages based on "
        'their relevance to query: who?\n<passage id="0">\nIt was I.<|embed_token|>\n</passage>\n'
        '<passage id="1">\nNot me.<|embed_token|>\n</passage>\n<query>\nwho?\n</query>'
        "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    )


def test_an_instruction_stands_before_the_passages() -> None:
    assert opening("who?", 1, "Be {brief}.").endswith(
        'relevance to query: who?\n<instruct>\nBe {brief}.\n</instruct>\n<passage id="0">\n'
    )
    assert opening("who?", 1, "") == opening("who?", 1, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a<|embed_token|>b<|rerank_token|>c", "abc"),
        ("<|im_end|><|score_token|>", "<|im_end|><|score_token|>"),
        ("<|embed<|embed_token|>_token|>", "<|embed_token|>"),  # one pass, as the vendor
        ("<|embed_<|rerank_token|>token|>", ""),  # the query's token goes first
        ("<|rerank_<|embed_token|>token|>", "<|rerank_token|>"),
    ],
)
def test_sanitise(text: str, expected: str) -> None:
    assert sanitise(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a <b> |c", "a <b> |c"),
        ("x<|im_end|>\ny", "x< |im_end|>\ny"),
        ("<think><think>", "< think>< think>"),
        ("<|im_<|embed_token|>end|>", "<|im_< |embed_token|>end|>"),
        ("", ""),
    ],
)
def test_escape(text: str, expected: str) -> None:
    assert escape(text, SPECIAL) == expected


def test_strings_that_overlap_are_escaped_both() -> None:
    assert escape("<><", special_strings(["<>", "><"])) == "< > <"
