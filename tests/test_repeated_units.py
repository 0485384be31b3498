"""Units of repeated text, where they are cut and who keeps them, against references that compare all pairs."""

import random

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import settings as checks
from hypothesis import strategies as st
from made_crawls import WORDS

from pipelines.duplicates.occurrences import UNIT, cuts, later, repeated
from pipelines.duplicates.units import KINDS, sizes, units
from pipelines.duplicates.windows import GRAM, SPREAD
from pipelines.edits.spans import edited
from pipelines.settings import Repeats
from pipelines.text.words import normalised_words


def stretches(text: str, **settings: object) -> list[str]:
    found = units(pa.array([text]), Repeats(**settings))
    data = text.encode()
    return [data[start:end].decode() for start, end in zip(found.starts, found.ends, strict=True)]


# ---------------------------------------------------------------------------------------------------------
# Units


def test_units_reach_to_the_next_one() -> None:
    text = "One line here\n\n  Two, of two. \u201cThree?\u201d Four\r\nlines\u3002\u4e94\uff01\u300d\u516d"
    assert stretches(text, units=("lines",), min_words=1) == [
        "One line here\n\n  ", "Two, of two. \u201cThree?\u201d Four\r\n", "lines\u3002\u4e94\uff01\u300d\u516d",
    ]  # fmt: skip
    assert stretches(text, units=("lines",), min_words=4) == ["Two, of two. \u201cThree?\u201d Four\r\n"]
    assert stretches(text, units=("paragraphs",), min_words=1) == ["One line here\n\n  ", text[17:]]
    assert stretches(text, units=("sentences",), sentences=1, min_words=1) == [
        "One line here\n\n  Two, of two. ", "\u201cThree?\u201d ", "Four\r\nlines\u3002",
        "\u4e94\uff01\u300d", "\u516d",
    ]  # fmt: skip
    assert (
        stretches(text, units=("sentences",), min_words=1)[1]
        == "\u201cThree?\u201d Four\r\nlines\u3002\u4e94\uff01\u300d"
    )
    assert stretches("A ... b. . . C", units=("sentences",), sentences=1, min_words=1) == [
        "A ... ", "b. . . ", "C",
    ]  # fmt: skip
    assert stretches("As said [Op. Cit., p. 3] before it.", units=("sentences",), sentences=2) == []
    assert stretches("", units=KINDS) == stretches("One. Two.", units=("sentences",)) == []
    assert (
        stretches("Pi is 3.14 in U.S. shops. Yes!", units=("sentences",), sentences=1, min_words=1)[0]
        == "Pi is 3.14 in U.S. "
    )


LETTERS = "aA\u00e9\u0301 1\u06633.,-\u4e2d\u3044\u3099\u0e33\u1000\u102b\uac00\u00df\u01c5\n\t"


@checks(deadline=None, max_examples=300)
@given(*[st.text(LETTERS, max_size=8) | st.lists(st.sampled_from(["1", ".", "2,3", " ", "a"])).map("".join)] * 2)
def test_units_are_compared_as_minhash_compares(left: str, right: str) -> None:
    texts = [f"x{text} x".replace("\n", " ").replace("\t", " ") for text in (left, right)]
    found = units(pa.array(texts), Repeats(units=("lines",), min_words=1))
    same = normalised_words(texts[0]) == normalised_words(texts[1])
    assert (found.hashes[0] == found.hashes[1]) == same


def test_sizes_count_words_and_sentences() -> None:
    words, sentences = sizes(pa.array(["", "a b. c", "\u4e2d\u6587\u3002 ok", "..."]))
    assert words.tolist() == [0, 3, 4, 1]
    assert sentences.tolist() == [0, 2, 2, 0]


