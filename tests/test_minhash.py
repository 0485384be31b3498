"""MinHash against exact similarity and datasketch, its compiled words against the readable ones."""

import random
import sys
from dataclasses import replace
from itertools import pairwise
from typing import get_args

import hypothesis
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.duplicates import minhash
from pipelines.duplicates.minhash import content_hash, content_hashes
from pipelines.duplicates.schemes import SCHEMES, Scheme, scheme_for, scheme_of
from pipelines.duplicates.shingles import Unit, exact_shingle_sets, shingle_sets
from pipelines.errors import SettingsError
from pipelines.settings import Duplicates
from pipelines.text.normalised import CODE_POINTS, word_hashes
from pipelines.text.words import exact_chunk, normalised_words

SCHEME = SCHEMES["fineweb"]
AT_LEISURE = hypothesis.settings(deadline=None)  # numba compiles at the first call
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def text_of(num_words: int, seed: int) -> list[str]:
    numbers = random.Random(seed)
    return ["".join(numbers.choices(LETTERS, k=6)) for _ in range(num_words)]


def edited(words: list[str], share: float, seed: int) -> list[str]:
    """The words with a share of them replaced, at random places."""
    numbers = random.Random(seed)
    return [word if numbers.random() >= share else "".join(numbers.choices(LETTERS, k=7)) for word in words]


def exact(left: np.ndarray, right: np.ndarray) -> float:
    a, b = set(left.tolist()), set(right.tolist())
    return len(a & b) / len(a | b) if a | b else 0.0


def signatures(texts: list[str], scheme: Scheme = SCHEME) -> pa.Table:
    return minhash.signatures(pa.array(texts, pa.large_string()), scheme)


def shingles(text: str, n: int, unit: Unit = "words") -> np.ndarray:
    return shingle_sets(pa.array([text], pa.string()), n, unit)[0]


def exact_shingles(text: str, n: int, unit: Unit = "words") -> np.ndarray:
    return exact_shingle_sets(pa.array([text], pa.string()), n, unit)[0]


def bands_of(table: pa.Table) -> np.ndarray:
    names = [name for name in table.column_names if name.startswith("band_")]
    return np.array([np.asarray(table[name]) for name in names])


# ---------------------------------------------------------------------------------------------------------
# Shingles and signatures


@AT_LEISURE
@given(st.lists(st.sampled_from(["A", "b.", "c", "Caf\u00e9", "12", "--"]), max_size=30), st.integers(1, 7))
def test_shingles_are_the_distinct_ngrams(chunks: list[str], n: int) -> None:
    text = "  ".join(chunks)
    words = normalised_words(text)
    grams = {tuple(words[i : i + n]) for i in range(len(words) - n + 1)} or ({tuple(words)} if words else set())
    found = shingles(text, n)
    assert found.dtype == np.uint64
    assert len(found) == len(grams)
    assert (np.diff(found.astype(object)) > 0).all()


def test_shingles_look_through_case_marks_and_spaces() -> None:
    assert np.array_equal(shingles("The Caf\u00e9, on 5th street!", 3), shingles("the cafe on\n 9th  STREET", 3))
    assert not np.array_equal(shingles("a b c d e", 5), shingles("a b c d f", 5))


def test_number_tables_meet_and_are_no_duplicates() -> None:
    def table(first: int) -> str:
        return "\n".join(f"{first + 7 * row} + {first + 7 * row + 3} = {2 * first + 14 * row + 3}" for row in range(60))

    one, other = table(1_000), table(50_000)
    assert not set(one.split()) & set(other.split()) - {"+", "="}
    bands = bands_of(signatures([one, other]))
    assert (bands[:, 0] == bands[:, 1]).all()
    assert exact(exact_shingles(one, 5), exact_shingles(other, 5)) == 0


def test_one_other_date_leaves_a_near_duplicate() -> None:
    words = text_of(100, 1)
    texts = [" ".join([*words[:50], date, *words[50:]]) for date in ("2024-05-17", "1999-12-31")]
    bands = bands_of(signatures(texts))
    assert (bands[:, 0] == bands[:, 1]).all()
    assert 0.7 < exact(*(exact_shingles(text, 5) for text in texts)) < 1
    assert np.array_equal(exact_shingles(" ".join(words), 5), shingles(" ".join(words), 5))


def test_short_texts_have_one_shingle_and_empty_ones_none() -> None:
    assert len(shingles("two words", 5)) == 1
    assert np.array_equal(shingles("two words", 5), shingles("Two words.", 5))
    assert not np.array_equal(shingles("two words", 5), shingles("words two", 5))
    assert not np.intersect1d(shingles("a b c", 5), shingles("a b c d e", 5)).size
    assert len(shingles("... !", 5)) == 0
    assert len(shingles("", 5)) == 0


