"""Predictors by the names that settings and tables use."""

from collections.abc import Callable, Sequence

from mixer.prediction import Predictor
from mixer.predictors.exposure import Exposure
from mixer.predictors.kriging import Kriging
from mixer.predictors.loglinear import LogLinear
from mixer.predictors.ridge import Linear, Quadratic
from mixer.predictors.stack import Stack
from mixer.predictors.trees import REGMIX, LightGBM
from pipelines.errors import SettingsError

# `lightgbm` gives runs that are too few for trees to kriging; the other two are as published. `auto` is what to take
# where nobody says: on the public tables it is nowhere far behind the best single one, and ahead on average.
PREDICTORS: dict[str, Callable[[int], Predictor]] = {
    "linear": lambda seed: Linear(),
    "quadratic": lambda seed: Quadratic(),
    "loglinear": lambda seed: LogLinear(),
    "kriging": lambda seed: Kriging(),
    "lightgbm": lambda seed: LightGBM(seed),
    "lightgbm-climb": lambda seed: LightGBM(seed, min_runs=12, name="lightgbm-climb"),
    "lightgbm-regmix": lambda seed: LightGBM(seed, min_runs=0, settings=REGMIX, name="lightgbm-regmix"),
    "stack": lambda seed: Stack(seed=seed),
    "auto": lambda seed: Stack(seed=seed, name="auto"),
}


def predictor(name: str, seed: int = 42, available: Sequence[float] = (), phases: Sequence[int] = ()) -> Predictor:
    """The predictor of this name; SettingsError naming those there are.

    `exposure` alone needs to know how many tokens each bucket holds and each phase of a trial reads.
    """
    if name == "exposure":
        if not (available and phases):
            raise SettingsError("the predictor exposure needs the tokens of buckets and of phases, and none are given")
        return Exposure(tuple(available), tuple(phases))
    if name not in PREDICTORS:
        raise SettingsError(f"no predictor is called {name!r}; there are: {', '.join(PREDICTORS)}, exposure")
    return PREDICTORS[name](seed)
