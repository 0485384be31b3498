"""Spans that survive the round trip, composed edits, C4's line rules against a readable copy of them, symbol lines."""

import re
from collections import Counter
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import settings as checks
from hypothesis import strategies as st

from pipelines.edits import dclm_lines
from pipelines.edits.chain import edits as chain
from pipelines.edits.characters import classes
from pipelines.edits.composing import composed
from pipelines.edits.spans import EDITS, Span, edited, no_edits, spans_array, text_after, texts_after
from pipelines.settings import Edits
from pipelines.text.chunk_marks import UNSPACED

ROWS = ["", " ", "one two three.", "un deux trois\u2026", "caf\u00e9 \u4e2d\u6587[1] \u00e9t\u00e9 it is.", "two words"]
ROWS += ["JavaScript is off here.", "our Privacy Policy says so", "\u4e2d\u6587\u5f88\u597d\u3002"]
ROWS += ["  kept for its words [citation needed]!"]
LINES = st.lists(st.sampled_from(ROWS))
BREAKS = st.sampled_from(["\n", "\r\n", "\n\n", "\u2028", "\x0c"])


def after(text: str, **settings: object) -> str:
    edits, _ = chain([text], Edits(**settings))
    return texts_after([text], edits)[0]


# ---------------------------------------------------------------------------------------------------------
# C4's lines


def test_each_rule_and_its_count() -> None:
    rows = ["Menu", "", "A line of words.", "Please enable JavaScript now.", "We say it uses cookies here."]
    rows += ["A claim[12] that was made[edit] once.", "a " + "x" * 1001 + " b", "the end of it"]
    text = "\n".join(rows)
    edits, counts = chain([text], Edits())
    assert texts_after([text], edits) == ["A line of words.\nA claim that was made once.\nthe end of it"]
    expected = {"too_few_words": 1, "blank_line": 1, "javascript": 1, "policy": 1, "citation": 2, "too_long_word": 1}
    assert counts == Counter(expected)
    assert Counter(span["reason"] for span in edits[0].as_py()) == counts


def test_end_mark_rule() -> None:
    text = 'It ends so.\nIt does not\nIt trails off...\nIt is cited.[3]\n"He left us"'
    assert after(text) == text.replace("[3]", "")
    assert after(text, c4_end_mark=True) == 'It ends so.\nIt is cited.\n"He left us"'
    assert after("It trails off..[1][edit].", c4_end_mark=True) == ""


def test_line_ends_go_with_their_lines() -> None:
    assert after("a b c\nx\n") == "a b c"
    assert after("a b c\n") == "a b c\n"
    assert after("x\na b c") == "a b c"
    assert after("x\ny\n") == ""
    assert after("") == ""
    assert after("a b c\r\n\r\nd e f") == "a b c\r\nd e f"


def test_languages_without_spaces_keep_their_lines() -> None:
    line = "\u4e2d" * 1500 + "\u3002"
    assert after(line, c4_end_mark=False) == line
    assert after("\u4e2d\u6587") == ""  # two words


def test_off_means_no_edits() -> None:
    edits, counts = chain(["x", "y\nz"], Edits(c4_lines=False))
    assert edits.type == EDITS
    assert edits.to_pylist() == [[], []]
    assert not counts


@checks(deadline=None)
@given(LINES, BREAKS)
def test_kept_lines_are_whole_and_in_order(rows: list[str], line_break: str) -> None:
    text = line_break.join(rows)
    edits, counts = chain([text], Edits())
    spans = [Span(**span) for span in edits[0].as_py()]
    assert all(left.end <= right.start for left, right in pairwise(spans))
    assert all(span.start < span.end and span.replacement == "" for span in spans)
    assert len(spans) == counts.total()
    result = text_after(text, spans)
    wanted = [row.replace("[1]", "").replace("[citation needed]", "") for row in rows if _stays(row)]
    assert [row for row in result.splitlines() if row.strip()] == wanted
    assert after(result) == result  # nothing more to cut


def _stays(row: str) -> bool:
    return row not in ("", " ", "two words", "JavaScript is off here.", "our Privacy Policy says so")


CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
PIECES = [
    "[",
    "]",
    "[12]",
    "[\u0661]",
    "[edit]",
    "[edi",
    "[citation needed]",
    ".",
    "..",
    "...",
    "?",
    '"',
    " ",
    "\u3000",
]
PIECES += ["\n", "\r\n", "\x85", "\u2028", "\x1f", "word", "Java", "script", "javaScript", "terms of use", "Cookie"]
PIECES += [
    " policy",
    "use of",
    " cookies",
    "privacy",
    "x" * 12,
    "\u00e9",
    "\u4e2d",
    "\u3044\u3099",
    "\u3099",
    "\U00020000",
]
TEXTS = st.lists(st.sampled_from(PIECES)).map("".join) | st.text()