@checks(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.integers(60, 140), st.integers(0, 200), st.integers(0, 200))
def test_shared_runs_of_words_are_found_to_their_ends(seed: int, size: int, before: int, behind: int) -> None:
    rng = random.Random(seed)
    shared = rng.choices(WORDS, k=size)
    left = [*rng.choices(WORDS, k=before), *shared, *rng.choices(WORDS, k=behind)]
    right = [*rng.choices(WORDS, k=behind), *shared, *rng.choices(WORDS, k=before)]
    settings = Repeats(units=("spans",))
    found = units(pa.array([" ".join(left), " ".join(right)]), settings)
    ours, theirs = (set(found.hashes[found.texts == number].tolist()) for number in (0, 1))
    covered = set()
    starts = np.cumsum([0, *(len(word) + 1 for word in right)])
    for text, unit, start, end in zip(found.texts, found.hashes, found.starts, found.ends, strict=True):
        if text == 1 and unit in ours:
            covered |= set(range(int(np.searchsorted(starts, start)), int(np.searchsorted(starts, end))))
    assert ours & theirs
    first = behind
    assert set(range(first + SPREAD - 1, first + size - SPREAD - GRAM)) <= covered
    assert min(covered) >= first - 3  # unrelated words agree by chance at most
    assert max(covered) < first + size + 3
    assert len(found.hashes) <= 0.3 * (len(left) + len(right)) + 4


@checks(deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3, st.integers(1, 2)), unique_by=lambda one: one[:3], max_size=30))
def test_the_first_in_order_stays(rows: list[tuple[int, int, int, int]]) -> None:
    table = np.array([(unit, document, start, start + size, 0) for unit, document, start, size in rows], UNIT)
    expected = set()
    for unit, document, start, _ in rows:
        first = min(other[1:] for other in rows if other[0] == unit)
        if (document, start) != first[:2] and not (document == first[0] and start < first[1] + first[2]):
            expected.add((unit, document, start))
    everybody = np.ones(4, bool)
    cut = later(repeated(table), everybody)
    assert {tuple(row)[:3] for row in cut.tolist()} == expected
    assert np.array_equal(cut, later(repeated(table[::-1]), everybody))


@checks(deadline=None)
@given(st.lists(st.text("ab \u00e9", min_size=1, max_size=12), min_size=1, max_size=3), st.data())
def test_cuts_join_what_overlaps(texts: list[str], data: st.DataObject) -> None:
    found, expected = [], []
    for row, text in enumerate(texts):
        places = [len(text[:place].encode()) for place in range(len(text) + 1)]
        stretch = st.tuples(st.integers(0, len(text) - 1), st.integers(1, len(text)))
        drawn = data.draw(st.lists(stretch, min_size=1))
        pairs = [(start, min(start + length, len(text))) for start, length in drawn]
        found += [(0, row, places[start], places[end], start % 3) for start, end in pairs]
        gone = [any(start <= place < end for start, end in pairs) for place in range(len(text))]
        if gone[-1]:
            place = len(text) - 1
            while place >= 0 and gone[place]:
                place -= 1
            while place >= 0 and text[place] == " " and not gone[place]:
                gone[place] = True
                place -= 1
        expected.append("".join(letter for letter, out in zip(text, gone, strict=True) if not out))
    table = np.array(found, UNIT)
    edits = cuts(pa.array(texts), table, np.arange(len(texts)))
    assert edited(pa.array(texts), edits).to_pylist() == expected
    data.draw(st.randoms()).shuffle(found)
    assert edits.equals(cuts(pa.array(texts), np.array(found, UNIT), np.arange(len(texts))))


def test_huge_lines_and_periods_cost_time_that_is_linear() -> None:
    found = units(pa.array(["ha " * 100_000, "\u4e2d" * 100_000]), Repeats(units=KINDS))
    table = np.zeros(len(found.hashes), UNIT)
    for name, column in (("hash", "hashes"), ("document", "texts"), ("start", "starts"), ("end", "ends")):
        table[name] = getattr(found, column)
    cut = later(repeated(table), np.ones(2, bool))
    assert set(cut["document"].tolist()) == {0, 1}
    assert [int(cut["start"][cut["document"] == row].min()) for row in (0, 1)] == [150, 150]  # 50 words stay
