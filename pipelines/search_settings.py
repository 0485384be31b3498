"""What a search of the mixture reads: its proxies, and the section `search` with the rules between its keys."""

import difflib
import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pipelines.section import Section


class Proxy(Section):
    """The small Llama-architecture model that stands for the big one."""

    layers: int = Field(2, gt=0)
    width: int = Field(64, gt=0, description="of the residual stream")
    heads: int = Field(4, gt=0, description="of attention; divides the width")
    hidden: int = Field(0, ge=0, description="of the SwiGLU; 0: 8/3 of the width, to a multiple of 16")
    sequence: int = Field(128, gt=1, description="tokens")
    batch: int = Field(4, gt=0, description="sequences in a step; small budgets need many steps")
    learning_rate: float = Field(8e-3, gt=0, description="at its highest")
    warmup: float = Field(0.2, ge=0, lt=1, description="share of the steps; with less, small runs may sit on a plateau")
    decay: float = Field(0.2, ge=0, le=1, description="share of the steps, at the end (WSD)")
    weight_decay: float = Field(0.1, ge=0)

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(f"heads ({self.heads}) must divide width ({self.width}) into even head sizes")
        return self


class Frozen(Section):
    """Clusters whose shares among themselves stand; a search asks only how much they get together."""

    clusters: tuple[str | int, ...] = Field(min_length=2, description="by name or number")
    weights: Literal["natural"] | tuple[float, ...] = Field(
        "natural", description="of each cluster; `natural`: by their tokens"
    )
    mixture: str = Field("", description="a mixture.json, whose shares of these clusters are taken; empty: `weights`")

    @model_validator(mode="after")
    def _weights_fit(self) -> Self:
        if len(set(self.clusters)) < len(self.clusters):
            raise ValueError(f"search.frozen: the group {list(self.clusters)} names a cluster twice")
        if self.weights == "natural":
            return self
        if self.mixture:
            raise ValueError(f"search.frozen: weights = {list(self.weights)} beside mixture; give one of the two")
        if len(self.weights) != len(self.clusters) or min(self.weights) < 0 or not any(self.weights):
            raise ValueError(
                f"search.frozen: weights = {list(self.weights)} for the clusters {list(self.clusters)};"
                " one for each, none negative, not all zero"
            )
        return self


class Bound(Section):
    """The least and the most that a mixture holds of a cluster."""

    cluster: str | int = Field(description="by name or number")
    min: float = Field(0.0, ge=0, lt=1, description="share of the tokens that it has at least, in every phase")
    max: float = Field(1.0, gt=0, le=1, description="share of all tokens that it has at most")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"search.bounds: cluster {self.cluster!r} has min = {self.min:g} over max = {self.max:g}")
        return self