def test_hashes_are_the_same_for_ever() -> None:
    texts = ["the quick brown fox jumps over the lazy dog", "", "a"]
    table = signatures(texts, Scheme(2, 3, 5))
    assert table.column_names == ["content_hash", "num_shingles", "band_00", "band_01"]
    assert table["num_shingles"].to_pylist() == [5, 0, 1]
    assert table["content_hash"].to_pylist()[2].hex() == "a96faf705af16834e6c632b61e964e1f"
    assert [f"{value:016x}" for value in bands_of(table)[:, 0]] == ["1064e2a350e07102", "36b5beaded3cfed9"]
    chars = signatures(texts, Scheme(2, 3, 5, "chars"))
    assert chars["num_shingles"].to_pylist() == [39, 0, 1]
    assert [f"{value:016x}" for value in bands_of(chars)[:, 0]] == ["8d2121c81780bacb", "d7780ab7dad9fc4a"]


def test_content_hash_sees_words_not_spaces() -> None:
    assert content_hash("a  b\n") == content_hash(" a b")
    assert content_hash("a b") != content_hash("ab")
    assert content_hash("A b") != content_hash("a b")
    assert len(content_hash("")) == 16


@AT_LEISURE
@given(st.lists(st.text(alphabet=st.sampled_from("ab\u00e9\u4e2d \n\t\u00a0\u2003\u3000\u0085")) | st.text()))
def test_content_hashes_are_those_of_single_texts(texts: list[str]) -> None:
    assert content_hashes(pa.array(texts, pa.string())) == list(map(content_hash, texts))


def test_equal_texts_have_equal_bands_and_empty_ones_meet_exact_copies_only() -> None:
    table = signatures(["a b", "A, b", "", "!", "!", "?"])
    bands = bands_of(table)
    assert (bands[:, 0] == bands[:, 1]).all()
    assert (bands[:, 3] == bands[:, 4]).all()
    for left, right in [(0, 2), (2, 3), (3, 5)]:
        assert (bands[:, left] != bands[:, right]).all()


def test_seeds_and_shapes_give_other_bands() -> None:
    texts = [" ".join(text_of(50, 1))]
    one, two = (bands_of(signatures(texts, Scheme(14, 8, 5, seed=seed))) for seed in (1, 2))
    assert (one != two).all()
    assert len(bands_of(signatures(texts, Scheme(5, 2, 5)))) == 5


def test_no_texts() -> None:
    table = signatures([])
    assert table.num_rows == 0
    assert table.schema.field("content_hash").type == pa.binary(16)
    assert table.schema.field("num_shingles").type == pa.int32()
    assert table.schema.field("band_13").type == pa.uint64()


@pytest.mark.parametrize("share", [0.005, 0.02, 0.05])
def test_agreement_estimates_similarity_as_well_as_datasketch(share: float) -> None:
    """With one row a band, the share of equal bands is MinHash's estimate: error sqrt(s (1 - s) / k)."""
    from datasketch import MinHash

    scheme, num_pairs = Scheme(128, 1, 5), 60
    left = [text_of(300, seed) for seed in range(num_pairs)]
    right = [edited(words, share, seed) for seed, words in enumerate(left)]
    texts = [" ".join(words) for words in left + right]
    bands = bands_of(signatures(texts, scheme))
    sets = [shingles(text, 5) for text in texts]
    truth = np.array([exact(sets[i], sets[num_pairs + i]) for i in range(num_pairs)])
    ours = (bands[:, :num_pairs] == bands[:, num_pairs:]).mean(axis=0)
    sketches = MinHash.bulk([[value.tobytes() for value in one] for one in sets], num_perm=128, seed=1)
    theirs = np.array([sketches[i].jaccard(sketches[num_pairs + i]) for i in range(num_pairs)])
    expected = np.sqrt((truth * (1 - truth) / 128).mean())
    error = np.sqrt(((ours - truth) ** 2).mean())
    assert error < 1.4 * expected
    assert error < 1.4 * np.sqrt(((theirs - truth) ** 2).mean())
    assert abs((ours - truth).mean()) < 4 * expected / np.sqrt(num_pairs)  # no bias


@pytest.mark.parametrize("name", ["fineweb", "curator", "dclm"])
def test_candidates_follow_the_curve(name: str) -> None:
    """A pair of similarity s meets with probability 1 - (1 - s^r)^b."""
    scheme, num_pairs = SCHEMES[name], 800
    numbers = random.Random(5)
    left = [text_of(120, seed) for seed in range(num_pairs)]
    right = [edited(words, numbers.uniform(0.0, 0.12), seed) for seed, words in enumerate(left)]
    texts = [" ".join(words) for words in left + right]
    bands = bands_of(signatures(texts, scheme))
    values, offsets = shingle_sets(pa.array(texts), scheme.ngram, scheme.unit)
    sets = [values[first:last] for first, last in pairwise(offsets)]
    similarity = np.array([exact(one, other) for one, other in zip(sets[:num_pairs], sets[num_pairs:], strict=True)])
    met = (bands[:, :num_pairs] == bands[:, num_pairs:]).any(axis=0)
    expected = 1 - (1 - similarity**scheme.rows) ** scheme.bands
    assert 0.1 < expected.mean() < 0.8
    for low in (0.3, 0.5, 0.6, 0.7, 0.8):
        some = (similarity >= low) & (similarity < low + 0.1)
        spread = np.sqrt((expected[some] * (1 - expected[some])).sum()) / some.sum()
        assert abs(met[some].mean() - expected[some].mean()) < 4 * spread + 0.01


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9])
def test_a_scheme_for_a_threshold_is_steep_there(threshold: float) -> None:
    scheme = scheme_for(threshold, 128)
    assert 64 < scheme.bands * scheme.rows <= 128
    assert abs((1 / scheme.bands) ** (1 / scheme.rows) - threshold) < 0.12


