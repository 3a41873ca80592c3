"""Byte pairs as Qwen has them, by tiktoken: the ids of the tokenizers library at several times its speed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from itertools import chain, pairwise
from typing import Any
from unicodedata import is_normalized

import numpy as np

from transforms.base.versions import version
from transforms.scoring.packed.ragged import Ids
from transforms.scoring.packed.threads import tokenising_threads
from transforms.scoring.tokenising.added import alternatives
from transforms.scoring.tokenising.long_texts import BEFORE_BLANKS_AND_STOPS, LONGEST
from transforms.scoring.weights.checkpoints import is_tokenizers

_TIKTOKEN: Any = import_module("tiktoken") if find_spec("tiktoken") else None  # it saves time and nothing else

_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"  # then blanks
)
# tiktoken's engine for look-ahead is a fourth slower, so its pattern has none. What the look-ahead is for is done
# before: of several blanks, the last goes with what follows. At a text's end and beside newlines, the two cut alike.
_PATTERN, _WITHOUT_LOOK_AHEAD = _WORDS + r"\s+(?!\S)|\s+", _WORDS + r"\s+"
_BLANK = "\t\v\f \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"  # Unicode's White_Space, without \r and \n
_BEFORE_LAST_BLANK = re.compile(f"(?<=[{_BLANK}])(?=[{_BLANK}][^{_BLANK}\r\n])")
_NORMALIZER = {"type": "NFC"}
_SPLIT = {"type": "Split", "pattern": {"Regex": _PATTERN}, "behavior": "Isolated", "invert": False}
_BYTES = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
# Of what Python does not print: what is common in texts, and has long been assigned.
_COMMON = re.compile("[\t\n\r\xa0\xad\u2000-\u200f\u2028-\u202f\u2060\u3000\ufeff]")
_SHARE = 64  # texts that are worth a thread's while


class BytePairs:
    """Token ids by tiktoken, in as many threads as the tokenizers library would take.

    Attributes:
        name: of what makes the ids, with its version.
        cuts: see `tokeniser.Engine`: a word of Qwen's ends with its letters, or is a digit.
    """

    cuts = BEFORE_BLANKS_AND_STOPS

    def __init__(
        self, backend: Any, ranks: dict[bytes, int], added: dict[str, int], has_added: re.Pattern[str]
    ) -> None:
        self.name = f"tiktoken {version('tiktoken')}"
        self._normalizer = backend.normalizer
        self._added = frozenset(added)
        self._has_added = has_added
        self._core = _TIKTOKEN.Encoding(
            "", pat_str=_WITHOUT_LOOK_AHEAD, mergeable_ranks=ranks, special_tokens=added
        )._core_bpe

    def encode(self, texts: Sequence[str]) -> list[Ids | None]:
        """One entry for each text, None where it is for the library."""
        number = min(tokenising_threads(), len(texts) // _SHARE)
        if number < 2:
            return [self._encode(text) for text in texts]
        bounds = np.linspace(0, len(texts), 4 * number + 1).astype(int).tolist()
        with ThreadPoolExecutor(number) as pool:
            return list(chain.from_iterable(pool.map(self.encode_here, (texts[a:b] for a, b in pairwise(bounds)))))

    def encode_here(self, texts: Sequence[str]) -> list[Ids | None]:
        """`encode` in this thread alone."""
        return [self._encode(text) for text in texts]

    def _encode(self, text: str) -> Ids | None:
        if len(text) > LONGEST:  # a word or blanks that hardly end
            return None
        # Printable: no blank but the space, nothing unassigned, of which two libraries may think differently.
        printable = text.isprintable()
        if not (printable or text.isascii() or _COMMON.sub("", text).isprintable()):
            return None
        try:
            if not is_normalized("NFC", text):
                normal = self._normalizer.normalize_str(text)
                if self._has_added.search(text) or self._has_added.search(normal):
                    return None  # the library looks for added tokens first, and normalises what is between them
                text = normal
            parts = [text] if printable and "  " not in text else _BEFORE_LAST_BLANK.split(text)
            has_added = self._has_added.search(text)
            if len(parts) == 1:
                ids = self._core.encode(text, self._added) if has_added else self._core.encode_ordinary(text)
            elif has_added:
                return None  # before an added token all blanks stand together, as at an end
            else:
                ids = list(chain.from_iterable(map(self._core.encode_ordinary, parts)))
        except BaseException as error:
            if not is_tokenizers(error):
                raise
            return None
        return np.array(ids, dtype=np.int32)


def byte_pairs(description: Mapping[str, Any], backend: Any) -> BytePairs | None:
    """The engine for a tokenizer of exactly Qwen's kind; None for any other.

    tiktoken merges two neighbours wherever the two together are a token, the library only where its list of merges has
    the pair. That is the same if the merges stand in the order of the tokens' ids, and the library makes every token
    whole again out of its own bytes: then no other pair of the same bytes ever stands side by side.

    Args:
        description: of the tokenizer, as its tokenizer.json has it.
        backend: the tokenizer itself.
    """
    model, has_added = dict(description["model"]), alternatives(description["added_tokens"])
    added = {token["content"]: token["id"] for token in description["added_tokens"]}
    vocabulary, merges = model.pop("vocab", None), model.pop("merges", None)
    steps = (description["pre_tokenizer"] or {}).get("pretokenizers", ())
    as_known = (
        _TIKTOKEN is not None
        and {key for key, value in model.items() if value} == {"type"}  # no dropout, no prefix, nothing else unusual
        and model["type"] == "BPE"
        and description["normalizer"] == _NORMALIZER
        and len(steps) == 2
        and steps[0] == _SPLIT
        and {key: value for key, value in steps[1].items() if key != "trim_offsets"} == _BYTES
        and not any(longer.startswith(shorter) for shorter, longer in pairwise(sorted(added)))
        and not any(map(BytePairs.cuts.search, added))
    )
    if not as_known or has_added is None:
        return None
    letters = _bytes_of_letters()
    if not all(map(letters.keys().__ge__, map(set, vocabulary))):
        return None
    merged = [vocabulary["".join(pair)] for pair in merges]
    complete = len(merged) + 256 == len(vocabulary) and letters.keys() <= vocabulary.keys()
    ascending = all(a < b for a, b in pairwise(merged))
    tokenize = backend.model.tokenize
    if not (complete and ascending and all(len(tokenize(token)) == 1 for token in vocabulary)):
        return None
    ranks = {bytes(map(letters.__getitem__, token)): number for token, number in vocabulary.items()}
    return BytePairs(backend, ranks, added, has_added)


def _bytes_of_letters() -> dict[str, int]:
    """The letter that stands for each byte in a vocabulary of byte pairs, as GPT-2 began it (`bytes_to_unicode`)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in set(shown)]
    return {chr(byte): byte for byte in shown} | {chr(256 + place): byte for place, byte in enumerate(others)}
