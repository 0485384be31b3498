"""Signals against values computed by hand and by plain loops over Python's own strings."""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.quality.signals import SIGNALS, signals
from pipelines.text.stopwords import ENGLISH, STOP_WORDS, UNSPACED_LANGUAGES
from pipelines.text.words import ALPHA, NON_SYMBOL, TERMINAL_MARKS, num_sentences, word_kind, words

FEW_WORDS = st.lists(st.sampled_from(["a", "bb", "ccc", "d", "\u4e2d", ".", "e\n", "\n\n", "-x"]), max_size=60).map(
    " ".join
)
PROSE = (
    "The river rises in the northern hills and flows through three counties before it meets the sea. Most of "
    "its valley is farmland that has been worked since the early middle ages. Two of the older mills have kept "
    "their wheels. One of them still grinds flour to order, and visitors can walk up to the weir in summer. "
    "A railway followed the lower course until 1964. Its bed is a footpath now."
)


def one(text: str, language: str = "en", edited: str | None = None) -> dict[str, Any]:
    return dict(signals([text], [language], None if edited is None else [edited]).to_pylist()[0])


def test_words_by_hand() -> None:
    row = one("The cat, 42 # of\u2026 and!")  # The cat , 42 # of ... and !
    assert row["num_words"] == 5
    assert row["mean_word_length"] == pytest.approx((3 + 3 + 2 + 2 + 3) / 5)
    assert row["hash_ratio"] == pytest.approx(1 / 9)
    assert row["ellipsis_ratio"] == pytest.approx(1 / 9)
    assert row["alpha_words"] == pytest.approx(4 / 9)
    assert row["stop_words_english"] == 2  # of, and; "The" has a capital


def test_stop_words_count_once_and_by_language() -> None:
    assert one("de la de la perro", "es")["stop_words_own"] == 2
    assert one("of the of the", "es")["stop_words_own"] == 0
    assert one("anything at all", "xx")["stop_words_own"] == -1
    assert one("\u6211\u7684\u662f\u5728", "zh")["stop_words_own"] == 3


def test_lines_by_hand() -> None:
    row = one("- one\n\u2022 two\nthree...\nfour\u2026 \nfive")
    assert row["bullet_lines"] == pytest.approx(2 / 5)
    assert row["ellipsis_lines"] == pytest.approx(2 / 5)
    text = "abc\n\nabc\n\nxy\nabc"
    row = one(text)
    assert row["dup_paragraphs"] == pytest.approx(1 / 3)  # "abc", "abc", "xy\nabc"
    assert row["dup_paragraph_chars"] == pytest.approx(3 / len(text))
    assert row["dup_lines"] == pytest.approx(2 / 4)
    assert row["dup_line_chars"] == pytest.approx(6 / len(text))


def test_ngrams_by_hand() -> None:
    text = "a b a b c"
    row = one(text)
    assert row["top_2gram"] == pytest.approx(2 * 3 / 9)  # "a b" twice
    assert row["top_3gram"] == pytest.approx(5 / 9)  # once counts too
    assert row["dup_5gram"] == 0
    text = "a b c d e a b c d e f"
    assert one(text)["dup_5gram"] == pytest.approx(5 / len(text))
    assert one(text)["dup_6gram"] == 0


def test_edited_by_hand() -> None:
    row = one("not looked at {", edited="A first line that is rather long. Yes.\nshort one\nshort one")
    assert row["edited_num_sentences"] == 4
    assert row["edited_line_punctuation"] == pytest.approx(1 / 3)
    assert row["edited_short_lines"] == pytest.approx(2 / 3)
    assert row["edited_dup_chars"] == pytest.approx(9 / (38 + 18))
    assert row["edited_list_ratio"] == pytest.approx(2 / 14)
    assert row["edited_num_words"] == 14
    assert not row["edited_curly_bracket"]
    assert one("x", edited="a { b")["edited_curly_bracket"]
    assert one("x", edited="Lorem IPSUM dolor")["edited_lorem_ipsum"]


def slow_top(found: list[str], n: int) -> int:
    counted = Counter(tuple(found[i : i + n]) for i in range(len(found) - n + 1))
    if not counted:
        return 0
    best = max(counted.values())
    gram = next(gram for gram in counted if counted[gram] == best)
    return len(" ".join(gram)) * best


def slow_repeated(found: list[str], n: int) -> int:
    seen, chars, place = set(), 0, 0
    while place < len(found) - n + 1:
        gram = tuple(found[place : place + n])
        if gram in seen:
            chars += sum(map(len, gram))
            place += n
        else:
            seen.add(gram)
            place += 1
    return chars


def repeats(elements: list[str]) -> tuple[int, int]:
    """(elements that equal an earlier one, their characters)."""
    again = [element for place, element in enumerate(elements) if element in elements[:place]]
    return len(again), sum(map(len, again))


def share(elements: list[str], fits: Callable[[str], bool]) -> float:
    return sum(map(fits, elements)) / len(elements) if elements else 0.0


