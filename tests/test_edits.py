"""C4's line rules, and spans that survive the round trip."""

from collections import Counter
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.edits.spans import EDITS, Span, line_edits, spans_array, text_after, texts_after
from pipelines.settings import Edits

ROWS = ["", " ", "one two three.", "un deux trois\u2026", "caf\u00e9 \u4e2d\u6587[1] \u00e9t\u00e9 it is.", "two words"]
ROWS += ["JavaScript is off here.", "our Privacy Policy says so", "\u4e2d\u6587\u5f88\u597d\u3002"]
ROWS += ["  kept for its words [citation needed]!"]
LINES = st.lists(st.sampled_from(ROWS))
BREAKS = st.sampled_from(["\n", "\r\n", "\n\n", "\u2028", "\x0c"])


def after(text: str, **settings: object) -> str:
    edits, _ = line_edits([text], Edits(**settings))
    return texts_after([text], edits)[0]


def test_each_rule_and_its_count() -> None:
    rows = ["Menu", "", "A line of words.", "Please enable JavaScript now.", "We say it uses cookies here."]
    rows += ["A claim[12] that was made[edit] once.", "a " + "x" * 1001 + " b", "the end of it"]
    text = "\n".join(rows)
    edits, counts = line_edits([text], Edits())
    assert texts_after([text], edits) == ["A line of words.\nA claim that was made once.\nthe end of it"]
    expected = {"too_few_words": 1, "blank_line": 1, "javascript": 1, "policy": 1, "citation": 2, "too_long_word": 1}
    assert counts == Counter(expected)
    assert Counter(span["reason"] for span in edits[0].as_py()) == counts


def test_end_mark_rule() -> None:
    text = 'It ends so.\nIt does not\nIt trails off...\nIt is cited.[3]\n"He left us"'
    assert after(text) == text.replace("[3]", "")
    assert after(text, c4_end_mark=True) == 'It ends so.\nIt is cited.\n"He left us"'


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
    edits, counts = line_edits(["x", "y\nz"], Edits(c4_lines=False))
    assert edits.type == EDITS
    assert edits.to_pylist() == [[], []]
    assert not counts


@given(LINES, BREAKS)
def test_kept_lines_are_whole_and_in_order(rows: list[str], line_break: str) -> None:
    text = line_break.join(rows)
    settings = Edits()
    edits, counts = line_edits([text], settings)
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


@pytest.mark.parametrize(
    "spans", [[(2, 1, "")], [(0, 9, "")], [(1, 3, ""), (2, 4, "")], [(3, 4, ""), (0, 1, "")], [(-1, 1, "")]]
)
def test_impossible_spans_are_refused(spans: list[tuple[int, int, str]]) -> None:
    with pytest.raises(ValueError, match="out of order"):
        text_after("abcdef", spans)


def test_half_characters_are_refused() -> None:
    with pytest.raises(ValueError, match="in two"):
        text_after("\u00e9", [(0, 1, "")])


def test_rows_must_match() -> None:
    with pytest.raises(ValueError, match="2 texts"):
        texts_after(["a", "b"], spans_array([[]]))
