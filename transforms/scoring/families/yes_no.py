"""Language models whose next token says whether a document is relevant: Qwen3-Reranker (yes or no), mxbai-rerank-v2
(1 or 0), zerank (Yes), ctxl-rerank-v2 (the first token of the vocabulary).

The score is how much likelier the one answer is than the other as the prompt's next token: the difference of two
logits, or a sigmoid of it (a softmax over two logits is the sigmoid of their difference). A model that is read at one
token alone is scored by that token's logit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from transforms.base.errors import UserError
from transforms.scoring.families import sentence_transformers_config
from transforms.scoring.families.causal import EDGES, CausalReranker, Readings, check_bare, check_seam, encode
from transforms.scoring.families.pairs import documents_of, read_pairs
from transforms.scoring.families.tokenise import Form, Tokens
from transforms.scoring.packed.execution import Placement
from transforms.scoring.packed.ragged import Counts, ragged
from transforms.scoring.results import RankingTask
from transforms.scoring.settings import YesNoSettings
from transforms.scoring.weights import backbones, checkpoints, requirements
from transforms.scoring.weights.checkpoints import Checkpoint, Tensors

KINDS = ("qwen2", "qwen3")
HEAD = "score.weight"  # of a sequence classifier: its one row takes the place of the answers'
WORDS = 128  # more tokens than any prompt has beside query and document


@dataclass(frozen=True)
class Prompt:
    """The words around a query and a document, and how the model's answer is read.

    The parts are tokenised apart, and each query and document once, however many prompts it stands in.

    Attributes:
        opening: before the query, or before the document where that comes first.
        query: with `{query}` and `{instruction}`, or without the latter where the model takes none.
        document: with `{document}`.
        suffix: at the end, never cut.
        answers: the answer for an irrelevant document, None where its logit is not read, and that for a relevant one;
            one token each.
        scale: what the difference of the logits is divided by before the sigmoid.
        between: after the query, never cut.
        closing: after the document; cut like it.
        document_end: how `document` ends; a document that is cut keeps it.
        document_first: whether the document stands before the query.
        stripped: whether white space at the ends of queries and documents is left out.
        bare_query: in place of `query` where there is no instruction or an empty one.
        instruction: where none is given.
        query_share: how much of max_length a query may take.
        counted: which of the parts that are never cut max_length counts too.
        seams: neighbouring words, `{}` for a user's text, that the vendor tokenises together and this module apart, or
            the other way round; it must make no difference.
    """

    opening: str
    query: str
    document: str
    suffix: str
    answers: tuple[str | None, str]
    scale: float = 1.0
    between: str = ""
    closing: str = ""
    document_end: str = ""
    document_first: bool = False
    stripped: bool = False
    bare_query: str | None = None
    instruction: str | None = None
    query_share: float = 1.0
    counted: tuple[Literal["opening", "suffix"], ...] = ("opening", "suffix")
    seams: tuple[tuple[str, str], ...] = (("<Query>: {}\n<Document>:", " {}"),)

    def ask(self, query: str, instruction: str | None) -> str:
        """The query's part of the prompt."""
        query = self.text(query)
        instruction = self.instruction if instruction is None else instruction
        if self.bare_query is not None and not instruction:
            return self.bare_query.format(query=query)
        return self.query.format(query=query, instruction=instruction)

    def text(self, text: str) -> str:
        """A user's text as it stands in the prompt."""
        return text.strip() if self.stripped else text


_JUDGE = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
_ANSWER = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"

