"""What a predictor is, and what every fitted one answers."""

from typing import NamedTuple, Protocol

from mixer.candidates import Floats


class Prediction(NamedTuple):
    """Predicted loss of each row, and one standard deviation of what a trial would measure."""

    mean: Floats
    spread: Floats


class Fitted(Protocol):
    """A fitted model. `mean` alone is what ranking needs, and may cost a fraction of `predict`."""

    note: str

    def mean(self, weights: Floats) -> Floats: ...

    def predict(self, weights: Floats) -> Prediction: ...


class Predictor(Protocol):
    """(rows, buckets) weights and (rows,) losses, in (round, index) order, to a fitted model.

    A predictor is a frozen record of its settings, so that refitting on folds shares nothing.
    """

    @property
    def name(self) -> str: ...

    def fit(self, weights: Floats, losses: Floats) -> Fitted: ...
