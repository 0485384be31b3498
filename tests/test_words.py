"""The tokeniser against examples that spaCy 3.8.18's blank English was seen to cut so, and its own invariants."""

import re
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.text import uax29
from pipelines.text.chunks import cut_as_spacy, cut_chunk
from pipelines.text.special_chunks import SPECIAL
from pipelines.text.words import (
    ALPHA,
    NON_SYMBOL,
    PUNCTUATION,
    TERMINAL,
    exact_chunk,
    lines,
    normalised_words,
    num_sentences,
    paragraphs,
    word_kind,
    words,
)

# Text with all that the cutting rules look at, so that hypothesis meets them often.
TRICKY = st.text(
    alphabet=st.sampled_from(list("aAzZ09 \n.,-'\"!?()[]{}#%$:/@_+*\u2019\u2026\u2014\u4e2d\u0e01\u0e31\u00e9"))
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, world!", "Hello , world !"),
        ("He didn't say 'no'.", "He did n't say ' no ' ."),
        ("It's John's dog; they're here.", "It 's John 's dog ; they 're here ."),
        ("Dr. Smith lives in the U.S. now.", "Dr. Smith lives in the U.S. now ."),
        ("state-of-the-art, e.g. this", "state - of - the - art , e.g. this"),
        ("pages 10-12 cost $5.50 (10%)", "pages 10 - 12 cost $ 5.50 ( 10 % )"),
        ("see https://a.example/b?c=d.", "see https://a.example/b?c=d ."),
        ("mail me@a.example, please", "mail me@a.example , please"),
        ("5km at 20kg and 3.14", "5 km at 20 kg and 3.14"),
        ("well...maybe\u2026 no", "well ... maybe \u2026 no"),
        ("end.Next sentence", "end . Next sentence"),
        ("NASA. It cannot", "NASA . It can not"),
        ("its hell were well", "its hell were well"),
        ("whom here Is", "whom here Is"),
        ("f(x) = a/b", "f(x ) = a / b"),
        ("l'\u00e9cole d\u2019\u00e9t\u00e9", "l'\u00e9cole d\u2019\u00e9t\u00e9"),
        ("\u0435\u0441\u0442\u044c. \uc788\ub2e4.", "\u0435\u0441\u0442\u044c . \uc788\ub2e4 ."),
        ("fine :-) (sad :( ) 8) <3", "fine :-) ( sad :( ) 8) <3"),
        ("def f(x): a[1:] (==)", "def f(x ): a[1 :] (= =)"),
        ("'' ''|' IS'', rock'n'roll", "'' '' | ' IS '' , rock'n'roll"),
        ("z.B. and id. whos.", "z. B. and i d. who s."),
        ("10am I'ma y'all c'mon couldn't've", "10 am I 'm a y' all c'm on could n't 've"),
        ("20\u00b0C: 5\u00b0F. a\u2605b", "20 \u00b0 C : 5 \u00b0 F . a \u2605 b"),
        ("US$5 7US$ 12yd 3TB <+8kB>", "US$ 5 7 US$ 12 yd 3 TB < +8kB >"),
        ("foo--bar---baz 1--2 |-p0-|", "foo -- bar --- baz 1 - -2 |-p0-|"),
        ("x==y a=b 1,b a,b a.b A.B", "x==y a = b 1,b a , b a.b A.B"),
        ("10.0.0.1/x 9.8.7.6/x", "10.0.0.1 / x 9.8.7.6/x"),
    ],
)
def test_cuts_as_spacy_does(text: str, expected: str) -> None:
    assert words(text) == expected.split()


def test_runs_of_scripts_without_spaces_stay_whole_where_asked() -> None:
    assert cut_as_spacy("\u4e2d\u6587\u3002abc\u306e") == ("\u4e2d\u6587\u3002abc\u306e",)
    assert cut_as_spacy("(\u4e2d\u6587\u3002)") == ("(", "\u4e2d\u6587", "\u3002", ")")
    assert cut_as_spacy("\u0e01\u0e31\u0e19") == ("\u0e01\u0e31\u0e19",)


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_both_cutters_agree_on_scripts_with_spaces(text: str) -> None:
    assert list(map(cut_as_spacy, text.split())) == list(map(cut_chunk, text.split()))


def test_special_chunks_are_cut_as_listed_within_brackets_too() -> None:
    for chunk, expected in SPECIAL.items():
        assert cut_chunk(chunk) == expected
        if chunk[0].isalpha() and chunk[-1].isalpha():
            assert cut_chunk(f"[{chunk},") == ("[", *expected, ",")


