from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from tests.support import tiny_causal
from transforms.base.errors import UserError
from transforms.scoring import RankingTask
from transforms.scoring.families.causal import CausalReranker, Readings, check_bare, check_seam
from transforms.scoring.families.pairs import Pairs, documents_of
from transforms.scoring.families.tokenise import Tokens
from transforms.scoring.packed.ragged import ragged
from transforms.scoring.packed.run_batches import Outputs
from transforms.scoring.results import Failure

BAD = Failure("tokenizer_error", "ValueError: no")


def read(tasks: Sequence[RankingTask], tokens: Tokens) -> Readings:
    """A prompt of as many tokens as the document has characters; none for "bad"."""
    documents = documents_of(tasks)
    good = np.array([pair for pair, document in enumerate(documents) if document != "bad"])
    failures = {pair: BAD for pair, document in enumerate(documents) if document == "bad"}
    ids = ragged([range(len(documents[pair])) for pair in good])
    ones = np.ones(len(good), dtype=np.int64)
    return Readings(ids, Pairs(ids, ids, good, good, len(documents), failures, good), ones, 2 * ones, 0 * ones)


def family() -> CausalReranker:
    unused: Any = SimpleNamespace(causal=True)
    return CausalReranker(tiny_causal.tokenizer(), read, unused, unused)


def test_every_prompt_is_read_at_its_last_token() -> None:
    prepared = family().prepare(
        [RankingTask("q", ["aaa", "bad"]), RankingTask("q", ["bbbb"])], Tokens(family().tokenizer)
    )
    assert [sequence.ids.tolist() for sequence in prepared.sequences] == [[0, 1, 2], [0, 1, 2, 3]]
    assert [sequence.reads.tolist() for sequence in prepared.sequences] == [[2], [3]]


def test_pairs_without_tokens_or_memory_fail_and_the_others_are_scored() -> None:
    model = family()
    tasks = [RankingTask("q", ["aaa", "bad"]), RankingTask("q", ["bbbb", "cc"])]
    prepared = model.prepare(tasks, Tokens(model.tokenizer))
    rows, missing = np.array([[0.5], [np.nan], [0.25]], dtype=np.float32), np.array([False, True, False])
    scores = model.finish(prepared, Outputs(rows, np.arange(3) + 1, missing))
    assert np.isnan(scores.score).tolist() == [False, True, True, False]
    assert scores.score[[0, 3]].tolist() == [0.5, 0.25]
    assert scores.failures == {1: BAD, 2: Failure("out_of_memory", "the pair does not fit into memory alone")}
    assert scores.tokens is not None
    assert scores.truncated_tokens is not None
    assert scores.query_truncated_tokens is not None
    assert scores.tokens.tolist() == [3, 0, 4, 2]
    assert scores.truncated_tokens.tolist() == [1, 0, 1, 1]
    assert scores.query_truncated_tokens.tolist() == [2, 0, 2, 2]


def test_seam_that_a_tokenizer_joins() -> None:
    backend = Tokenizer(WordLevel({"?": 0}, unk_token="?"))
    backend.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    check_seam(tokenizer, "Document:", " {}", name="m")
    check_seam(tokenizer, "{}\n", "Query: {}", name="m")
    with pytest.raises(UserError, match=r"^model m: its tokenizer reads 'Document:a' otherwise than its two parts, as"):
        check_seam(tokenizer, "Document:", "{}", name="m")


def test_tokenizer_that_puts_tokens_around_every_text() -> None:
    tokenizer = tiny_causal.tokenizer()
    check_bare(tokenizer, "m")
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing("a $A", special_tokens=[("a", 11)])
    with pytest.raises(UserError, match=r"^model m: its tokenizer.json or tokenizer_config.json adds a to every text"):
        check_bare(tokenizer, "m")