class Search(Section):
    """Which mixture: proxies, strategy, predictor, candidates."""

    name: str = Field("mix", pattern=r"^[a-z0-9_-]+$", description="its folder in the workspace")
    objective: str = Field(
        "", description="the target, task or loss of one's own program served; empty: the first target"
    )
    objectives: dict[str, float] = Field(
        {},
        description="weights of targets, tasks and clusters (`cluster/003`, `cluster/` and its name) in place of one",
    )
    metric: Literal["nats", "bits_per_byte"] = Field("nats", description="of texts: per token, or per UTF-8 byte")
    strategy: str = Field("auto", description="how mixtures are searched: auto (Bayesian), climb, regmix, olmix ...")
    predictor: str = Field(
        "", description="kriging, lightgbm, stack ... or `auto`, for a strategy that takes one; empty: its own"
    )
    rounds: tuple[Annotated[int, Field(gt=0)], ...] = Field(
        (32, 16, 16, 16, 16, 16), min_length=1, description="trials in each round"
    )
    tokens: int = Field(200_000, gt=0, description="that each proxy is trained on")
    fidelities: tuple[float, ...] = Field(
        (),
        description="shares of `tokens` that `bayes-fidelity` may train proxies on, one of them 1; a trial costs its"
        " share, and a round of n trials buys as many as n whole ones cost",
    )
    candidates: int = Field(100_000, gt=0, description="mixtures that the predictor ranks")
    phases: tuple[float, ...] = Field((), description="shares of a training's tokens that have mixtures of their own")
    early: str = Field(
        "natural",
        description="what `annealing` trains on before the last phase, which it searches: a rule, such as uniform or"
        " nearest, or the path of an earlier search's mixture.json",
    )
    concentration: float = Field(1.0, gt=0, description="of the candidates' Dirichlet, in units of the token shares")
    max_epochs: float = Field(15.0, gt=0, description="no mixture repeats a cluster more often at the dataset's budget")
    seed: int = Field(42)
    seeds: int = Field(1, gt=0, description="runs of each trial, on this many paired seeds; their mean is its loss")
    final_seeds: int = Field(3, gt=0, description="paired runs of the last comparison")
    final_tokens: int = Field(0, ge=0, description="of the last comparison's runs; 0: those of a proxy")
    final_mixtures: tuple[str, ...] = Field(
        ("natural", "uniform", "nearest", "entropy", "random"), description="what the found mixture is held against"
    )
    frozen: tuple[Frozen, ...] = Field((), description="groups of clusters that are searched as one")
    bounds: tuple[Bound, ...] = Field((), description="least and most shares of clusters")
    max_failed: float = Field(0.2, ge=0, le=1, description="a round with more failed trials stops")
    trainer: tuple[str, ...] = Field((), description="one's own trainer, as the words of a command; empty: ours")
    evaluator: tuple[str, ...] = Field((), description="a command that measures each of our proxies; empty: none")
    max_program_minutes: float = Field(
        0.0, ge=0, description="of `trainer` or `evaluator` on one trial, which then is a failed one; 0: no limit"
    )

    # Those of mixer/strategies/choice.py and mixer/predictors/choice.py: a name that is none would else be told after
    # hours, where the search begins.
    STRATEGIES: ClassVar[tuple[str, ...]] = (
        *("auto", "climb", "climb-paper", "climb-recipe", "regmix", "regmix-notebook", "bayes", "bayes-untrained"),
        *("bayes-fidelity", "olmix", "mixing-laws", "modomodo", "random"),
        *("natural", "uniform", "unimax", "entropy", "nearest", "domain2vec"),
    )
    # Those of mixer/strategies/phasing.py.
    OF_PHASES: ClassVar[tuple[str, ...]] = (
        *("auto", "bayes", "annealing", "remixing", "climb", "climb-paper", "climb-recipe"),
        *("regmix", "regmix-notebook", "random"),
    )
    EARLY: ClassVar[tuple[str, ...]] = ("natural", "uniform", "unimax", "entropy", "nearest")
    ONLY_OF_PHASES: ClassVar[tuple[str, ...]] = ("annealing", "remixing")
    PREDICTORS: ClassVar[tuple[str, ...]] = (
        *("linear", "quadratic", "loglinear", "kriging", "lightgbm", "lightgbm-climb", "lightgbm-regmix", "stack"),
        *("auto", "exposure"),
    )
    WITH_PREDICTOR: ClassVar[tuple[str, ...]] = ("climb", "climb-paper", "climb-recipe", "regmix", "regmix-notebook")

    @model_validator(mode="after")
    def _candidates_are_enough(self) -> Self:
        if self.candidates < sum(self.rounds):
            raise ValueError(
                f"search.candidates = {self.candidates}: fewer than the {sum(self.rounds)} trials of search.rounds,"
                " which are different ones; raise it"
            )
        return self

    @model_validator(mode="after")
    def _objectives_have_weights(self) -> Self:
        if self.objective and self.objectives:
            raise ValueError(
                f"search.objective = {self.objective!r} and search.objectives = {self.objectives}: give one of the two"
            )
        for name, weight in self.objectives.items():
            if weight <= 0:
                raise ValueError(f"search.objectives.{name} = {weight:g}: a weight is above 0; leave out what has none")
        return self

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        _must_be_one("strategy", self.strategy, (*self.STRATEGIES, *self.ONLY_OF_PHASES))
        if self.trainer and self.evaluator:
            raise ValueError(
                "search.evaluator measures our trainer's proxies, and search.trainer is another; measure in that one"
            )
        if (self.frozen or self.bounds) and self.predictor == "exposure":
            raise ValueError(
                "search.predictor = 'exposure' counts how often each cluster is read, and search.frozen"
                " hides the clusters of a group, search.bounds the least share of one; take another predictor,"
                " or freeze and bound nothing"
            )
        if self.predictor:
            _must_be_one("predictor", self.predictor, self.PREDICTORS)
            exposed = self.phases and self.predictor == "exposure" and self.strategy in ("auto", "bayes", "remixing")
            if self.strategy not in self.WITH_PREDICTOR and not exposed:
                raise ValueError(
                    f"search.predictor = {self.predictor!r}: the strategy {self.strategy!r} has its own or none;"
                    f" leave it empty, or take {', '.join(self.WITH_PREDICTOR)}"
                )
        return self

    @model_validator(mode="after")
    def _fidelities_are_shares(self) -> Self:
        if not self.fidelities:
            return self
        told = f"search.fidelities = {list(self.fidelities)}"
        if not all(0 < share <= 1 for share in self.fidelities) or max(self.fidelities) < 1:
            raise ValueError(f"{told}: shares of search.tokens, each above 0 and at most 1, one of them 1")
        tokens = {round(share * self.tokens) for share in self.fidelities}
        if len(tokens) < len(self.fidelities) or not min(tokens):
            raise ValueError(f"{told}: of search.tokens = {self.tokens} two are the same or nothing; take other shares")
        if self.strategy != "bayes-fidelity":
            raise ValueError(
                f"{told}: search.strategy = {self.strategy!r} trains every proxy on all tokens; take 'bayes-fidelity',"
                " or leave search.fidelities out"
            )
        return self

    @model_validator(mode="after")
    def _phases_make_a_whole(self) -> Self:
        if self.early not in self.EARLY and not self.early.endswith(".json"):
            raise ValueError(
                f"search.early = {self.early!r} is none of the rules {', '.join(self.EARLY)}, nor the path of a"
                " mixture.json"
            )
        if self.early != "natural" and self.strategy != "annealing":
            raise ValueError(
                f"search.early = {self.early!r} is read by search.strategy = 'annealing' alone; leave it out"
            )
        if not self.phases:
            if self.strategy in self.ONLY_OF_PHASES:
                raise ValueError(
                    f"search.strategy = {self.strategy!r} searches phases, and search.phases is empty; give the shares"
                    " of the tokens, such as [0.8, 0.2]"
                )
            return self
        if len(self.phases) < 2 or not min(self.phases) > 0 or not abs(math.fsum(self.phases) - 1) <= 1e-9:
            raise ValueError(
                f"search.phases = {list(self.phases)}: at least two shares of a training's tokens, each above 0,"
                " which sum to 1; leave it out for one mixture"
            )
        if self.strategy not in self.OF_PHASES:
            raise ValueError(
                f"search.strategy = {self.strategy!r} finds one mixture for the whole training, and search.phases ="
                f" {list(self.phases)}; take {', '.join(self.OF_PHASES)}, or leave search.phases out"
            )
        if self.strategy == "remixing" and len(self.rounds) < len(self.phases):
            raise ValueError(
                f"search.rounds = {list(self.rounds)}: `remixing` needs a round for each of {len(self.phases)} phases"
            )
        return self

    # What every search was before one could choose: addresses hold only what is otherwise.
    ONCE: ClassVar[dict[str, object]] = {
        "strategy": "climb",
        "predictor": "",
        "seeds": 1,
        "frozen": [],
        "bounds": [],
        "fidelities": [],
        "phases": [],
        "early": "natural",
    }

    @property
    def trainings(self) -> tuple[int, ...]:
        """Proxies in each round: every trial once for each of its seeds."""
        return tuple(num * self.seeds for num in self.rounds)

    def chosen(self) -> dict[str, object]:
        """What addresses hold of the settings that came later: those that differ from what every search was before."""
        values = self.model_dump(mode="json", include=set(self.ONCE))
        return {name: value for name, value in values.items() if value != self.ONCE[name]}


def _must_be_one(kind: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        meant = f"did you mean {near[0]!r}? T" if near else "t"
        raise ValueError(f"search.{kind} = {name!r}: no {kind} is called that; {meant}here are: {', '.join(known)}")