PROMPTS: Mapping[str, Prompt] = {
    # Qwen3-Reranker's model card.
    "qwen3": Prompt(
        opening=_JUDGE,
        query="<Instruct>: {instruction}\n<Query>: {query}\n<Document>:",
        document=" {document}",
        suffix=_ANSWER,
        answers=("no", "yes"),
        instruction="Given a web search query, retrieve relevant passages that answer the query",
    ),
    # Qwen3-Embedding's evaluation/qwen3_reranker_model.py: its chat template ends the user's turn, then so does the
    # suffix.
    "qwen3-evaluation": Prompt(
        opening=_JUDGE,
        query="<Instruct>: {instruction}\n\n<Query>: {query}\n\n<Document>:",
        document=" {document}",
        closing="<|im_end|>\n",
        suffix=_ANSWER,
        answers=("no", "yes"),
        instruction="Given the user query, retrieval the relevant passages",
        counted=("opening",),
    ),
    # The package mxbai-rerank, mxbai_rerank_v2.py.
    "mxbai": Prompt(
        opening="<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n",
        query="instruction: {instruction}\nquery: {query}",
        bare_query="query: {query}",
        document="\ndocument: {document}",
        suffix="\nYou are a search relevance expert who evaluates how well documents match search queries. For each "
        "query-document pair, carefully analyze the semantic relationship between them, then provide your binary "
        "relevance judgment (0 for not relevant, 1 for relevant).\nRelevance:<|im_end|>\n<|im_start|>assistant\n",
        answers=("0", "1"),
        query_share=0.75,
        counted=(),
        seams=(("\n", "document: {}"),),
    ),
    # zerank-1's and -2's model cards: the chat template with the query as system and the document as user.
    "zerank": Prompt(
        opening="<|im_start|>system\n",
        query="{query}",
        between="<|im_end|>\n<|im_start|>user\n",
        document="{document}",
        suffix="<|im_end|>\n<|im_start|>assistant\n",
        answers=(None, "Yes"),
        scale=5.0,
        stripped=True,
        seams=(("\n", "{}"),),
    ),
    # ctxl-rerank-v2's model card; "!" is the first token of Qwen's vocabulary, whose logit the vendor reads.
    "ctxl": Prompt(
        opening="Check whether a given document contains information helpful to answer the query.\n<Document>",
        document=" {document}\n",
        document_end="\n",
        document_first=True,
        query="<Query> {query} {instruction}",
        bare_query="<Query> {query}",
        suffix=" ??",
        answers=(None, "!"),
        seams=(("<Document>", " {}\n"), ("{}\n", "<Query> {}"), ("<Query> {}", " ??")),
    ),
}


class PromptCuts(NamedTuple):
    """How many tokens of each part are read, each shape [N]."""

    query: Counts
    document: Counts
    closing: Counts


def cut(query: Counts, document: Counts, closing: int, room: int, longest_query: int) -> PromptCuts:
    """What is read of parts of so many tokens, N of each: the query's limit first, then the room, from the right."""
    query = np.minimum(query, min(longest_query, room))
    document = np.minimum(document, room - query)
    return PromptCuts(query, document, np.minimum(closing, room - query - document))


class Reader:
    """Tasks to prompts."""

    def __init__(self, settings: YesNoSettings, tokenizer: PreTrainedTokenizerBase) -> None:
        self._prompt = PROMPTS[settings.prompt]
        self._instruction = settings.instruction
        self._opening = ragged([encode(tokenizer, self._prompt.opening)])
        self._between = ragged([encode(tokenizer, self._prompt.between)])
        self._document_end = ragged([encode(tokenizer, self._prompt.document_end)])
        self._closing = ragged([encode(tokenizer, self._prompt.closing)])
        self._suffix = ragged([encode(tokenizer, self._prompt.suffix)])
        self._form = Form(*self._prompt.document.split("{document}"))
        words = {"opening": self._opening, "suffix": self._suffix}
        uncut = [self._between, *(words[part] for part in self._prompt.counted)]
        self._room = settings.max_length - sum(len(part.data) for part in uncut)
        self._longest_query = int(settings.max_length * self._prompt.query_share)

    def __call__(self, tasks: Sequence[RankingTask], tokens: Tokens) -> Readings:
        """See `causal.Read`."""
        documents = documents_of(tasks)
        if self._prompt.stripped:
            documents = list(map(self._prompt.text, documents))
        pairs = read_pairs(tasks, list(map(self._ask, tasks)), documents, tokens, self._form)
        query, document = pairs.query.sizes, pairs.document.sizes
        cuts = cut(query, document, len(self._closing.data), self._room, self._longest_query)
        # A document that is cut keeps its end.
        whole = cuts.document == document
        shown = np.where(whole, document, np.maximum(cuts.document - len(self._document_end.data), 0))
        query_part = (pairs.query.cut(0, cuts.query), self._between)
        before = (self._opening, *(() if self._prompt.document_first else query_part))
        after = (*(query_part if self._prompt.document_first else ()), self._suffix)
        ids = tokens.join(
            *before,
            pairs.document.cut(0, shown),
            self._document_end.cut(0, cuts.document - shown),
            self._closing.cut(0, cuts.closing),
            *after,
        )
        prefixes = np.zeros(len(ids), dtype=np.int64) + sum(part.sizes for part in before)
        return Readings(ids, pairs, document - cuts.document, query - cuts.query, prefixes)

    def _ask(self, task: RankingTask) -> str:
        return self._prompt.ask(task.query, self._instruction if task.instruction is None else task.instruction)


