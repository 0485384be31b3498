"""MinHash against exact similarity and datasketch, candidate pairs and groups against plain loops and scipy."""

import random
from itertools import combinations
from typing import Any

import hypothesis
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.duplicates import minhash
from pipelines.duplicates.minhash import (
    candidate_pairs,
    content_hash,
    jaccards,
    keepers,
    shingle_sets,
    shingles,
    signatures,
)
from pipelines.settings import Duplicates
from pipelines.text.words import normalised_words

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
    bands = bands_of(signatures([one, other], Duplicates()))
    assert (bands[:, 0] == bands[:, 1]).all()
    values, offsets = shingle_sets([one, other], 5)
    assert jaccards(values, offsets, np.array([0]), np.array([1])) == 0


def test_one_other_date_leaves_a_near_duplicate() -> None:
    words = text_of(100, 1)
    texts = [" ".join([*words[:50], date, *words[50:]]) for date in ("2024-05-17", "1999-12-31")]
    bands = bands_of(signatures(texts, Duplicates()))
    assert (bands[:, 0] == bands[:, 1]).all()
    values, offsets = shingle_sets(texts, 5)
    assert Duplicates().min_jaccard < jaccards(values, offsets, np.array([0]), np.array([1]))[0] < 1
    assert np.array_equal(minhash.exact_shingles(" ".join(words), 5), shingles(" ".join(words), 5))


def test_short_texts_have_one_shingle_and_empty_ones_none() -> None:
    assert len(shingles("two words", 5)) == 1
    assert np.array_equal(shingles("two words", 5), shingles("Two words.", 5))
    assert not np.array_equal(shingles("two words", 5), shingles("words two", 5))
    assert not np.intersect1d(shingles("a b c", 5), shingles("a b c d e", 5)).size
    assert len(shingles("... !", 5)) == 0
    assert len(shingles("", 5)) == 0


def test_forgetting_changes_no_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(text_of(200, 1))
    before = shingles(text, 5)
    monkeypatch.setattr(minhash, "MAX_REMEMBERED", 7)
    assert np.array_equal(shingles(text, 5), before)


def test_hashes_are_the_same_for_ever() -> None:
    table = signatures(["the quick brown fox jumps over the lazy dog", "", "a"], Duplicates(bands=2, rows=3))
    assert table.column_names == ["content_hash", "num_shingles", "band_00", "band_01"]
    assert table["num_shingles"].to_pylist() == [5, 0, 1]
    assert table["content_hash"].to_pylist()[2].hex() == "a96faf705af16834e6c632b61e964e1f"
    assert [f"{value:016x}" for value in bands_of(table)[:, 0]] == ["8f167fe22589034b", "de469afcf149364b"]


def test_content_hash_sees_words_not_spaces() -> None:
    assert content_hash("a  b\n") == content_hash(" a b")
    assert content_hash("a b") != content_hash("ab")
    assert content_hash("A b") != content_hash("a b")
    assert len(content_hash("")) == 16


def test_equal_texts_have_equal_bands_and_empty_ones_meet_exact_copies_only() -> None:
    table = signatures(["a b", "A, b", "", "!", "!", "?"], Duplicates())
    bands = bands_of(table)
    assert (bands[:, 0] == bands[:, 1]).all()
    assert (bands[:, 3] == bands[:, 4]).all()
    for left, right in [(0, 2), (2, 3), (3, 5)]:
        assert (bands[:, left] != bands[:, right]).all()


def test_seeds_and_shapes_give_other_bands() -> None:
    texts = [" ".join(text_of(50, 1))]
    one, two = (bands_of(signatures(texts, Duplicates(seed=seed))) for seed in (1, 2))
    assert (one != two).all()
    assert len(bands_of(signatures(texts, Duplicates(bands=5, rows=2)))) == 5


def test_no_texts() -> None:
    table = signatures([], Duplicates())
    assert table.num_rows == 0
    assert table.schema.field("content_hash").type == pa.binary(16)
    assert table.schema.field("num_shingles").type == pa.int32()
    assert table.schema.field("band_13").type == pa.uint64()


@pytest.mark.parametrize("share", [0.005, 0.02, 0.05])
def test_agreement_estimates_similarity_as_well_as_datasketch(share: float) -> None:
    """With one row a band, the share of equal bands is MinHash's estimate: error sqrt(s (1 - s) / k)."""
    from datasketch import MinHash

    settings, num_pairs = Duplicates(bands=128, rows=1), 60
    left = [text_of(300, seed) for seed in range(num_pairs)]
    right = [edited(words, share, seed) for seed, words in enumerate(left)]
    texts = [" ".join(words) for words in left + right]
    bands = bands_of(signatures(texts, settings))
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


def test_candidates_follow_the_curve() -> None:
    """A pair of similarity s meets with probability 1 - (1 - s^r)^b."""
    settings, num_pairs = Duplicates(), 800
    numbers = random.Random(5)
    left = [text_of(120, seed) for seed in range(num_pairs)]
    right = [edited(words, numbers.uniform(0.0, 0.12), seed) for seed, words in enumerate(left)]
    texts = [" ".join(words) for words in left + right]
    bands = bands_of(signatures(texts, settings))
    values, offsets = shingle_sets(texts, settings.ngram)
    similarity = jaccards(values, offsets, np.arange(num_pairs), np.arange(num_pairs) + num_pairs).astype(float)
    met = (bands[:, :num_pairs] == bands[:, num_pairs:]).any(axis=0)
    expected = 1 - (1 - similarity**settings.rows) ** settings.bands
    assert 0.2 < expected.mean() < 0.8
    for low in (0.3, 0.5, 0.6, 0.7, 0.8):
        some = (similarity >= low) & (similarity < low + 0.1)
        spread = np.sqrt((expected[some] * (1 - expected[some])).sum()) / some.sum()
        assert abs(met[some].mean() - expected[some].mean()) < 4 * spread + 0.01


