"""The listwise family: its rules as pure functions, the tiny model against a plain computation, the vendor's scores."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from tests.support import tiny_listwise
from tests.support.tiny import change, read
from tests.support.tiny_listwise import SPECIAL, SPECIAL_IDS, WIDTH, embeddings, prompt, scores
from tests.support.vendor import loader
from transforms.base.errors import UserError
from transforms.scoring import RankingTask, Reranker
from transforms.scoring.families.listwise import Listwise, Prepared, Settings, groups_of, merge
from transforms.scoring.families.tokenise import Tokens
from transforms.scoring.packed.packing import Packed, pack
from transforms.scoring.results import Failure, Scores
from transforms.scoring.weights.checkpoints import load_tokenizer, locate

QUERY = "what is it?"
DOCUMENTS = ["a cab", "back to the lab\n", "", "12 bananas", "\n\nabba  baab"]
# Each joins, or could, with what the prompt has before it, and some hold the prompt's own special tokens.
AWKWARD = (
    *DOCUMENTS,
    "\n",
    "\r\na",
    "\ra",
    " \n a",
    "\t",
    "'s",
    ">\n",
    '">',
    "\u0301a",
    "\u2028x",
    "\u3000",
    "\u00c5ngstr\u00f6m A\u030a",
    "<|im_end|>\n<|im_start|>user\n",
    "\n</think>",
    "<|embed_token|>a<|rerank_token|>",
    "<|embed<|embed_token|>_token|>",
    "\U0001f355",
)
PIECES = st.sampled_from(
    [
        "\n",
        "\r",
        " ",
        "a",
        "b",
        "ab",
        ">",
        '"',
        "'",
        "s",
        "1",
        ".",
        "\u0301",
        "\u2028",
        "<|im_end|>",
        "</think>",
        "<|embed",
    ]
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_listwise.checkpoint(tmp_path_factory.mktemp("tiny") / "listwise")


def load(folder: Path, **options: Any) -> Reranker:
    return Reranker.load(str(folder), device="cpu", **{"dtype": "float32", "batch_tokens": 8192, **options})


def family(folder: Path, **fields: Any) -> Listwise:
    """The family without a model, for what comes before one."""
    return Listwise(Settings(**{"max_length": 30_000, **fields}), None, [], load_tokenizer(locate(str(folder))))  # type: ignore[arg-type]


def prepare(folder: Path, *tasks: RankingTask, **fields: Any) -> Prepared:
    scorer = family(folder, **fields)
    return scorer.prepare(tasks, Tokens(scorer.tokenizer))


# --- Groups and their merging


@pytest.mark.parametrize(
    ("lengths", "room", "longest", "size", "expected"),
    [
        ([], 100, 10, 3, []),
        ([1, 1], 100, 10, 3, [range(0, 2)]),
        ([1, 1, 1], 100, 10, 3, [range(0, 3)]),
        ([1, 1, 1, 1], 100, 10, 3, [range(0, 3), range(3, 4)]),
        ([10, 10, 10], 40, 10, 9, [range(0, 3)]),  # closed when exactly the longest is left
        ([10, 10, 9, 1], 40, 10, 9, [range(0, 4)]),  # one more token left, one more document taken
        ([10, 10, 10, 10], 40, 10, 9, [range(0, 3), range(3, 4)]),
        ([1, 1, 1], 10, 10, 9, [range(0, 1), range(1, 2), range(2, 3)]),  # no room from the start
        ([1, 1], -5, 10, 9, [range(0, 1), range(1, 2)]),
    ],
)
def test_groups(lengths: list[int], room: int, longest: int, size: int, expected: list[range]) -> None:
    assert groups_of(lengths, room, longest, size) == expected


def test_one_group_is_scored_by_its_own_query() -> None:
    rows = np.array([[3, 4], [4, -3], [-6, -8], [30, 40]], dtype=np.float32)
    assert merge([rows]) == pytest.approx([1, 0, -1], abs=1e-12)


def test_groups_are_scored_by_the_weighted_mean_of_their_queries() -> None:
    first = np.array([[0, 2], [1, 0]], dtype=np.float32)  # score 0: weight 0.5, times (1, 0)
    second = np.array([[5, 0], [0, -1], [0, 2]], dtype=np.float32)  # scores 0 and -1: weight 0.5, times (0, 2)
    # The mean is along (0.5, 1).
    expected = [1 / 1.25**0.5, 0.5 / 1.25**0.5, -1 / 1.25**0.5]
    assert merge([first, second]) == pytest.approx(expected, abs=1e-12)
    third = np.array([[0, 3], [0, 1]], dtype=np.float32)  # score 1: weight 1, times (0, 1)
    assert merge([first, third]) == pytest.approx([1 / 1.25**0.5, 1 / 1.25**0.5], abs=1e-12)


def test_an_embedding_without_length_has_no_score_and_spoils_no_other() -> None:
    rows = np.array([[0, 0], [1, 0], [2, 0]], dtype=np.float32)
    assert np.isnan(merge([rows, rows])).tolist() == [True, False, True, False]
    alone, of_zeros = np.array([[0, 0], [5, 0]], dtype=np.float32), np.array([[0, 7], [0, 0]], dtype=np.float32)
    assert merge([alone, np.array([[3, 4], [1, 0]], dtype=np.float32)])[1:] == pytest.approx([0.6], abs=1e-12)
    assert merge([of_zeros, np.array([[3, 4], [1, 0]], dtype=np.float32)]) == pytest.approx([0, 0.6], abs=1e-12)
    assert np.isnan(merge([alone, of_zeros])).all()


# --- Tokens


def assert_as_one_string(scorer: Listwise, task: RankingTask) -> None:
    """The ids that the task is made into are those of its whole prompt, sanitised as the vendor does."""
    query, *documents = (
        text.replace("<|rerank_token|>", "").replace("<|embed_token|>", "") for text in (task.query, *task.documents)
    )
    whole = scorer.tokenizer.backend_tokenizer.encode(prompt(query, documents), add_special_tokens=False)
    [sequence] = scorer.prepare([task], Tokens(scorer.tokenizer)).sequences
    assert sequence.ids.tolist() == whole.ids


@pytest.mark.parametrize("words", [tiny_listwise.QWEN_WORDS, r"(?m).+", r"[^a]+|a+"])
def test_a_prompt_in_parts_is_the_prompt_as_one_string(tmp_path: Path, words: str) -> None:
    scorer = family(tiny_listwise.checkpoint(tmp_path / "listwise", words=words))
    for task in (RankingTask(QUERY, AWKWARD), *(RankingTask(text, [text, "a", text]) for text in AWKWARD)):
        assert_as_one_string(scorer, task)


@pytest.fixture(scope="module")
def tiny(folder: Path) -> Listwise:
    return family(folder)


@given(st.lists(st.lists(PIECES, max_size=4).map("".join), min_size=2, max_size=6))
@settings(max_examples=100, deadline=None)
def test_any_prompt_in_parts_is_the_prompt_as_one_string(tiny: Listwise, texts: list[str]) -> None:
    assert_as_one_string(tiny, RankingTask(texts[0], texts[1:]))


def test_real_prompts_in_parts_are_the_prompts_as_one_string(golden: Callable[[str], Path]) -> None:
    scorer = family(golden("jina-reranker-v3"))
    for task in (RankingTask(QUERY, AWKWARD), *(RankingTask(text, [text, "a", text]) for text in AWKWARD)):
        assert_as_one_string(scorer, task)


class Recorder(Tokens):
    """Remembers what was tokenised."""

    def __init__(self, tokenizer: Any) -> None:
        super().__init__(tokenizer)
        self.seen: set[str] = set()

    def add(self, texts: Iterable[str]) -> None:
        listed = list(texts)
        self.seen |= set(listed)
        super().add(listed)


def test_a_document_is_tokenised_once_wherever_it_stands(folder: Path) -> None:
    scorer = family(folder)
    tokens = Recorder(scorer.tokenizer)
    scorer.prepare([RankingTask("first", ["wonder", "other"]), RankingTask("second", ["other", "wonder"])], tokens)
    assert [text for text in tokens.seen if "wonder" in text] == ["wonder"]


def test_embeddings_are_read_where_the_prompt_has_placed_their_tokens(folder: Path) -> None:
    nested = "<|embed<|embed_token|>_token|> <|rerank_<|embed_token|>token|>"
    [sequence] = prepare(folder, RankingTask(nested, ["one", nested, "two"])).sequences
    document, query = SPECIAL_IDS["<|embed_token|>"], SPECIAL_IDS["<|rerank_token|>"]
    ids = sequence.ids.tolist()
    assert (ids.count(document), ids.count(query)) == (3 + 3, 1 + 3)
    assert [ids[place] for place in sequence.reads] == [document, document, document, query]
    decoded = [
        tiny_listwise.tokenizer().decode(ids[: place + 1], skip_special_tokens=False) for place in sequence.reads
    ]
    assert decoded[0].endswith("\none<|embed_token|>")
    assert decoded[1].endswith("\n<|embed_token|> <|rerank_token|><|embed_token|>")
    assert decoded[2].endswith("\ntwo<|embed_token|>")
    assert decoded[3].endswith("\n<|embed_token|> <|rerank_token|><|rerank_token|>")


def test_special_strings_can_be_made_plain_text(folder: Path) -> None:
    hostile = "".join(SPECIAL) + "<|im_<|im_end|>end|></passage>" + "x" * 5000
    tasks = [RankingTask(hostile, [hostile, "a", *SPECIAL], hostile)]
    [escaped] = prepare(folder, *tasks, special_tokens="escape").sequences
    [harmless] = prepare(folder, RankingTask("a", ["a"] * (2 + len(SPECIAL)), "a")).sequences
    for token in SPECIAL_IDS.values():
        assert (escaped.ids == token).sum() == (harmless.ids == token).sum(), token
    [acting] = prepare(folder, *tasks, special_tokens="vendor").sequences
    assert (acting.ids == SPECIAL_IDS["<|im_end|>"]).sum() > (harmless.ids == SPECIAL_IDS["<|im_end|>"]).sum()


@pytest.mark.parametrize(
    ("of_all", "of_query", "shown"),
    [
        (None, None, ""),
        ("all", None, "<instruct>\nall\n</instruct>\n"),
        ("all", "own", "<instruct>\nown\n</instruct>\n"),
        ("all", "", ""),
    ],
)
@pytest.mark.parametrize("special_tokens", ["vendor", "escape"])
def test_the_querys_own_instruction_wins(
    folder: Path, of_all: str | None, of_query: str | None, shown: str, special_tokens: str
) -> None:
    task = RankingTask(QUERY, ["a"], of_query)
    [sequence] = prepare(folder, task, instruction=of_all, special_tokens=special_tokens).sequences
    assert tiny_listwise.tokenizer().decode(sequence.ids.tolist(), skip_special_tokens=False) == prompt(
        QUERY, ["a"], shown
    )


def test_what_was_cut_is_on_record(folder: Path) -> None:
    long = "z" * 20
    prepared = prepare(
        folder,
        RankingTask("q" * 7, ["zz", long, "é" * 6]),
        RankingTask("", ["z" * 11, "z" * 12]),
        max_query_length=5,
        max_doc_length=11,
        group_size=2,
    )
    # Tokens are bytes: "é" * 6 are 12, cut to 11 in the middle of a letter, which decodes to U+FFFD of three bytes.
    assert prepared.ledger.tolist() == [
        # tokens, truncated, the query's, group, position
        [2, 0, 2, 0, 0],
        [11, 9, 2, 0, 1],
        [13, 1, 2, 1, 0],
        [11, 0, 0, 0, 0],
        [11, 1, 0, 0, 1],
    ]
    decode = tiny_listwise.tokenizer().decode
    assert [decode(sequence.ids.tolist(), skip_special_tokens=False) for sequence in prepared.sequences] == [
        prompt("qqqqq", ["zz", "z" * 11]),
        prompt("qqqqq", ["ééééé\ufffd"]),
        prompt("", ["z" * 11, "z" * 11]),
    ]


def test_room_is_counted_before_what_sanitising_takes_away(folder: Path) -> None:
    # Each document is cut to 1 + 9 tokens, of which the first is removed; the query takes 2 * 3.
    texts = ["<|embed_token|>" + "z" * 12] * 5
    for max_length, groups in ((46, [0, 0, 0, 1, 1]), (47, [0, 0, 0, 0, 1])):
        prepared = prepare(folder, RankingTask("qqq", texts), max_length=max_length, max_doc_length=10)
        assert prepared.ledger[:, 3].tolist() == groups
        assert prepared.ledger[:, 0].tolist() == [9] * 5


# --- Scores of the tiny model


def test_scores_are_those_of_a_plain_computation(folder: Path) -> None:
    got = load(folder).score_tasks(
        [RankingTask(QUERY, DOCUMENTS, "Be brief."), RankingTask("", ["a"]), RankingTask("x", [])]
    )
    instruction = "<instruct>\nBe brief.\n</instruct>\n"
    expected = [
        *scores(embeddings(folder, prompt(QUERY, DOCUMENTS, instruction))),
        *scores(embeddings(folder, prompt("", ["a"]))),
    ]
    assert got.score == pytest.approx(expected, abs=2e-5)
    assert got.failures == {}
    assert got.windows is None


def test_several_groups_are_those_of_a_plain_computation(folder: Path) -> None:
    got = load(folder, group_size=2).score(QUERY, DOCUMENTS)
    rows = [embeddings(folder, prompt(QUERY, DOCUMENTS[start : start + 2])) for start in (0, 2, 4)]
    weights = [(1 + max(scores(group))) / 2 for group in rows]
    query = np.average([group[-1] for group in rows], axis=0, weights=weights)
    assert got == pytest.approx([score for group in rows for score in scores(group, query)], abs=2e-5)


def test_scores_do_not_depend_on_what_shares_the_pass(folder: Path) -> None:
    tasks = [RankingTask(f"query {n}", [f"document {n} {m}" * (1 + n * m % 4) for m in range(1 + n)]) for n in range(8)]
    reranker = load(folder, batch_tokens=100_000)
    together = reranker.score_tasks(tasks)
    assert together.counts["forward_passes"] == 1
    alone = [reranker.score_tasks([task]).score for task in tasks]
    assert together.score == pytest.approx(np.concatenate(alone), abs=1e-5)
    one_at_a_time = load(folder, batch_tokens=1).score_tasks(tasks)  # each is larger than the budget, and runs alone
    assert one_at_a_time.counts["forward_passes"] == 8
    assert together.score == pytest.approx(one_at_a_time.score, abs=1e-5)


def test_order_matters(folder: Path) -> None:
    forth, back = load(folder).score_lists([(QUERY, DOCUMENTS), (QUERY, DOCUMENTS[::-1])])
    assert back == pytest.approx(scores(embeddings(folder, prompt(QUERY, DOCUMENTS[::-1]))), abs=2e-5)
    assert max(abs(a - b) for a, b in zip(forth, back[::-1], strict=True)) > 1e-3


def test_names_without_their_prefix_are_read_too(folder: Path, tmp_path: Path) -> None:
    bare = tiny_listwise.checkpoint(tmp_path / "bare", prefix="")
    assert load(bare).score(QUERY, DOCUMENTS) == load(folder).score(QUERY, DOCUMENTS)


def test_the_head_is_in_float32(folder: Path) -> None:
    reranker = load(folder, dtype="bfloat16")
    prepared = prepare(folder, RankingTask(QUERY, DOCUMENTS))
    rows = reranker.family.forward(pack(prepared.sequences, torch.device("cpu")))
    assert rows.shape == (len(DOCUMENTS) + 1, WIDTH)
    assert rows.dtype == torch.float32
    assert not torch.equal(rows, rows.bfloat16().float())


# --- What cannot be scored


def test_a_document_that_cannot_be_tokenised_is_left_out(folder: Path) -> None:
    got = load(folder).score_tasks([RankingTask(QUERY, ["a cab", "\ud800", "12"]), RankingTask(QUERY, ["\ud800"])])
    assert {pair: failure.reason for pair, failure in got.failures.items()} == {
        1: "tokenizer_error",
        3: "tokenizer_error",
    }
    assert np.isnan(got.score[[1, 3]]).all()
    assert got.score[[0, 2]] == pytest.approx(scores(embeddings(folder, prompt(QUERY, ["a cab", "12"]))), abs=2e-5)
    assert got.position is not None
    assert got.position[[0, 2]].tolist() == [0, 1]


@pytest.mark.parametrize(("query", "instruction"), [("\ud800", None), (QUERY, "\ud800")])
def test_a_query_that_cannot_be_tokenised_fails_its_list(folder: Path, query: str, instruction: str | None) -> None:
    got = load(folder, group_size=2).score_tasks(
        [RankingTask(query, DOCUMENTS[:3], instruction), RankingTask(QUERY, DOCUMENTS)]
    )
    assert {pair: failure.reason for pair, failure in got.failures.items()} == dict.fromkeys(
        range(3), "tokenizer_error"
    )
    assert got.score[3:].tolist() == load(folder, group_size=2).score(QUERY, DOCUMENTS)


@pytest.fixture
def spoiled(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[torch.Tensor], torch.Tensor]], Scores]:
    """`spoiled(spoil)` scores three groups, where `spoil` is done to the embeddings of the second, which is longer."""
    reranker = load(folder, group_size=2, batch_tokens=1)
    forward = reranker.family.forward

    def score(spoil: Callable[[torch.Tensor], torch.Tensor]) -> Scores:
        def partly(packed: Packed) -> torch.Tensor:
            return spoil(forward(packed)) if len(packed.ids) > 2000 else forward(packed)

        monkeypatch.setattr(reranker.family, "forward", partly)
        return reranker.score_tasks([RankingTask(QUERY, [*DOCUMENTS[:2], "long" * 400, "long" * 200, DOCUMENTS[4]])])

    return score


def test_a_group_that_does_not_fit_into_memory_fails_alone(
    folder: Path, spoiled: Callable[[Callable[[torch.Tensor], torch.Tensor]], Scores]
) -> None:
    def exhaust(rows: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError

    got = spoiled(exhaust)
    detail = "its group of 2 documents does not fit into memory alone"
    assert got.failures == dict.fromkeys((2, 3), Failure("out_of_memory", detail))
    assert np.isnan(got.score[[2, 3]]).all()
    others = load(folder, group_size=2).score(QUERY, [*DOCUMENTS[:2], DOCUMENTS[4]])
    assert got.score[[0, 1, 4]] == pytest.approx(others, abs=1e-6)


@pytest.mark.parametrize("row", [0, 2])
def test_a_group_whose_embeddings_are_not_finite_fails_alone(
    folder: Path, spoiled: Callable[[Callable[[torch.Tensor], torch.Tensor]], Scores], row: int
) -> None:
    def break_one(rows: torch.Tensor) -> torch.Tensor:
        return rows.index_fill(0, torch.tensor(row), torch.inf)

    got = spoiled(break_one)
    assert {pair: failure.reason for pair, failure in got.failures.items()} == {2: "nan_score", 3: "nan_score"}
    others = load(folder, group_size=2).score(QUERY, [*DOCUMENTS[:2], DOCUMENTS[4]])
    assert got.score[[0, 1, 4]] == pytest.approx(others, abs=1e-6)


# --- What cannot be loaded


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"max_length": 15}, "--max_length 15: with {} it must be from 16 to 32768"),
        ({"max_length": 32_769}, "--max_length 32769: with {} it must be from 16 to 32768"),
        ({"max_doc_length": 30_001}, "--max_doc_length 30001: with {} it must be from 1 to 30000"),
        ({"max_length": 100}, "--max_doc_length 2048: with {} it must be from 1 to 100"),
        ({"max_query_length": 0}, "--max_query_length 0: with {} it must be from 1 to 30000"),
        ({"group_size": 0}, "--group_size 0: with {} it must be from 1 to 32767"),
        ({"special_tokens": "remove"}, "--special_tokens remove: give vendor or escape"),
        ({"long_documents": "window"}, "--long_documents: does not apply to jinaai/jina-reranker-v3"),
    ],
)
def test_options_are_checked(folder: Path, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError) as caught:
        load(folder, **options)
    assert str(caught.value).startswith(problem.format(folder))


def test_lengths_are_the_checkpoints_unless_given(folder: Path) -> None:
    expected = Settings(30_000, 2048, 512, 64, None, "vendor")
    assert load(folder).specification.settings == expected
    assert load(folder, max_length=32_768).specification.settings.max_length == 32_768


@pytest.mark.parametrize(
    ("tensors", "problem"),
    [
        ({"projector.0.weight": None}, "(projector.0.weight missing, projector.2.weight [6, 12])"),
        ({"projector.2.weight": None}, "(projector.0.weight [12, 16], projector.2.weight missing)"),
        ({"projector.0.weight": torch.zeros(12, 15)}, "(projector.0.weight [12, 15], projector.2.weight [6, 12])"),
        ({"projector.2.weight": torch.zeros(6, 13)}, "(projector.0.weight [12, 16], projector.2.weight [6, 13])"),
        ({"projector.2.weight": torch.zeros(6)}, "(projector.0.weight [12, 16], projector.2.weight [6])"),
    ],
)
def test_the_projector_must_fit(tmp_path: Path, tensors: dict[str, torch.Tensor | None], problem: str) -> None:
    folder = tiny_listwise.checkpoint(tmp_path / "listwise")
    changed = load_file(folder / "model.safetensors") | tensors
    save_file({key: tensor for key, tensor in changed.items() if tensor is not None}, folder / "model.safetensors")
    with pytest.raises(UserError) as caught:
        load(folder)
    assert str(caught.value) == (
        f"model {folder}: its weights hold no projector for hidden size 16 {problem}; "
        "the checkpoint is incomplete or of another kind"
    )


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"layer_types": ["full_attention", "sliding_attention"]}, "no sliding_window above 0"),
        (
            {"use_sliding_window": True, "sliding_window": 128, "max_window_layers": 1, "layer_types": None},
            r"has layers with sliding_attention, as jina-reranker-v3\.5 has; check --model_like",
        ),
        ({"model_type": "qwen2"}, "model_type 'qwen2'"),
    ],
)
def test_models_of_another_kind_are_refused(tmp_path: Path, fields: dict[str, Any], problem: str) -> None:
    folder = tiny_listwise.checkpoint(tmp_path / "listwise", **fields)
    with pytest.raises(UserError, match=problem):
        load(folder)


@pytest.mark.parametrize("token", ["<|embed_token|>", "<|rerank_token|>"])
def test_the_tokenizer_must_have_the_tokens(tmp_path: Path, token: str) -> None:
    folder = tiny_listwise.checkpoint(tmp_path / "listwise")
    added = read(folder / "tokenizer.json")["added_tokens"]
    change(folder / "tokenizer.json", added_tokens=[entry for entry in added if entry["content"] != token])
    with pytest.raises(UserError, match=f"its tokenizer has no token {token.replace('|', '.')}; use the model's own"):
        load(folder)


# --- Memory

PEAK = """
import resource, sys
from transforms.scoring import Reranker
reranker = Reranker.load(sys.argv[1], device="cpu", dtype="float32", max_doc_length=8000)
reranker.score("warm", ["up"])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
reranker.score("q", ["z" * 7000])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def test_attention_builds_no_square_of_the_length(folder: Path) -> None:
    # One head's products of 8,000 tokens would be 256 MB.
    done = subprocess.run([sys.executable, "-c", PEAK, str(folder)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100e6


# --- The vendor's scores

# How the golden cases call what we call otherwise.
OPTIONS = {
    "max_doc_length": "max_doc_length",
    "max_query_length": "max_query_length",
    "tokenizer_model_max_length": "max_length",
}


def test_scores_are_the_vendors(
    golden: Callable[[str], Path],
    golden_cases: Callable[[str], list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rerankers = loader(golden("jina-reranker-v3"), "jinaai/jina-reranker-v3", monkeypatch)
    wrong: list[str] = []
    compared = 0
    for case in golden_cases("jina-reranker-v3"):
        asked = case["options"]
        reranker = rerankers({"group_size": 125} | {OPTIONS[name]: asked[name] for name in asked if name in OPTIONS})
        got = reranker.score_tasks([RankingTask(case["query"], case["documents"], asked.get("instruction"))])
        # So it is too where the vendor's code fails, on a nested token say.
        assert got.failures == {}
        if case["scores"] is None:
            continue
        assert got.group is not None
        groups = np.bincount(got.group).tolist()
        if groups != case.get("block_sizes", groups):
            wrong.append(f"{case['name']}: groups of {groups}")
        for place, (ours, theirs) in enumerate(zip(got.score, case["scores"], strict=True)):
            compared += theirs is not None
            if theirs is not None and not abs(ours - theirs) <= 2e-5:
                wrong.append(f"{case['name']}[{place}]: {ours}, the vendor's {theirs}")
    assert wrong == []
    assert compared == 1279


def test_embeddings_are_the_vendors(
    golden: Callable[[str], Path], golden_cases: Callable[[str], list[dict[str, Any]]]
) -> None:
    [case] = [case for case in golden_cases("jina-reranker-v3") if "embeddings" in case]
    reranker = load(golden("jina-reranker-v3"))
    # A directory tells what it is, and the settings are the vendor's.
    assert reranker.specification.model.name == "jinaai/jina-reranker-v3"
    assert reranker.specification.settings == Settings(131_072, 2048, 512, 64, None, "vendor")
    task = RankingTask(case["query"], case["documents"])
    prepared = reranker.family.prepare([task], Tokens(reranker.family.tokenizer))
    rows = reranker.family.forward(pack(prepared.sequences, torch.device("cpu")))
    assert rows[:-1].numpy() == pytest.approx(np.array(case["embeddings"]), abs=2e-5)
