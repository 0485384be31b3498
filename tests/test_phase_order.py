"""Draws in the order of phases: the same draws, each phase's mixture, first readings first, files of one phase."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixer.export.phase_order import in_phases, starts_of
from mixer.export.selection import select
from mixer.export.shards import NANOCHAT_ROWS, plan_shards
from mixer.trial import Phase, Schedule

CLUSTERS = 3


@st.composite
def problems(draw: st.DrawFn) -> tuple[dict, Schedule]:
    num = draw(st.integers(1, 80))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    lengths = draw(st.lists(st.integers(1, 900), min_size=2, max_size=3))
    parts = [Phase(tokens, tuple(random.dirichlet(np.full(CLUSTERS, 0.5)))) for tokens in lengths]
    schedule = Schedule(tuple(parts))
    return {
        "ids": random.integers(0, 256, (num, 16), dtype=np.uint8),
        "clusters": random.integers(0, CLUSTERS, num).astype(np.int32),
        "num_tokens": random.integers(0, 50, num).astype(np.int32),
        "weights": list(schedule.weights),
        "budget": draw(st.sampled_from([0, 500, 3000])),
        "max_epochs": draw(st.sampled_from([0.5, 1.0, 2.5, 4.0])),
        "seed": 7,
    }, schedule


@settings(max_examples=200, deadline=None)
@given(problems())
def test_phases_hold_the_same_draws_in_their_shares(given_problem) -> None:
    problem, schedule = given_problem
    before = select(**problem)
    after, drawn = in_phases(before, problem["clusters"], problem["num_tokens"], schedule)
    assert sorted(zip(after.rows, after.copies, strict=True)) == sorted(zip(before.rows, before.copies, strict=True))
    assert after.report == before.report
    phase = np.repeat(np.arange(len(drawn)), [one.rows for one in drawn])
    assert starts_of(drawn) == [int((phase < number).sum()) for number in range(1, len(drawn))]
    labels, sizes = problem["clusters"][after.rows], problem["num_tokens"][after.rows].astype(int)
    for number, one in enumerate(drawn):
        keys = after.keys[phase == number]
        assert (np.diff(keys.astype(object)) >= 0).all()  # shuffled within the phase as all draws are without
        assert one.tokens == sizes[phase == number].sum()
        assert sum(one.weights) == pytest.approx(1 if one.tokens else 0)
    for cluster in range(CLUSTERS):
        mine = labels == cluster
        read = [weight.weights[cluster] * weight.tokens for weight in schedule.phases]
        asked = np.cumsum(read) / sum(read) * sizes[mine].sum()
        held = np.cumsum([sizes[mine & (phase == number)].sum() for number in range(len(drawn))])
        assert (np.abs(asked - held) <= sizes[mine].max(initial=0) / 2 + 1e-6).all()
        first = [after.copies[mine & (phase == number)] for number in range(len(drawn))]
        for early, late in pairwise(first):
            assert early.max(initial=0) <= late.min(initial=100)


@pytest.mark.parametrize("layout", ["parquet", "nanochat"])
def test_no_file_is_of_two_phases_and_names_are_in_the_order_of_reading(layout) -> None:
    rows, starts = 9 * NANOCHAT_ROWS, [100, 100, 5000]
    sizes = np.full(rows, 10)
    plan = plan_shards(layout, "train", sizes, np.zeros(rows, np.int64), 20_000, starts=starts)
    assert (np.diff(plan.shards) >= 0).all()
    assert sorted(plan.names) == list(plan.names)
    assert len(plan.names) == plan.shards[-1] + 1 == len(np.unique(plan.shards))
    for start in starts:
        assert plan.shards[start] == plan.shards[start - 1] + 1
    whole = plan_shards(layout, "train", sizes, np.zeros(rows, np.int64), 20_000)
    assert len(plan.names) >= len(whole.names)