# ---------------------------------------------------------------------------------------------------------
# Pairs and groups


@AT_LEISURE
@given(st.lists(st.integers(0, 6), max_size=40), st.randoms())
def test_pairs_are_those_that_share_a_hash(buckets: list[int], random_: Any) -> None:
    rows = random_.sample(range(2**63, 2**63 + 1000), len(buckets))
    left, right, capped = candidate_pairs(np.array(buckets, np.uint64), np.array(rows, np.uint64))
    wanted = {(min(a, b), max(a, b)) for (a, x), (b, y) in combinations(zip(rows, buckets, strict=True), 2) if x == y}
    found = list(zip(left.tolist(), right.tolist(), strict=True))
    assert set(found) == wanted
    assert len(found) == len(wanted)
    assert capped == 0


def test_a_row_that_comes_twice_is_no_pair() -> None:
    left, right, _ = candidate_pairs(np.array([7, 7, 7], np.uint64), np.array([1, 1, 2], np.uint64))
    assert set(zip(left.tolist(), right.tolist(), strict=True)) == {(1, 2)}


@pytest.mark.parametrize("size", [51, 10_000])
def test_large_buckets_stay_linear_and_joined(size: int) -> None:
    rows = np.random.default_rng(1).permutation(size).astype(np.uint64)
    left, right, capped = candidate_pairs(
        np.concatenate([np.zeros(size), [1, 1]]).astype(np.uint64),
        np.concatenate([rows, [size, size + 1]]).astype(np.uint64),
    )
    assert capped == 1
    assert len(left) <= minhash.NUM_CENTRES * size + 1
    assert (left < right).all()
    groups = keepers(size + 2, left, right)
    assert (groups[:size] == 0).all()
    assert groups[size:].tolist() == [size, size]
    centres = np.unique(left[left < size])
    assert centres.tolist() == list(range(minhash.NUM_CENTRES))


def test_a_bucket_at_the_cap_is_whole() -> None:
    left, _, capped = candidate_pairs(np.zeros(50, np.uint64), np.arange(50, dtype=np.uint64))
    assert (len(left), capped) == (50 * 49 // 2, 0)


@AT_LEISURE
@given(st.lists(st.sets(st.integers(0, 2**64 - 1) | st.integers(0, 9), max_size=20), min_size=1, max_size=6))
def test_jaccards_are_exact(sets: list[set[int]]) -> None:
    arrays = [np.array(sorted(one), np.uint64) for one in sets]
    offsets = np.cumsum([0, *map(len, arrays)]).astype(np.int64)
    pairs = list(combinations(range(len(sets)), 2)) + [(i, i) for i in range(len(sets))]
    left, right = np.array(pairs, np.uint64).T
    found = jaccards(np.concatenate(arrays), offsets, left, right)
    assert found.dtype == np.float32
    assert found.tolist() == [np.float32(exact(arrays[i], arrays[j])) for i, j in pairs]


def test_similarity_at_the_threshold_counts() -> None:
    values, offsets = np.array([*range(10), *range(7)], np.uint64), np.array([0, 10, 17])
    assert (jaccards(values, offsets, np.array([0]), np.array([1])) >= 0.7).all()


@AT_LEISURE
@given(st.integers(1, 40), st.data())
def test_keepers_are_the_smallest_of_connected_components(num_rows: int, data: st.DataObject) -> None:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    ends = st.lists(st.tuples(st.integers(0, num_rows - 1), st.integers(0, num_rows - 1)), max_size=60)
    pairs = np.array(data.draw(ends), np.uint64).reshape(-1, 2)
    found = keepers(num_rows, pairs[:, 0], pairs[:, 1])
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(num_rows, num_rows))
    _, labels = connected_components(graph, directed=False)
    smallest = [int(np.flatnonzero(labels == label)[0]) for label in labels]
    assert found.tolist() == smallest


def test_unverified_pairs_do_not_chain() -> None:
    """b is like a and like c, but a and c meet only through b: dropping the pair (b, c) frees c."""
    pairs, similar = np.array([[0, 1], [1, 2]]), np.array([True, False])
    assert keepers(3, pairs[similar, 0], pairs[similar, 1]).tolist() == [0, 0, 2]


def test_graded_copies_from_text_to_group() -> None:
    """Exact and near copies join, a half-rewritten one does not."""
    settings = Duplicates()
    base, other = text_of(400, 1), text_of(400, 2)
    rows = [base, other, edited(base, 0.003, 3), base[:-3], edited(base, 0.3, 4), [word.upper() for word in other]]
    texts = [" ".join(words) for words in rows]
    table = signatures(texts, settings)
    numbers = np.arange(len(texts), dtype=np.uint64)
    pairs = [candidate_pairs(band, numbers)[:2] for band in bands_of(table)]
    left, right = np.unique(np.concatenate([np.stack(pair, axis=1) for pair in pairs]), axis=0).T
    values, offsets = shingle_sets(texts, settings.ngram)
    real = jaccards(values, offsets, left, right) >= settings.min_jaccard
    assert keepers(len(texts), left[real], right[real]).tolist() == [0, 1, 0, 0, 4, 1]