@checks(deadline=None)
@given(st.lists(TEXTS, max_size=4), st.booleans(), st.integers(0, 4), st.integers(1, 15))
@example(["a[1]\n.[", "[\u0661].."], True, 1, 1000)
def test_compiled_rules_are_the_readable_ones(texts: list[str], end_mark: bool, min_words: int, max_chars: int) -> None:
    settings = Edits(c4_end_mark=end_mark, min_line_words=min_words, max_word_chars=max_chars)
    edits, _ = chain(texts, settings)
    assert [[Span(**span) for span in row] for row in edits.to_pylist()] == [readable(text, settings) for text in texts]


def readable(text: str, settings: Edits) -> list[Span]:
    spans: list[Span] = []
    place, kept_end, num_before = 0, None, 0
    for row in text.splitlines(keepends=True):
        reason = why_cut(row.strip(), settings)
        if reason:
            spans.append(Span(place, place + size(row), "", reason))
        else:
            for match in CITATION.finditer(row):
                spans.append(Span(place + size(row[: match.start()]), place + size(row[: match.end()]), "", "citation"))
            kept_end, num_before = place + size(row.splitlines()[0]), len(spans)
        place += size(row)
    if kept_end is not None and num_before < len(spans):
        spans[num_before] = spans[num_before]._replace(start=kept_end)
    return spans


def why_cut(line: str, settings: Edits) -> str:
    if any(len(word) > settings.max_word_chars for word in UNSPACED.sub(" ", line).split()):
        return "too_long_word"
    end = CITATION.sub("", line)
    if settings.c4_end_mark and line and (not end.endswith((".", "?", "!", '"', "'")) or end.endswith("...")):
        return "no_terminal_punct"
    if len(UNSPACED.sub(r" \g<0> ", line).split()) < settings.min_line_words:
        return "too_few_words" if line else "blank_line"
    small = line.lower()
    if "javascript" in small:
        return "javascript"
    phrases = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
    return "policy" if any(phrase in small for phrase in phrases) else ""


def size(text: str) -> int:
    return len(text.encode())


def test_a_huge_line_is_one_line() -> None:
    line = "word " * 400_000
    assert after(line + "\nx") == line
    assert after("[1" * 200_000 + " a b", max_word_chars=10**6) == "[1" * 200_000 + " a b"


def test_classes_are_those_of_str() -> None:
    from pipelines.edits.characters import BREAK, DIGIT, SPACE

    for code in (*range(0x3100), 0xFEFF, 0x1D7D8, 0x10FFFF):
        letter, bits = chr(code), int(classes()[code])
        assert bool(bits & SPACE) == letter.isspace()
        assert bool(bits & DIGIT) == letter.isdecimal()
        assert bool(bits & BREAK) == (len(f"a{letter}b".splitlines()) == 2)


# ---------------------------------------------------------------------------------------------------------
# Symbol lines


def test_symbol_lines_go() -> None:
    text = "Title\n=====\n\n* * *\nvalue | 3\n|---|---|\n\u2500\u2500\u2510\n"
    text += "\u2605\u2605\u2606 \U0001f600\n\t}\n\u00b7\u00b7\n"
    settings = Edits(c4_lines=False, symbol_lines=True)
    edits, counts = chain([text], settings)
    assert texts_after([text], edits) == ["Title\n\nvalue | 3\n\u2605\u2605\u2606 \U0001f600"]
    assert counts == Counter(symbol_line=6)
    assert texts_after([" \n--", "--", "--\r\na"], chain([" \n--", "--", "--\r\na"], settings)[0]) == [" ", "", "a"]


def test_symbol_lines_see_what_c4_leaves() -> None:
    text = "one two three\n-- [1] -- [edit] --\nfour five six"
    assert after(text, symbol_lines=True) == "one two three\nfour five six"


# ---------------------------------------------------------------------------------------------------------
# Reading and composing


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, list[Span], str]:
    """A text, spans in it, and the text after them, made from pieces so that the answer is known."""
    pieces = draw(st.lists(st.tuples(st.text(max_size=8), st.none() | st.text(max_size=4))))
    text, result, spans = "", "", []
    for piece, replacement in pieces:
        start = len(text.encode())
        text += piece
        if replacement is None:
            result += piece
        else:
            result += replacement
            spans.append(Span(start, len(text.encode()), replacement, "test"))
    return text, spans, result