def plain(text: str, language: str = "en") -> dict[str, Any]:
    """Every signal of a text that no edit changes, by the words of the rules."""
    found, chars = words(text), max(1, len(text))
    kinds = [word_kind(word) for word in found]
    sounded = [word for word, kind in zip(found, kinds, strict=True) if kind & NON_SYMBOL]
    paragraphs, lines, rows = re.split("\n{2,}", text.strip()), re.split("\n+", text), text.splitlines()
    stripped = [line.strip() for line in text.splitlines() if line.strip()]
    own = STOP_WORDS.get(language)
    return {
        "num_chars": len(text),
        "num_words": len(sounded),
        "stop_words_english": len(ENGLISH & set(found)),
        "stop_words_own": -1 if own is None else len(own & set(found)),
        "third_longest_line": sorted([0, 0, 0, *map(len, text.split("\n"))])[-3],
        "mean_word_length": sum(map(len, sounded)) / max(1, len(sounded)),
        "hash_ratio": text.count("#") / len(found) if found else 0,
        "ellipsis_ratio": (text.count("...") + text.count("\u2026")) / len(found) if found else 0,
        "bullet_lines": share(rows, lambda row: row.lstrip().startswith(("-", "\u2022"))),
        "ellipsis_lines": share(rows, lambda row: row.rstrip().endswith(("...", "\u2026"))),
        "alpha_words": sum(kind & ALPHA > 0 for kind in kinds) / max(1, len(found)),
        "dup_paragraphs": repeats(paragraphs)[0] / len(paragraphs),
        "dup_paragraph_chars": repeats(paragraphs)[1] / chars,
        "dup_lines": repeats(lines)[0] / len(lines),
        "dup_line_chars": repeats(lines)[1] / chars,
        **{f"top_{n}gram": slow_top(found, n) / chars for n in (2, 3, 4)},
        **{f"dup_{n}gram": slow_repeated(found, n) / chars for n in range(5, 11)},
        "edited_num_chars": len(text),
        "edited_num_words": len(found),
        "edited_num_sentences": sum(num_sentences(line) for line in text.splitlines()),
        "edited_lorem_ipsum": "lorem ipsum" in text.lower(),
        "edited_curly_bracket": "{" in text,
        "edited_line_punctuation": share(stripped, lambda line: line[-1] in TERMINAL_MARKS),
        "edited_short_lines": share(stripped, lambda line: len(line) <= 30),
        "edited_dup_chars": repeats(stripped)[1] / max(1, sum(map(len, stripped))),
        "edited_list_ratio": (len((text + "x").splitlines()) - 1) / len(found) if found else 0,
    }


SPACES = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000"
NO_SPACES = "\u200b\x84\x86\u180e\u2010\u2027\u2030\u2060\u3001\ufeff"  # whose bytes begin as those of spaces
TRICKY = [*SPACES, *NO_SPACES, "\r\n", "\n\n", "...", "\u2026", "-", "\u2022", "#", "{", "the", "of", "a", "."]
TRICKY += [
    "\u3002",
    "\U0001da88",
    "Lorem IPSUM",
    "lorem",
    " ipsum",
    "\u0130psum",
    "\x00ipsum",
    "x" * 29,
    "\u4e2d\u6587",
]
LINED = st.lists(st.sampled_from(TRICKY), max_size=40).map("".join)


@settings(deadline=None)  # the first example waits for the compiler
@given(st.lists(FEW_WORDS | LINED | st.text(), max_size=5), st.sampled_from(["en", "de", "zh", "xx"]))
def test_against_plain_loops(texts: list[str], language: str) -> None:
    table = signals(texts, [language] * len(texts))
    assert table.schema == SIGNALS
    for text, row in zip(texts, table.to_pylist(), strict=True):
        expected = plain(text, language)
        assert row.keys() == expected.keys()
        assert all(np.isfinite(value) for value in row.values())
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, rel=1e-12), name


def test_arrays_of_any_kind_give_the_same() -> None:
    texts = ["", PROSE, "\u4e2d\n\n\u4e2d", PROSE[:99]]
    whole = signals(texts, ["en"] * 4)
    assert signals(pa.array(texts), ["en"] * 4).equals(whole)
    assert signals(pa.chunked_array([texts[:1], [], texts[1:]], pa.large_string()), ["en"] * 4).equals(whole)
    assert signals(pa.array(["cut", *texts, "off"]).slice(1, 4), ["en"] * 4).equals(whole)


def test_many_equal_and_many_different_lines_take_no_longer() -> None:
    text = "\n".join(f"line {number // 2}" for number in range(200_000))
    row = one(text)
    assert row["dup_lines"] == 0.5
    assert row["edited_dup_chars"] == pytest.approx(0.5)


@settings(deadline=None)
@given(st.lists(FEW_WORDS, min_size=1, max_size=6), st.randoms())
def test_a_row_depends_on_its_text_only(texts: list[str], random: Any) -> None:
    whole = signals(texts, ["fr"] * len(texts)).to_pylist()
    order = list(range(len(texts)))
    random.shuffle(order)
    again = signals([texts[i] for i in order], ["fr"] * len(texts)).to_pylist()
    assert again == [whole[i] for i in order]


def test_slices_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [PROSE[i:] for i in range(0, len(PROSE), 7)] + [""]
    whole = signals(texts, ["en"] * len(texts))
    monkeypatch.setattr("pipelines.quality.signals.SLICE_BYTES", 500)
    monkeypatch.setattr("pipelines.text.vocabulary.MAX_CHUNKS", 10)
    assert signals(texts, ["en"] * len(texts)).equals(whole)


def test_no_rows() -> None:
    table = signals([], [])
    assert table.schema == SIGNALS
    assert table.num_rows == 0


def test_lengths_must_match() -> None:
    with pytest.raises(ValueError, match="1 texts"):
        signals(["a"], [])


def test_stop_words_can_be_met() -> None:
    for language, listed in STOP_WORDS.items():
        assert len(listed) >= 8, language
        assert all(words(word) == [word] for word in listed), language
        if language in UNSPACED_LANGUAGES:
            assert all(len(word) == 1 for word in listed), language
