"""Texts to terms for BM25, much as Lucene's analysers do it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache, partial
from itertools import pairwise

import regex
import Stemmer

# Words by the rules of Unicode's annex 29 that matter here: an apostrophe or full stop between letters and a separator
# between digits do not end a word.
_WORD = regex.compile(
    r"[\p{L}\p{M}\p{N}_]+"
    r"(?:(?:(?<=[\p{L}\p{M}])['\u2019.:\u00b7](?=\p{L})|(?<=\p{N})['\u2019.,;](?=\p{N}))[\p{L}\p{M}\p{N}_]+)*"
)
# Lucene's EnglishPossessiveFilter: apostrophe, right single quotation mark, fullwidth apostrophe.
_POSSESSIVE = regex.compile(r"['\u2019\uff07]s$", regex.IGNORECASE)
# Lucene's EnglishAnalyzer.ENGLISH_STOP_WORDS_SET.
_STOP = (
    "a an and are as at be but by for if in into is it no not of on or such that the their then there these they this "
    "to was will with"
)
STOP_WORDS = frozenset(_STOP.split())
# Lucene analyses English with Porter's first stemmer, not with his second, which is Snowball's "english".
_STEMMERS = {
    "en": "porter",
    **{"ar": "arabic", "de": "german", "es": "spanish", "fi": "finnish", "fr": "french", "hi": "hindi"},
    **{"id": "indonesian", "ru": "russian"},
}
# Written without blanks between words: pairs of neighbouring characters stand for words, as in Lucene's CJKAnalyzer.
_UNSPACED = regex.compile(
    r"(?:[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\u30fc]|[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]\p{M}*)+"
)
_CHARACTER = regex.compile(r"\P{M}\p{M}*")

Analyse = Callable[[str], list[str]]


def analyser(language: str) -> Analyse:
    """How texts of a language become terms.

    English: words, possessive 's removed, lower case, Lucene's 33 stop words removed, Porter's stemmer. Arabic,
    Finnish, French, German, Hindi, Indonesian, Russian, Spanish: words, lower case, Snowball's stemmer. All others:
    words in lower case, and pairs of neighbouring characters in scripts that set no blanks between words.
    """
    return partial(_analyse, language=language)


def describe(language: str) -> str:
    """The same in a word, for a job's record."""
    stemmer = f"{_STEMMERS[language]} stemmer" if language in _STEMMERS else "no stemmer"
    return f"{language}: {stemmer}{', 33 stop words' if language == 'en' else ''}"


def _analyse(text: str, language: str) -> list[str]:
    return [term for word in _WORD.findall(text) for term in _terms(word, language)]


@lru_cache(1 << 18)
def _terms(word: str, language: str) -> tuple[str, ...]:
    lower = (_POSSESSIVE.sub("", word) if language == "en" else word).lower()
    if language == "en" and lower in STOP_WORDS:
        return ()
    return tuple(_pairs(lower)) if _UNSPACED.search(lower) else (_stem(language)(lower),)


def _pairs(word: str) -> list[str]:
    """Neighbouring characters of the unspaced runs of a word, two at a time, and what stands between the runs."""
    terms: list[str] = []
    end = 0
    for run in _UNSPACED.finditer(word):
        terms += [word[end : run.start()]] if run.start() > end else []
        characters = _CHARACTER.findall(run[0])
        terms += [a + b for a, b in pairwise(characters)] or characters
        end = run.end()
    return terms + ([word[end:]] if end < len(word) else [])


@cache
def _stem(language: str) -> Callable[[str], str]:
    if language not in _STEMMERS:
        return str
    stem: Callable[[str], str] = Stemmer.Stemmer(_STEMMERS[language]).stemWord
    return stem
