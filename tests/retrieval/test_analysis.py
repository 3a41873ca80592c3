from __future__ import annotations

import pytest

from transforms.retrieval.analysis import STOP_WORDS, analyser, describe


@pytest.mark.parametrize(
    ("language", "text", "terms"),
    [
        # Lucene's English analysis: words as by Unicode, possessive, lower case, stop words, Porter's stemmer.
        (
            "en",
            "The U.S.A's dogs aren't running; 3.14, state-of-the-art Foo_Bar!",
            ["u.s.a", "dog", "aren't", "run", "3.14", "state", "art", "foo_bar"],
        ),
        ("en", "generously universities", ["gener", "univers"]),
        ("en", "It IS the dog\u2019s", ["dog"]),
        ("de", "Die Häuser bauen", ["die", "haus", "bau"]),
        ("ru", "книги читают", ["книг", "чита"]),
        ("hi", "हिन्दी", ["हिन्द"]),  # vowel signs are part of a word
        ("yo", "Odun wo ni wọn", ["odun", "wo", "ni", "wọn"]),
        ("ja", "東京タワーは333mです", ["東京", "京タ", "タワ", "ワー", "ーは", "333m", "です"]),
        ("zh", "北京 is 大", ["北京", "is", "大"]),
        ("ko", "한국어 문장", ["한국", "국어", "문장"]),
        ("th", "ภาษาไทย ok", ["ภา", "าษ", "ษา", "าไ", "ไท", "ทย", "ok"]),
        ("en", " ... ", []),
    ],
)
def test_terms(language: str, text: str, terms: list[str]) -> None:
    assert analyser(language)(text) == terms


def test_described() -> None:
    assert len(STOP_WORDS) == 33
    assert describe("en") == "en: porter stemmer, 33 stop words"
    assert describe("yo") == "yo: no stemmer"
