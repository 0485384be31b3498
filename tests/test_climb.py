import numpy as np
import planted
import pytest

from mixer.candidates import Space, pool, start
from mixer.prediction import Prediction
from mixer.predictors.kriging import Kriging
from mixer.predictors.trees import LightGBM
from mixer.strategies.climb import MIN_TOP, Climb
from mixer.strategies.random_search import RandomSearch
from mixer.strategy import History
from pipelines.errors import SettingsError

SPACE = Space.of(planted.TOKENS, budget_tokens=sum(planted.TOKENS), max_epochs=15)
POOL = pool(SPACE, 5000, concentration=1.0, seed=42)
START = start(SPACE, 40, seed=42)


class Exact:
    """A predictor that knows the landscape, in steps where asked."""

    name = "exact"

    def __init__(self, step: float = 0.0) -> None:
        self.step = step

    def fit(self, weights, losses):
        return self

    note = "exact"

    def mean(self, weights):
        losses = np.array([planted.loss(row) for row in weights])
        return np.round(losses / self.step) * self.step if self.step else losses

    def predict(self, weights):
        return Prediction(self.mean(weights), np.zeros(len(weights)))


def history(weights, rounds=None) -> History:
    losses = np.array([planted.loss(row) for row in weights])
    rounds = np.ones(len(weights), np.int64) if rounds is None else np.asarray(rounds)
    return History(np.asarray(weights), losses, rounds, {})


def test_first_round_is_the_start_and_random_search_begins_with_the_same():
    nothing = History.empty(8)
    climb, random = Climb(START, POOL), RandomSearch(START)
    assert np.array_equal(climb.propose(nothing, 16), START[:16])
    assert np.array_equal(random.propose(nothing, 16), START[:16])
    assert np.array_equal(random.propose(history(START[:16]), 24), START[16:])
    with pytest.raises(SettingsError, match="41 trials in a round, but 40 mixtures"):
        climb.propose(nothing, 41)


@pytest.mark.parametrize(("n", "top"), [(1, 1), (4, MIN_TOP), (11, MIN_TOP), (16, 256)])
def test_proposals_come_from_the_top_without_repeats(n, top):
    climb = Climb(START, POOL, Exact())
    best = {row.tobytes() for row in POOL[np.argsort([planted.loss(row) for row in POOL])[:top]]}
    seen = set()
    for seed in range(12):
        found = Climb(START, POOL, Exact(), seed).propose(history(START), n)
        assert found.shape == (n, 8)
        keys = {row.tobytes() for row in found}
        assert len(keys) == n
        assert keys <= best
        seen |= keys
    assert len(seen) > min(top, 3 * n) / 2  # a choice among them, not always the same
    assert np.array_equal(climb.propose(history(START), n), climb.propose(history(START), n))


def test_tried_mixtures_are_not_proposed_again_and_rounds_differ():
    climb = Climb(START, POOL, Exact())
    once = climb.propose(history(START), 8)
    tried = history(np.concatenate([START, once]), [1] * 40 + [2] * 8)
    again = climb.propose(tried, 8)
    assert not {row.tobytes() for row in once} & {row.tobytes() for row in again}
    small = Climb(START, once, Exact())
    with pytest.raises(SettingsError, match="8 trials in a round, but 0 candidates untried"):
        small.propose(tried, 8)


def test_recommends_the_lowest_prediction_of_the_pool():
    found = Climb(START, POOL, Exact()).recommend(history(START))
    assert planted.loss(found) == pytest.approx(min(planted.loss(row) for row in POOL))
    # Of a plateau, its middle: still a lowest prediction, and within the caps.
    step = 0.05
    middle = Climb(START, POOL, Exact(step)).recommend(history(START))
    lowest = Exact(step).mean(POOL).min()
    assert Exact(step).mean(middle[np.newaxis])[0] <= lowest
    assert middle.sum() == pytest.approx(1)
    assert (middle <= SPACE.limits + 1e-12).all()


def test_two_plateaus_have_no_middle():
    corners = np.eye(3)

    class Corners(Exact):
        def mean(self, weights):
            return 1 - weights[:, :2].max(axis=1)

    found = Climb(corners, corners, Corners()).recommend(History(corners, np.ones(3), np.ones(3, int), {}))
    assert found.tolist() in corners[:2].tolist()


def test_random_search_recommends_the_best_measured():
    measured = history(START)
    assert planted.loss(RandomSearch(START).recommend(measured)) == measured.losses.min()
    assert RandomSearch(START).fit(measured) is None


@pytest.mark.parametrize("predictor", [LightGBM(), Kriging()])
def test_rounds_get_better(predictor):
    climb = Climb(START, POOL, predictor)
    known = history(START)
    second = climb.propose(known, 8)
    assert np.mean([planted.loss(row) for row in second]) < known.losses.mean() - 0.1
