"""Whether a passage holds an answer, on cases made by hand in the scripts that make a difference."""

from __future__ import annotations

import gzip
import json
import unicodedata
from pathlib import Path

import pytest

from eval.ranking.answers import holds, normalise, read_answers, spell
from transforms.base.errors import UserError

TOKENS = {
    "words and signs": ("It's 3.5%, don't!", ["it", "'", "s", "3", ".", "5", "%", ",", "don", "'", "t", "!"]),
    "accents are decomposed": ("É Ü", ["e\u0301", "u\u0308"]),
    "marks belong to their letters": ("क्षि कि", ["क्षि", "कि"]),
    "unspaced Thai is one word": ("กรุงเทพมหานคร", ["กรุงเทพมหานคร"]),
    "unspaced Chinese is one word up to a sign": ("北京,中国。", ["北京", ",", "中国", "。"]),
    "the spaces of Khmer have no width": ("ភ្នំពេញ\u200bជា\u200bរាជធានី", ["ភ្នំពេញ", "ជា", "រាជធានី"]),
    "no-break and ideographic spaces": ("a\u00a0b\u3000c\td\ne", ["a", "b", "c", "d", "e"]),
    "symbols one by one": ("$5 €7 😀😀", ["$", "5", "€", "7", "😀", "😀"]),
    "controls and spaces alone": (" \t\n\u200b\u00ad\ufeff", []),
}


@pytest.mark.parametrize(("text", "tokens"), TOKENS.values(), ids=TOKENS.keys())
def test_tokens(text: str, tokens: list[str]) -> None:
    spelled = spell(normalise(text))
    assert spelled.split("\n")[1:-1] == tokens
    assert bool(spelled) == bool(tokens)


# passage, answer, whether the passage holds it
CASES = {
    "a word": ("The capital is Paris.", "paris", True),
    "part of a word": ("The capital is Paris.", "par", False),
    "a word of which the passage has a part": ("The capital is Par.", "Paris", False),
    "several words": ("It was New   York\nCity in 1898.", "new york city", True),
    "words apart": ("New in York", "New York", False),
    "words in another order": ("York, New", "New York", False),
    "words with a sign between": ("New-York", "New York", False),
    "the same sign between": ("on 18/05/2017 it", "18/05/2017", True),
    "a sign at its end": ("the U.S. Army", "U.S.", True),
    "the beginning of a longer number": ("in 20171 units", "2017", False),
    "a number within letters": ("the year2017 model", "2017", False),
    "a run that begins anew": ("a a b", "a b", True),
    "Latin, composed against decomposed": ("Z\u00fcrich liegt dort", "Zu\u0308rich", True),
    "Latin, decomposed against composed": ("Zu\u0308rich liegt dort", "Z\u00dcRICH", True),
    "Latin without its diacritic": ("Z\u00fcrich liegt dort", "Zurich", False),
    "Turkish, a dotted capital": ("\u0130stanbul b\u00fcy\u00fck", "i\u0307stanbul", True),
    "Vietnamese with two diacritics": ("Th\u00e0nh ph\u1ed1 H\u1ed3 Ch\u00ed Minh", "h\u1ed3 ch\u00ed minh", True),
    "Russian": ("Столица — Москва.", "москва", True),
    "Russian, inflected": ("в Москве", "Москва", False),
    "Hebrew": ("ירושלים היא הבירה", "ירושלים", True),
    "Hebrew with a prefix": ("בירושלים", "ירושלים", False),
    "Arabic": ("عاصمة مصر هي القاهرة.", "القاهرة", True),
    "Arabic with the article against without": ("عاصمة مصر هي القاهرة.", "قاهرة", False),
    "Arabic, vowels against none": ("كِتَاب", "كتاب", False),
    "Arabic, composed hamza against decomposed": (
        "\u0623\u062d\u0645\u062f هنا",
        "\u0627\u0654\u062d\u0645\u062f",
        True,
    ),
    "Arabic digits are not European ones": ("عام \u0662\u0660\u0661\u0667", "2017", False),
    "Thai between spaces": ("เมืองหลวง คือ กรุงเทพ ครับ", "กรุงเทพ", True),
    "Thai within unspaced text": ("เมืองหลวงคือกรุงเทพครับ", "กรุงเทพ", False),
    "Japanese between signs": ("首都「東京」です", "東京", True),
    "Japanese within unspaced text": ("首都は東京です", "東京", False),
    "Japanese, voiced kana composed against decomposed": ("\u30ac \u30b9", "\u30ab\u3099", True),
    "Japanese, voiced kana against unvoiced": ("\u30ac", "\u30ab", False),
    "half-width kana are others": ("\uff76", "\u30ab", False),
    "Chinese between signs": ("中国的首都是:北京。", "北京", True),
    "Chinese within unspaced text": ("北京是中国的首都", "北京", False),
    "Chinese, traditional against simplified": ("臺灣", "台湾", False),
    "Khmer between spaces without width": ("រាជធានី\u200bគឺ\u200bភ្នំពេញ", "ភ្នំពេញ", True),
    "Khmer within unspaced text": ("រាជធានីគឺភ្នំពេញ", "ភ្នំពេញ", False),
    "Khmer, an answer spaced without width": ("the រាជ ធានី", "រាជ\u200bធានី", True),
    "Hangul, syllables against jamo": ("수도는 서울 이다", unicodedata.normalize("NFD", "서울"), True),
    "Hangul, jamo against syllables": (unicodedata.normalize("NFD", "수도는 서울 이다"), "서울", True),
    "Hangul with a particle": ("서울은 수도", "서울", False),
    "Hangul, a syllable with a final consonant": ("각", "가", False),
    "an empty passage": ("", "a", False),
    "a passage of spaces": (" \u200b", "a", False),
}


