import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.trial import Loss, Phase, Result, Schedule, Trial
from pipelines.search_settings import Proxy


def trial(**changes) -> Trial:
    values = {
        "schedule": Schedule.static((0.25, 0.75), 1000),
        "proxy": Proxy(),
        "seed": 1,
        "data": "d",
        "round": 2,
        "index": 3,
    }
    return Trial(**{**values, **changes})


simplex = st.lists(st.floats(1e-9, 1), min_size=2, max_size=40).map(lambda xs: tuple(x / sum(xs) for x in xs))


@given(simplex, st.integers(1, 10**12), st.integers(0, 2**62))
def test_json_round_trip_keeps_trial_and_key(weights, tokens, seed):
    before = trial(schedule=Schedule((Phase(tokens, weights), Phase(1, weights[::-1]))), seed=seed, name="x")
    after = Trial.from_json(json.loads(json.dumps(before.to_json())))
    assert after == before
    assert after.key == before.key


def test_key_names_what_is_trained_and_nothing_else():
    key = trial().key
    assert trial(round=9, index=0, name="other").key == key
    others = [
        trial(schedule=Schedule.static((0.75, 0.25), 1000)),
        trial(schedule=Schedule.static((0.25, 0.75), 1001)),
        trial(schedule=Schedule((Phase(500, (0.25, 0.75)), Phase(500, (0.25, 0.75))))),
        trial(proxy=Proxy(width=128)),
        trial(seed=2),
        trial(data="e"),
    ]
    assert len({key, *(other.key for other in others)}) == 7


def test_key_does_not_depend_on_how_numbers_came():
    assert len(trial().key) == 32
    assert trial().key == trial(schedule=Schedule.static(np.array([0.25, 0.75]), np.int64(1000))).key
    assert trial(schedule=Schedule.static((0.0, 1.0), 5)).key == trial(schedule=Schedule.static((-0.0, 1), 5)).key


@pytest.mark.parametrize(
    ("tokens", "weights", "message"),
    [
        (0, (0.5, 0.5), "at least one token"),
        (10, (0.5, 0.6), "must sum to 1"),
        (10, (1.5, -0.5), r"weights\[1\] = -0.5"),
        (10, (1.0, math.nan), r"weights\[1\] = nan"),
        (10, (), "must sum to 1"),
    ],
)
def test_bad_phases_are_refused(tokens, weights, message):
    with pytest.raises(ValueError, match=message):
        Phase(tokens, weights)


def test_bad_schedules_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        Schedule(())
    with pytest.raises(ValueError, match="same buckets"):
        Schedule((Phase(1, (1.0,)), Phase(1, (0.5, 0.5))))


def test_schedule_sums_tokens_and_averages_weights_by_them():
    schedule = Schedule((Phase(300, (1.0, 0.0)), Phase(100, (0.0, 1.0))))
    assert schedule.tokens == 400
    assert schedule.weights == (0.75, 0.25)
    assert schedule.num_buckets == 2


@pytest.mark.parametrize(
    ("losses", "error", "failed"),
    [
        ({"a": Loss(2.0, 1.0)}, "", False),
        ({"a": Loss(2.0, 1.0), "b": Loss(math.nan, 1.0)}, "", False),
        ({"a": Loss(math.nan, math.nan)}, "", True),
        ({}, "", True),
        ({"a": Loss(2.0, 1.0)}, "killed", True),
    ],
)
def test_result_round_trip_and_failure(losses, error, failed):
    before = Result("k", losses, 10, 0.25, error)
    text = json.dumps(before.to_json(), allow_nan=False)
    after = Result.from_json(json.loads(text))
    assert before.failed is failed
    assert after.failed is failed
    assert repr(after) == repr(before)  # repr, since NaN differs from itself
