from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixer.proxies.data import Evaluation, batches, by_name, epochs, num_steps, opened, order, quotas, window_starts
from mixer.trial import Phase, Schedule
from pipelines.errors import TrialError

S, B = 8, 4


def pools(*sizes: int) -> list[np.ndarray]:
    """Pools whose token values tell bucket and place: 10,000 x (bucket + 1) + place."""
    return [10_000 * (bucket + 1) + np.arange(size, dtype=np.uint32) for bucket, size in enumerate(sizes)]


def run(schedule: Schedule, sizes: tuple[int, ...], *, seed: int = 1, start: int = 0) -> list[np.ndarray]:
    return list(batches(pools(*sizes), schedule, sequence=S, batch=B, seed=seed, start=start))


def sequences_of(bucket: int, steps: list[np.ndarray]) -> np.ndarray:
    rows = np.concatenate(steps)
    return rows[rows[:, 0] // 10_000 == bucket + 1]


def test_shape_and_budget() -> None:
    steps = run(Schedule.static((0.5, 0.5), 1000), (5000, 5000))
    assert {step.shape for step in steps} == {(B, S + 1)}
    assert len(steps) == 31  # 1000 / 32 = 31.25
    assert num_steps(Schedule.static((1.0,), 1), sequence=S, batch=B) == 1
    assert all(np.array_equal(row, np.arange(row[0], row[0] + S + 1)) for step in steps for row in step)


def test_same_seed_same_batches_and_start_skips() -> None:
    schedule = Schedule((Phase(640, (0.5, 0.2, 0.3)), Phase(320, (0.1, 0.9, 0.0))))
    first, again = run(schedule, (900, 300, 500)), run(schedule, (900, 300, 500))
    assert all(map(np.array_equal, first, again))
    assert all(map(np.array_equal, first[13:], run(schedule, (900, 300, 500), start=13)))
    assert not all(map(np.array_equal, first, run(schedule, (900, 300, 500), seed=2)))


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 1000), min_size=3, max_size=3).filter(any), min_size=1, max_size=3),
    st.integers(1, 100_000),
)
def test_counts_follow_weights_within_one(rows: list[list[int]], tokens: int) -> None:
    schedule = Schedule(tuple(Phase(tokens, tuple(w / sum(row) for w in row)) for row in rows))
    counts = quotas(schedule, sequence=S, batch=B)
    total = B * num_steps(schedule, sequence=S, batch=B)
    assert counts.sum() == total
    assert np.abs(counts.sum(axis=1) - total / len(rows)).max() <= 1
    exact = np.array([phase.weights for phase in schedule.phases]) * counts.sum(axis=1, keepdims=True)
    assert (np.abs(counts - exact) < 1).all()
    assert not counts[np.array(rows) == 0].any()
    placed = order(schedule, sequence=S, batch=B, seed=3)
    ends = np.cumsum(counts.sum(axis=1))
    for part, expected in zip(np.split(placed, ends[:-1]), counts, strict=True):
        assert np.array_equal(np.bincount(part, minlength=3), expected)


def test_largest_remainder_by_hand() -> None:
    # 16 sequences: 7.04, 4.8, 4.16 -> 7, 4, 4 and one left for the remainder .8
    assert quotas(Schedule.static((0.44, 0.3, 0.26), 128), sequence=S, batch=B).tolist() == [[7, 5, 4]]
    # 16 x 1/3 = 5.33 each: equal remainders, the first one wins
    assert quotas(Schedule.static((1 / 3, 1 / 3, 1 / 3), 128), sequence=S, batch=B).tolist() == [[6, 5, 5]]


def test_buckets_kth_sequence_ignores_weights() -> None:
    sizes = (400, 400, 400)
    one = run(Schedule.static((0.5, 0.25, 0.25), 960), sizes)
    other = run(Schedule.static((0.1, 0.1, 0.8), 1920), sizes)
    for bucket in range(3):
        a, b = sequences_of(bucket, one), sequences_of(bucket, other)
        shared = min(len(a), len(b))
        assert shared > 10
        assert np.array_equal(a[:shared], b[:shared])


def test_place_in_the_run_depends_on_own_share_alone() -> None:
    one = order(Schedule.static((0.5, 0.25, 0.25), 1920), sequence=S, batch=B, seed=1)
    other = order(Schedule.static((0.5, 0.5, 0.0), 1920), sequence=S, batch=B, seed=1)
    # what is drawn around it moves a sequence by a place or two at most
    assert np.abs(np.flatnonzero(one == 0) - np.flatnonzero(other == 0)).max() <= 3