@pytest.mark.parametrize(("passage", "answer", "expected"), CASES.values(), ids=CASES.keys())
def test_a_passage_holds_an_answer_as_a_run_of_whole_tokens(passage: str, answer: str, expected: bool) -> None:
    assert holds(passage, [spell(normalise(answer))]) is expected


def test_one_answer_of_several_is_enough() -> None:
    answers = [spell(normalise(answer)) for answer in ("London", "Paris")]
    assert holds("Paris it is", answers)
    assert not holds("Rome it is", answers)
    assert not holds("Rome it is", [])


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_answers_are_read_as_tokens_each_once(tmp_path: Path, compress: type[bytes]) -> None:
    records = [
        {"query_id": "q 1", "answers": ["New York", "NEW  YORK", "", " \u200b", "nyc"], "lang": "en"},
        {"query_id": 7, "answers": ["서울"]},
        {"query_id": "none", "answers": []},
    ]
    path = tmp_path / "answers"
    path.write_bytes(compress("\n".join(map(json.dumps, records)).encode()))
    assert read_answers(str(path)) == {
        "q 1": ("\nnew\nyork\n", "\nnyc\n"),
        "7": ("\n\u1109\u1165\u110b\u116e\u11af\n",),
        "none": (),
    }


MALFORMED = {
    "no JSON": ("q\tanswer\n", "line 1: not JSON in UTF-8; give a file of lines"),
    "nested beyond reading": ("[" * 100_000, "line 1: not JSON in UTF-8; give a file of lines"),
    "Latin-1": (b'{"query_id": "q", "answers": ["caf\xe9"]}\n', "line 1: not JSON in UTF-8"),
    "a list": ('["q", "a"]\n', 'line 1: expected {"query_id": "...", "answers": ["...", ...]}; fix the line'),
    "no answers": ('{"query_id": "q"}\n', "line 1: expected"),
    "one answer without a list": ('{"query_id": "q", "answers": "a"}\n', "line 1: expected"),
    "an id that is none": ('{"query_id": null, "answers": []}\n', "line 1: expected"),
    "MKQA's own form of an answer": (
        '{"query_id": "q", "answers": [{"text": "a"}]}\n',
        "line 1: an answer of query 'q' is not a string; fix the line",
    ),
    "a query twice": (
        '{"query_id": "1", "answers": []}\n\n{"query_id": 1, "answers": ["a"]}\n',
        "line 3: query '1' has been there before; keep one line for it",
    ),
    "nothing": ("\n", "no answers in it; give a file of lines"),
}


@pytest.mark.parametrize(("content", "message"), MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_answers_are_one_line_that_says_where(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as error:
        read_answers(str(path))
    assert str(error.value).startswith(f"{path}: {message}")
    assert "\n" not in str(error.value)