def test_scripts_without_spaces_have_a_word_a_character() -> None:
    assert words("\u4e2d\u6587\u3002abc\u306e") == ["\u4e2d", "\u6587", "\u3002", "abc", "\u306e"]
    assert words("\u0e17\u0e35\u0e48") == ["\u0e17\u0e35\u0e48"]  # one Thai letter with a vowel and a tone mark


@given(TRICKY | st.text())
def test_words_are_the_text_without_white_space(text: str) -> None:
    found = words(text)
    assert "".join(found) == "".join(text.split())
    assert all(found)


@given(TRICKY, TRICKY)
def test_a_chunk_is_cut_the_same_anywhere(left: str, right: str) -> None:
    assert words(f"{left} {right}") == words(left) + words(right)


def test_kinds() -> None:
    assert word_kind("don") == NON_SYMBOL | ALPHA
    assert word_kind("3") == NON_SYMBOL
    assert word_kind(".") == TERMINAL | PUNCTUATION
    assert word_kind("\u3002") == TERMINAL | PUNCTUATION
    assert word_kind("...") == PUNCTUATION
    assert word_kind("$") == 0


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("   \n", 0),
        ("no mark", 1),
        ("One. Two! Three?", 3),
        ("One.", 1),
        ('He said "No." Then he left.', 2),
        ("The U.S. is 3.14 big.", 1),
        ("\u4f60\u597d\u3002\u518d\u89c1\u3002", 2),
        ("\u0928\u092e\u0938\u094d\u0924\u0947\u0964 \u0926\u0941\u0928\u093f\u092f\u093e\u0964", 2),
        ("What?! Yes.", 2),
    ],
)
def test_sentences(text: str, count: int) -> None:
    assert num_sentences(text) == count


def test_lines_and_paragraphs() -> None:
    assert lines("a\n\nb\n") == ["a", "b", ""]
    assert paragraphs("\n a\nb\n\n\nc \n") == ["a\nb", "c"]
    assert paragraphs("") == [""]


def test_normalised_words() -> None:
    assert normalised_words("Caf\u00e9, \u00c9TUDE! 1,000.5 and 2x $ \u2014 foo-bar") == (
        ["cafe", "etude", "0", "0", "and", "0x", "foo", "bar"]
    )
    assert normalised_words("\u4e2d\u6587 a") == ["\u4e2d", "\u6587", "a"]
    assert normalised_words("... !!!") == []


def test_exact_words_keep_their_digits() -> None:
    def exact(text: str) -> list[str]:
        return [word for chunk in text.split() for word in exact_chunk(chunk)]

    assert exact("Caf\u00e9, 1,000.5 and 2X $ 2024-05-17 \u4e2d7") == (
        ["cafe", "1", "000", "5", "and", "2x", "2024", "05", "17", "\u4e2d", "7"]
    )
    words_only = "\u00c9TUDE of (foo-bar) \u4e2d\u6587!"
    assert exact(words_only) == normalised_words(words_only)


@given(st.text())
def test_normalised_words_hold_no_marks_capitals_or_diacritics(text: str) -> None:
    for word in normalised_words(text):
        assert word
        assert not re.search(r"\s", word)
        assert {unicodedata.category(c)[0] for c in word}.isdisjoint("PSCZ")
        assert "Mn" not in {unicodedata.category(c) for c in word}


@pytest.mark.parametrize(
    "chunk", ["(" * 200_000, "a" * 200_000, "." * 200_000, "a@" * 900, "a." * 900 + "!", "-a" * 100_000]
)
def test_odd_chunks_take_no_more_than_linear_time(chunk: str) -> None:
    start = time.perf_counter()
    assert "".join(words(chunk)) == chunk
    assert time.perf_counter() - start < 5  # quadratic time would be minutes


@pytest.mark.parametrize(
    ("chunk", "words"),
    [
        ("can't", ("can't",)),
        ("3.14,15", ("3.14,15",)),
        ("end.Next:one", ("end.Next:one",)),
        ("a..b", ("a", "b")),
        ("foo_bar-baz", ("foo_bar", "baz")),
        ("_private", ()),
        ("1,a", ("1", "a")),
        ("\u65e5\u672c\u30ab\u30bf\u30ab\u30ca\u3067", ("\u65e5", "\u672c", "\u30ab\u30bf\u30ab\u30ca", "\u3067")),
        ("\u05e6\u05d4\u05f4\u05dc", ("\u05e6\u05d4\u05f4\u05dc",)),
        ("\u05e6\u05d4\"\u05dc'", ("\u05e6\u05d4\"\u05dc'",)),
        ("e\u0301te\u0301", ("e\u0301te\u0301",)),
        ("(\u0663\u066b\u0665)", ("\u0663\u066b\u0665",)),
    ],
)
def test_words_are_unicodes_own(chunk: str, words: tuple[str, ...]) -> None:
    assert uax29.words(chunk) == words
