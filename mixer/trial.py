"""One proxy training and what came of it: Schedule -> Trial -> Result, and their plain JSON forms.

A trial's key names what is trained and nothing else: two strategies that ask for the same schedule, proxy,
seed and data share one training. Weights are kept as given, not renormalised, so that a key survives any
number of trips through JSON.
"""

import hashlib
import json
import math
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from pipelines.search_settings import Proxy

VERSION = "1"  # raised when the same trial would train to other numbers
SUM_TOLERANCE = 1e-6  # weights come from float64 divisions over at most a few thousand buckets


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of training: this many tokens, drawn from the buckets by these weights."""

    tokens: int
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        # Plain Python numbers, whatever came in: NumPy scalars would not compare or print alike.
        object.__setattr__(self, "tokens", int(self.tokens))
        object.__setattr__(self, "weights", tuple(float(weight) + 0.0 for weight in self.weights))
        if self.tokens <= 0:
            raise ValueError(f"tokens = {self.tokens}: a phase trains on at least one token")
        for bucket, weight in enumerate(self.weights):
            if not (math.isfinite(weight) and weight >= 0):
                raise ValueError(f"weights[{bucket}] = {weight}: every weight is finite and at least 0")
        if abs(math.fsum(self.weights) - 1) > SUM_TOLERANCE:
            raise ValueError(f"weights sum to {math.fsum(self.weights)!r}: they must sum to 1")

    def to_json(self) -> dict[str, Any]:
        return {"tokens": self.tokens, "weights": list(self.weights)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        return cls(values["tokens"], tuple(values["weights"]))


@dataclass(frozen=True, slots=True)
class Schedule:
    """What a training sees, in order; a static mixture is one phase."""

    phases: tuple[Phase, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "phases", tuple(self.phases))
        if not self.phases:
            raise ValueError("phases is empty: a schedule has at least one")
        sizes = {len(phase.weights) for phase in self.phases}
        if len(sizes) > 1:
            raise ValueError(f"phases have {sorted(sizes)} weights: every phase weighs the same buckets")

    @classmethod
    def static(cls, weights: Iterable[float], tokens: int) -> Self:
        """The schedule of one phase."""
        return cls((Phase(tokens, tuple(weights)),))

    @property
    def tokens(self) -> int:
        return sum(phase.tokens for phase in self.phases)

    @property
    def num_buckets(self) -> int:
        return len(self.phases[0].weights)

    @property
    def weights(self) -> tuple[float, ...]:
        """Share of each bucket in all tokens; of a static schedule, its weights exactly."""
        if len(self.phases) == 1:
            return self.phases[0].weights
        shares = [phase.tokens / self.tokens for phase in self.phases]
        columns = zip(*(phase.weights for phase in self.phases), strict=True)
        return tuple(math.fsum(map(operator.mul, shares, column)) for column in columns)

    def to_json(self) -> dict[str, Any]:
        return {"phases": [phase.to_json() for phase in self.phases]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        return cls(tuple(Phase.from_json(phase) for phase in values["phases"]))


@dataclass(frozen=True, slots=True)
class Trial:
    """One proxy to train. `round`, `index` and `name` say why it is trained; the key ignores them."""

    schedule: Schedule
    proxy: Proxy
    seed: int
    data: str  # digest of the token pools and the targets
    round: int
    index: int
    name: str = ""

    @property
    def key(self) -> str:
        """32 hex digits: hash of schedule, proxy, seed, data and VERSION."""
        trained = [VERSION, self.schedule.to_json(), self.proxy.model_dump(mode="json"), self.seed, self.data]
        text = json.dumps(trained, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def to_json(self) -> dict[str, Any]:
        return {
            "schedule": self.schedule.to_json(),
            "proxy": self.proxy.model_dump(mode="json"),
            "seed": self.seed,
            "data": self.data,
            "round": self.round,
            "index": self.index,
            "name": self.name,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        return cls(
            schedule=Schedule.from_json(values["schedule"]),
            proxy=Proxy.model_validate(values["proxy"]),
            seed=operator.index(values["seed"]),
            data=_text(values["data"]),
            round=operator.index(values["round"]),
            index=operator.index(values["index"]),
            name=_text(values["name"]),
        )


@dataclass(frozen=True, slots=True)
class Loss:
    """Mean loss on one held-out text, or on the right answers of a task: nats per token, and bits per UTF-8 byte, which
    compares tokenisers."""

    nats: float
    bits_per_byte: float
    accuracy: float | None = None  # of a task alone: the share of items that are right
    accuracy_norm: float | None = None  # the same, choices compared by their log-likelihood per character

    def value(self, metric: str) -> float:
        """The loss by a metric's name, lower is better: of an accuracy, what it lacks to 1. ValueError for none."""
        found: float | None = getattr(self, metric)
        if found is None:
            raise ValueError(f"there is no {metric}, only nats and bits_per_byte")
        return 1 - found if metric in ("accuracy", "accuracy_norm") else found

    def to_json(self) -> dict[str, Any]:
        told = {"nats": _number(self.nats), "bits_per_byte": _number(self.bits_per_byte)}
        if self.accuracy is not None:
            told["accuracy"] = _number(self.accuracy)
        if self.accuracy_norm is not None:
            told["accuracy_norm"] = _number(self.accuracy_norm)
        return told

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        tasks = {name: _float(values[name]) for name in ("accuracy", "accuracy_norm") if values.get(name) is not None}
        return cls(_float(values["nats"]), _float(values["bits_per_byte"]), **tasks)


@dataclass(frozen=True, slots=True)
class Result:
    """What a training gave: losses by held-out text, or an error; `taken_from` names the search that paid for it."""

    key: str
    losses: dict[str, Loss]
    tokens: int
    seconds: float
    error: str = ""
    taken_from: str = ""  # of a trial that was not trained for this journal

    @property
    def failed(self) -> bool:
        """An error, or no loss that is a number: a diverged proxy has none."""
        return bool(self.error) or not any(math.isfinite(loss.nats) for loss in self.losses.values())

    def to_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "losses": {name: loss.to_json() for name, loss in self.losses.items()},
            "tokens": self.tokens,
            "seconds": self.seconds,
            "error": self.error,
            **({"taken_from": self.taken_from} if self.taken_from else {}),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        losses = {name: Loss.from_json(loss) for name, loss in values["losses"].items()}
        tokens, seconds = operator.index(values["tokens"]), _float(values["seconds"])
        error, taken_from = _text(values["error"]), _text(values.get("taken_from", ""))
        return cls(_text(values["key"]), losses, tokens, seconds, error, taken_from)


def _number(value: float) -> float | None:
    """JSON has no NaN and no infinity; both become null."""
    return value if math.isfinite(value) else None


def _float(value: Any) -> float:
    """TypeError for what is neither a number nor null."""
    if isinstance(value, bool) or not isinstance(value, int | float | None):
        raise TypeError(f"{value!r:.80} is no number")
    return math.nan if value is None else float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.80} is no text")
    return value