def resolve(checkpoint: Checkpoint, settings: YesNoSettings) -> YesNoSettings:
    """Check the settings and that the files fit together.

    Raises:
        UserError: they do not, or the checkpoint is none of a Qwen2 or Qwen3 language model.
    """
    outline = checkpoints.outline(checkpoint)
    config = backbones.check(checkpoint, KINDS, outline)
    _scoring_matrix(checkpoint, outline, config.hidden_size)
    requirements.check(checkpoint, "prompt")
    if settings.prompt not in PROMPTS:
        raise UserError(f"--prompt {settings.prompt}: the prompts of this family are {', '.join(PROMPTS)}")
    prompt = PROMPTS[settings.prompt]
    if settings.instruction and "{instruction}" not in prompt.query:
        raise UserError(f"--instruction: the prompt {settings.prompt} has no place for one; leave it out")
    longest = backbones.positions(config) - (0 if {"opening", "suffix"} <= {*prompt.counted} else WORDS)
    if not WORDS <= settings.max_length <= longest:
        raise UserError(f"--max_length {settings.max_length}: {checkpoint.name} takes {WORDS} to {longest} tokens")
    return settings


def load(checkpoint: Checkpoint, settings: YesNoSettings, placement: Placement) -> CausalReranker:
    """Load a Qwen2 or Qwen3 language model; see `checkpoints.build` for the errors.

    Of the output matrix only the rows of the answers are kept, of two their difference, in float32.
    """
    tensors = checkpoints.read_tensors(checkpoint)
    tokenizer = checkpoints.load_tokenizer(checkpoint)
    check_bare(tokenizer, checkpoint.name)
    prompt = PROMPTS[settings.prompt]
    for seam in prompt.seams:
        check_seam(tokenizer, *seam, name=checkpoint.name, texts={prompt.text(text) for text in EDGES})
    backbone = backbones.load(checkpoint, KINDS, tensors, placement)
    matrix = _scoring_matrix(checkpoint, tensors, backbone.size)
    if len(matrix) == 1:
        direction = matrix[0].float()
    else:
        irrelevant, relevant = _answers(tokenizer, settings.prompt, checkpoint)
        direction = matrix[relevant].float()
        if irrelevant is not None:
            direction = direction - matrix[irrelevant].float()
    direction = direction.to(placement.device)[:, None]

    def score(hidden: torch.Tensor) -> torch.Tensor:
        logit = hidden @ direction
        return ((logit - settings.centre) / prompt.scale).sigmoid() if settings.activation == "sigmoid" else logit

    takes_instruction = "{instruction}" in prompt.query
    return CausalReranker(tokenizer, Reader(settings, tokenizer), backbone, score, takes_instruction=takes_instruction)


def _scoring_matrix(checkpoint: Checkpoint, tensors: Tensors, size: int) -> torch.Tensor:
    """The matrix that gives the logits of hidden states of this size.

    Of a language model one row a token: its own, or that of the embeddings. Of a sequence classifier, as config.json's
    `architectures` calls it, one row alone, which gives the score itself.
    """
    architectures = checkpoints.value(checkpoint, "config.json", "architectures", list) or []
    classifies = any(str(name).endswith("ForSequenceClassification") for name in architectures)
    if classifies != (HEAD in tensors):
        raise UserError(
            f"model {checkpoint.name}: config.json says architectures {architectures}, but the weights "
            f"{'lack' if classifies else 'have'} {HEAD}; the files do not belong together"
        )
    if classifies:
        if tensors[HEAD].shape != (1, size):
            raise UserError(
                f"model {checkpoint.name}: {HEAD} has shape {list(tensors[HEAD].shape)}; a reranker has one label, so "
                f"{[1, size]}"
            )
        return tensors[HEAD]
    key = "model.embed_tokens.weight" if checkpoint.config.get("tie_word_embeddings") else "lm_head.weight"
    if key not in tensors:
        raise UserError(f"model {checkpoint.name}: the weights lack {key}; give a causal language model, whole")
    return tensors[key]


def _answers(tokenizer: PreTrainedTokenizerBase, prompt: str, checkpoint: Checkpoint) -> tuple[int | None, int]:
    """The tokens of a prompt's answers, which are those that the checkpoint's own files name, if they name some."""
    irrelevant, relevant = PROMPTS[prompt].answers
    against = None if irrelevant is None else _answer(tokenizer, irrelevant, checkpoint.name)
    tokens = against, _answer(tokenizer, relevant, checkpoint.name)
    said = sentence_transformers_config.answers(checkpoint)
    if said not in (None, tokens):
        raise UserError(
            f"model {checkpoint.name}: its LogitScore module reads the tokens {said}, the prompt {prompt} {tokens}; "
            "give --model_like or --prompt of a model that is read as this one is"
        )
    return tokens


def _answer(tokenizer: PreTrainedTokenizerBase, answer: str, name: str) -> int:
    """The one token of an answer."""
    ids = encode(tokenizer, answer)
    if ids.tolist() != [tokenizer.convert_tokens_to_ids(answer)]:
        raise UserError(f"model {name}: its tokenizer has no single token for {answer!r}; give a checkpoint of Qwen's")
    return int(ids[0])