def test_mixture_is_kept_in_every_stretch() -> None:
    placed = order(Schedule.static((0.9, 0.1), 32_000), sequence=S, batch=B, seed=1)
    tenths = [np.count_nonzero(part) for part in np.split(placed, 10)]
    assert max(tenths) - min(tenths) <= 2  # binomial chance would give 40 +- 6
    assert len({tuple(part) for part in np.split(placed, 400)}) > 5  # and yet not a pattern


@settings(deadline=None)
@given(st.integers(2, 200), st.integers(0, 60), st.integers(0, 5))
def test_windows_lie_inside_and_repeat_only_after_an_epoch(size: int, num: int, seed: int) -> None:
    starts = window_starts(size, num, sequence=S, seed=seed, bucket=0)
    per_epoch = max(1, (size - 1) // S)
    assert len(starts) == num
    if size > S:
        assert ((starts >= 0) & (starts + S < size)).all()
    for first in range(0, num, per_epoch):
        epoch = np.sort(starts[first : first + per_epoch])
        assert (np.diff(epoch) >= S).all()  # no token is predicted twice


def test_every_token_is_predicted_once_an_epoch_and_ends_take_turns() -> None:
    starts = window_starts(10 * S + 4, 50, sequence=S, seed=1, bucket=0)  # five epochs, 3 tokens over
    firsts = set()
    for epoch in np.split(starts, 5):
        predicted = np.concatenate([np.arange(start + 1, start + S + 1) for start in epoch])
        assert np.array_equal(np.sort(predicted), np.arange(epoch.min() + 1, epoch.min() + 10 * S + 1))
        firsts.add(int(epoch.min()))
    assert len(firsts) > 1
    assert len({tuple(epoch) for epoch in np.split(starts, 5)}) == 5


def test_bucket_smaller_than_a_window_is_read_in_a_circle() -> None:
    steps = run(Schedule.static((0.5, 0.5), 640), (5, 1000))
    small = sequences_of(0, steps)
    assert len(small) == 40
    for row in small:
        assert np.array_equal(row - 10_000, np.arange(row[0] - 10_000, row[0] - 10_000 + S + 1) % 5)
    assert len(np.unique(small[:, 0])) > 1


def test_epochs() -> None:
    schedule = Schedule.static((0.5, 0.25, 0.25), 1024)
    assert epochs((128, 1024, 0), schedule, sequence=S, batch=B) == (4.0, 0.25, 0.0)


def test_phases_keep_reading_where_they_were() -> None:
    split = Schedule((Phase(320, (0.5, 0.5)), Phase(320, (1.0, 0.0))))
    whole = Schedule.static((1.0, 0.0), 960)
    sizes = (3000, 3000)
    assert np.array_equal(sequences_of(0, run(split, sizes)), sequences_of(0, run(whole, sizes))[:60])
    assert not len(sequences_of(1, run(split, sizes)[10:]))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [((100, 0), "bucket 1 has 0 tokens"), ((100, 1), "bucket 1 has 1"), ((100,), "1 token pools for 2")],
)
def test_pools_that_cannot_serve(sizes: tuple[int, ...], message: str) -> None:
    with pytest.raises(TrialError, match=message):
        run(Schedule.static((0.5, 0.5), 1000), sizes)


def test_empty_bucket_without_weight_is_fine() -> None:
    assert len(run(Schedule.static((1.0, 0.0), 320), (100, 0))) == 10


def test_memory_maps_travel_by_name(tmp_path: Path) -> None:
    path = tmp_path / "pool.bin"
    np.arange(50_000, dtype="<u2").tofile(path)
    mapped = np.memmap(path, "<u2", "r")
    later = np.memmap(path, "<u2", "r", offset=20_000, shape=(5000,))
    for tokens in (mapped, mapped[100:200], mapped[30_000:][5:9], later, later[7:], mapped[3:3]):
        named = by_name(tokens)
        assert not isinstance(named, np.ndarray) or not len(tokens)
        assert np.array_equal(opened(named), tokens)
    plain = np.arange(5, dtype=np.uint16)
    assert opened(by_name(plain)) is plain
    assert np.array_equal(opened(by_name(mapped[::2])), mapped[::2])


def test_macro_average_counts_all_bytes() -> None:
    groups = [Evaluation(np.arange(5, dtype=np.uint16), 20), Evaluation(np.arange(9, dtype=np.uint16), 30)]
    assert Evaluation.macro(groups).num_bytes == 50
