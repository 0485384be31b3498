"""What every fitted predictor answers."""

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