# ---------------------------------------------------------------------------------------------------------
# Compiled words against the readable ones


def hashed(word: str) -> int:
    """The hash of a normalised word, in plain integers."""
    found = 0x2545F4914F6CDD1D
    for character in word:
        found = (found ^ ord(character)) * 0x9E3779B97F4A7C15 % 2**64
    found = (found ^ found >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    found = (found ^ found >> 27) * 0x94D049BB133111EB % 2**64
    return found ^ found >> 31


def compiled(text: str, keep_digits: bool) -> list[int]:
    data = np.frombuffer(text.encode(), np.uint8)
    found = np.empty(len(data) + 1, np.uint64)
    while True:
        count = word_hashes(data, 0, len(data), CODE_POINTS.standing, CODE_POINTS.items, keep_digits, found)
        if count >= 0:
            return [int(value) for value in found[:count]]
        CODE_POINTS.learn(data, 0, len(data))


def readable(text: str, keep_digits: bool) -> list[str]:
    return [word for chunk in text.split() for word in exact_chunk(chunk)] if keep_digits else normalised_words(text)


TRICKY = (
    "aA\u00e9\u0130\u03a3\u03c2 19\u0663\u066b.,-\u0301\u0e01\u0e31\u0e33\u1000\u102b\u30ac\u30fc\u4e2d\uac01\u2260"
    "\U0001d7d8"
)


@AT_LEISURE
@given(st.text(alphabet=st.sampled_from(TRICKY)) | st.text(), st.booleans())
def test_compiled_words_are_the_normalised_words(text: str, keep_digits: bool) -> None:
    assert compiled(text, keep_digits) == list(map(hashed, readable(text, keep_digits)))


def test_every_code_point_is_normalised_alike() -> None:
    """Each between letters, digits and characters of scripts without spaces; a block in a text."""
    alike = ((0x3400, 0xA000), (0xAC00, 0xD7A4), (0xD800, 0xE000), (0x20000, 0x30000))
    codes = [code for code in range(0x30000) if not any(first <= code < last for first, last in alike)]
    codes += [0x3400, 0x9FFF, *range(0xAC00, 0xD7A4, 29), 0x20000, 0x2A6DF, 0x2F800, 0xE0100, 0xF0000, sys.maxunicode]
    for first in range(0, len(codes), 1024):
        text = " ".join(f"a{chr(code)}B 1{chr(code)}2 \u0e01{chr(code)}\u4e2d" for code in codes[first : first + 1024])
        for keep_digits in (False, True):
            assert compiled(text, keep_digits) == list(map(hashed, readable(text, keep_digits))), hex(codes[first])


@AT_LEISURE
@given(st.text(alphabet=st.sampled_from("ab\u00e9 \u4e2d\U0001f600")), st.integers(1, 7))
def test_shingles_of_characters_are_the_distinct_runs(text: str, n: int) -> None:
    runs = {text[i : i + n] for i in range(len(text) - n + 1)} or ({text} if text else set())
    assert len(shingles(text, n, "chars")) == len(runs)
    assert np.array_equal(shingles(text, n, "chars"), exact_shingles(text, n, "chars"))


def test_a_run_has_its_hash_wherever_it_stands() -> None:
    for unit in get_args(Unit):
        sep = " " if unit == "words" else ""
        one, other = (sep.join(random.Random(seed).choices(LETTERS, k=40)) for seed in (1, 2))
        lone = shingles(sep.join("abcde"), 5, unit)
        around = shingles(sep.join([one, *"abcde", other]), 5, unit)
        assert len(lone) == 1
        assert lone[0] in around
        assert lone[0] not in shingles(sep.join("edcba"), 5, unit)


def test_settings_choose_a_published_scheme_a_threshold_or_numbers() -> None:
    assert scheme_of(Duplicates(bands=9, rows=4, ngram=3)) == Scheme(9, 4, 3)
    assert scheme_of(Duplicates(scheme="fineweb")) == Scheme(14, 8, 5)
    assert scheme_of(Duplicates(scheme="curator", seed=7)) == replace(SCHEMES["curator"], seed=7)
    chosen = scheme_of(Duplicates(threshold=0.8, num_functions=128, ngram=3))
    assert chosen == replace(scheme_for(0.8), ngram=3)
    assert chosen.bands * chosen.rows <= 128
    with pytest.raises(SettingsError, match=r"no 'fineweb2'; there are: .*fineweb"):
        Duplicates(scheme="fineweb2")
    with pytest.raises(SettingsError, match=r"duplicates\.threshold = 0\.999: no bands and rows of 128 functions"):
        Duplicates(threshold=0.999)