@checks(deadline=None)
@given(st.lists(documents()), st.integers(1, 3))
def test_round_trip(rows: list[tuple[str, list[Span], str]], num_chunks: int) -> None:
    texts, spans, expected = [list(column) for column in zip(*rows, strict=True)] if rows else ([], [], [])
    edits = spans_array(spans)
    assert edits.type == EDITS
    assert [[Span(**span) for span in row] for row in edits.to_pylist()] == spans
    assert [text_after(text, row) for text, row in zip(texts, spans, strict=True)] == expected
    assert texts_after(texts, edits) == expected
    size = max(1, len(texts) // num_chunks)
    chunks = pa.chunked_array([edits[i : i + size] for i in range(0, len(texts), size)], EDITS)
    assert texts_after(pa.chunked_array([pa.array(texts, pa.string())]), chunks) == expected
    for kind in (pa.string(), pa.large_string()):
        column = edited(pa.array(["x", *texts], kind)[1:], edits)
        assert column.type == kind
        assert column.to_pylist() == expected


@st.composite
def twice_edited(draw: st.DrawFn) -> tuple[str, list[Span], list[Span]]:
    text, first, between = draw(documents())
    bounds = [size(between[:place]) for place in range(len(between) + 1)]
    chosen = sorted(draw(st.lists(st.sampled_from(bounds), max_size=8)))
    pairs = list(zip(chosen[::2], chosen[1::2], strict=False))
    return text, first, [Span(start, end, draw(st.text(max_size=3)), "later") for start, end in pairs]


@checks(deadline=None)
@given(st.lists(twice_edited(), max_size=4))
@example([("abcdef", [Span(1, 2, "", "a"), Span(3, 4, "xyz", "a")], [Span(0, 2, "", "b"), Span(3, 5, "-", "b")])])
def test_composed_edits_do_both_at_once(rows: list[tuple[str, list[Span], list[Span]]]) -> None:
    texts = [text for text, _, _ in rows]
    first, second = spans_array([one for _, one, _ in rows]), spans_array([other for _, _, other in rows])
    joined = composed(first, second)
    assert texts_after(texts, joined) == texts_after(texts_after(texts, first), second)
    for row in joined.to_pylist():
        assert all(left["end"] <= right["start"] for left, right in pairwise(row))
    assert composed(first, no_edits(len(rows))).equals(first)
    assert composed(no_edits(len(rows)), second).equals(second)


@pytest.mark.parametrize(
    "spans", [[(2, 1, "")], [(0, 9, "")], [(1, 3, ""), (2, 4, "")], [(3, 4, ""), (0, 1, "")], [(-1, 1, "")]]
)
def test_impossible_spans_are_refused(spans: list[tuple[int, int, str]]) -> None:
    with pytest.raises(ValueError, match="out of order"):
        text_after("abcdef", spans)
    with pytest.raises(ValueError, match="out of order"):
        edited(pa.array(["ok", "abcdef"]), spans_array([[], [Span(*span, "test") for span in spans]]))


def test_half_characters_are_refused() -> None:
    with pytest.raises(ValueError, match="in two"):
        text_after("\u00e9", [(0, 1, "")])
    with pytest.raises(ValueError, match="in two"):
        edited(pa.array(["\u00e9"]), spans_array([[Span(1, 2, "", "test")]]))


def test_rows_must_match() -> None:
    with pytest.raises(ValueError, match="2 texts"):
        texts_after(["a", "b"], spans_array([[]]))


def test_dclm_line_rules_name_their_reasons() -> None:
    text = (
        "  A line that stays.\n\n\n\nTHIS ONE NOT\n2024\n17 likes\nword\nSign-in\nten items in cart left\nThe end.  \n"
    )
    found = [
        (span["reason"], text[span["start"] : span["end"]])
        for span in dclm_lines.line_edits(pa.array([text]))[0].as_py()
    ]
    assert found == [
        ("white_space", "  "),
        ("newlines", "\n"),
        ("newlines", "\n"),
        ("uppercase", "THIS ONE NOT\n"),
        ("numeric", "2024\n"),
        ("counter", "17 likes\n"),
        ("too_few_words", "word\n"),
        ("too_few_words", "Sign-in\n"),
        ("banner", " items in cart"),
        ("white_space", "  \n"),
    ]
