"""Buckets of equal bands and the sweep over their rows, by themselves, against comparing every pair."""

import hashlib
import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.duplicates import candidates, verify
from pipelines.settings import Engine


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1)), max_size=60), st.integers(0, 70))
def test_buckets_are_the_values_that_come_twice_and_touch_this_crawl(given_: list[tuple[int, int]], own: int) -> None:
    rows = np.random.default_rng(len(given_)).permutation(len(given_)).astype(np.uint64)
    values, lows = np.array(given_, np.uint64).reshape(-1, 2).T
    for low in (lows, np.empty(0, np.uint64)):
        groups: dict[tuple[int, ...], list[int]] = {}
        for row, key in zip(rows.tolist(), given_, strict=True):
            groups.setdefault(key if len(low) else key[:1], []).append(row)
        wanted = [sorted(group) for _, group in sorted(groups.items()) if len(group) > 1 and max(group) >= own]
        found, sizes = candidates.met(values, low, rows, own)
        assert sizes.tolist() == list(map(len, wanted))
        assert found.tolist() == list(itertools.chain.from_iterable(wanted))


def test_ranges_fit_into_the_memory_that_is_given() -> None:
    for workers, rows in ((1, 10_000_000), (2, 10_000_000), (2, 1000)):
        engine = Engine(workers=workers, memory_bytes=256 << 20)
        largest = -(-rows // (1 << candidates.range_bits(rows, engine)))
        assert largest * candidates.BYTES_PER_ENTRY * workers <= engine.memory_bytes
    assert candidates.range_bits(0, Engine()) == 0


@st.composite
def swept(draw: st.DrawFn) -> tuple[list[set[int]], list[list[int]], list[bool]]:
    """Shingle sets that share much, buckets of any size, and which rows are of older crawls."""
    num_rows = draw(st.integers(1, 30))
    sets = draw(st.lists(st.sets(st.integers(0, 9), max_size=8), min_size=num_rows, max_size=num_rows))
    row = st.integers(0, num_rows - 1)
    buckets = draw(st.lists(st.sets(row, min_size=2), max_size=5)) if num_rows > 1 else []
    fixed = draw(st.lists(st.booleans(), min_size=num_rows, max_size=num_rows))
    return sets, [sorted(bucket) for bucket in buckets], fixed


@settings(deadline=None, max_examples=300)
@given(swept(), st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]), st.sampled_from([1, 4, 64]), st.sampled_from([1, 1 << 20]))
def test_kept_rows_are_those_of_comparing_with_every_kept_row(
    given_: tuple[list[set[int]], list[list[int]], list[bool]], threshold: float, small: int, memory: int
) -> None:
    sets, buckets, fixed = given_
    wanted = list(range(len(sets)))
    for row in range(len(sets)):
        near = {other for bucket in buckets if row in bucket for other in bucket if other < row}
        for other in sorted(near):
            either = len(sets[row] | sets[other])
            similarity = np.float32(len(sets[row] & sets[other]) / either if either else 0)
            if not fixed[row] and wanted[other] == other and similarity >= np.float32(threshold):
                wanted[row] = other
                break
    found = sweep(sets, buckets, fixed, threshold, small=small, memory=memory)
    assert found.keepers.tolist() == wanted
    assert found.capped == 0


def sweep(
    sets: Sequence[set[int]], buckets: Sequence[Sequence[int]], fixed: Sequence[bool], threshold: float,
    small: int = 64, memory: int = 1 << 20,
) -> verify.Kept:  # fmt: skip
    values = [sorted(hash_of(value) for value in one) for one in sets]
    lengths = np.array([len(one) for one in values], np.int64)
    held = np.array(fixed, bool)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify, "SMALL", small)
        return verify.kept(
            verify.Sets(
                np.array(list(itertools.chain.from_iterable(values)), np.uint64), np.cumsum(lengths) - lengths, lengths
            ),
            np.array(list(itertools.chain.from_iterable(buckets)), np.int64),
            np.cumsum([0, *map(len, buckets)]).astype(np.int64),
            fixed=held,
            held=held,
            threshold=threshold,
            memory_bytes=memory,
        )


def hash_of(value: int) -> int:
    return int.from_bytes(hashlib.blake2b(str(value).encode(), digest_size=8).digest(), "big")


def test_an_adversarial_bucket_costs_a_bounded_number_of_comparisons_and_tells() -> None:
    """Every pair shares 80 % of its shingles, just too few for the threshold, and they are all equally rare."""
    num_rows, common = 3000, set(range(80))
    sets = [common | {1000 + 20 * row + n for n in range(20)} for row in range(num_rows)]
    found = sweep(sets, [list(range(num_rows))], [False] * num_rows, 0.7)
    assert found.keepers.tolist() == list(range(num_rows))
    assert found.compared <= verify.MAX_COMPARED * num_rows
    assert 0 < found.capped < num_rows


def test_a_target_is_met_behind_any_number_of_others() -> None:
    """All share a template that alone is too little; the copy of each target goes."""
    common = set(range(80))
    targets = [common | {10_000 + 20 * n + m for m in range(20)} for n in range(700)]
    copies = [one - {10_000 + 20 * n} for n, one in enumerate(targets)]
    found = sweep([*targets, *copies], [list(range(1400))], [True] * 700 + [False] * 700, 0.7)
    assert found.keepers[700:].tolist() == list(range(700))
