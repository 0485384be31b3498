"""Mojibake: the spans give ftfy's own answer, stay small, and clean text has none."""

import ftfy
import pytest
from hypothesis import given
from hypothesis import settings as checks
from hypothesis import strategies as st

from pipelines.edits import mojibake
from pipelines.edits.chain import edits as chain
from pipelines.edits.spans import texts_after
from pipelines.settings import Edits

ON = Edits(c4_lines=False, mojibake=True)
WORDS = [
    "caf\u00e9",
    "na\u00efve",
    "\u201cquoted\u201d",
    "it\u2019s",
    "\u2014",
    "\u0430\u0431\u0432",
    "\u4e2d\u6587",
    "\u03b1\u03b2",
]
WORDS += ["\u00a0", "plain", "\u00c0 la", "\u20ac5", "\U0001f600", "Stra\u00dfe", "\u00ab mot \u00bb", "a?", "\ufffd"]
CHARSETS = ["latin-1", "cp1252", "cp1251", "cp1250", "cp1253", "cp1254", "cp1257", "iso-8859-2", "mac-roman", "cp437"]


def after(*texts: str) -> list[str]:
    return texts_after(texts, chain(list(texts), ON)[0])


def test_words_are_repaired_and_nothing_else_is_touched() -> None:
    text = "The caf\u00c3\u00a9 isn\u2019t \u201copen\u201d.\nIt\u00e2\u20ac\u2122s &amp; \ufb01ne\u2026 "
    text += "\u2460\uff21\r\nbye\x03\ufeff"
    edits, counts = chain([text], ON)
    assert texts_after([text], edits) == [
        "The caf\u00e9 isn\u2019t \u201copen\u201d.\nIt\u2019s &amp; \ufb01ne\u2026 \u2460\uff21\r\nbye"
    ]
    spans = edits[0].as_py()
    assert [span["replacement"] for span in spans] == ["\u00e9", "\u2019", ""]
    assert max(span["end"] - span["start"] for span in spans) <= 8
    assert counts == {"mojibake": 3}


@checks(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from([None, *CHARSETS]), st.booleans()), max_size=6))
def test_the_answer_is_ftfys(words: list[tuple[str, str | None, bool]]) -> None:
    """So the compiled pass in front of it misses no line."""
    read = [word.encode().decode(charset, "replace") if charset else word for word, charset, _ in words]
    spaced = [word.replace("\u00a0", " ") if lost else word for word, (_, _, lost) in zip(read, words, strict=True)]
    texts = [" ".join(spaced), "".join(spaced), "\n".join(read)]
    assert after(*texts) == [ftfy.fix_text(text, mojibake._config()) for text in texts]


@pytest.mark.parametrize(
    "text",
    [
        "Fran\u00e7ais \u00e0 l\u2019\u00e9t\u00e9 \u00ab\u00a0oui\u00a0\u00bb",
        "\u0440\u0443\u0441\u0441\u043a\u0438\u0439 \u0432 \u0442\u0435\u043a\u0441\u0442\u00bb",
        "\u4e2d\u6587\u3002",
        "Gr\u00fc\u00dfe",
        "\U0001f44d\U0001f3fd",
    ],
)
def test_clean_text_stays(text: str) -> None:
    assert after(text) == [text]


def test_mojibake_is_repaired_before_lines_are_judged() -> None:
    text = "One two three.\nno end mark\u00e2\u20ac\u201d\u00e2\u20ac\u0153really\u00e2\u20ac"
    fixed = ftfy.fix_text(text, mojibake._config())
    settings = Edits(mojibake=True, c4_end_mark=True)
    assert texts_after([text], chain([text], settings)[0]) == texts_after(
        [fixed], chain([fixed], Edits(c4_end_mark=True))[0]
    )
