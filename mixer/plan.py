"""What a search will take before it starts, and what it really took: trainings by kind, time, FLOPs, memory, disk.

Tokens and FLOPs follow from the settings. Time and memory are measured on this machine by mixer/probe.py: a training
costs a fixed part (evaluation, building the model) and a part for each token. Rounds wait for their last training.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mixer import journal, objectives
from mixer import lineage as mixing
from mixer.candidates import Space
from mixer.data import num_steps
from mixer.place import JOURNAL, reading
from mixer.search import MixtureSearch
from mixer.searches import search_of
from mixer.size import flops_per_token, num_parameters
from mixer.strategies import rules
from mixer.trial import Loss, Result, Schedule, Trial
from pipelines.corpus import Corpus
from pipelines.errors import StoreError
from pipelines.pooling import open_pool
from pipelines.settings import Proxy, Search

NAME = "plan.json"  # beside the search's journal
CHECKPOINT_BYTES = 12  # of a parameter: weights and two moments
KINDS = {"search": "search", "baselines": "rules, random", "comparison": "comparison"}


@dataclass(frozen=True, slots=True)
class Speed:
    """What was measured: seconds until a process is ready, of a training's fixed part, and of one more token."""

    start_seconds: float
    fixed_seconds: float
    token_seconds: float
    workers: int
    peak_bytes: int  # of one process; 0: not known

    def training(self, tokens: int) -> float:
        return self.fixed_seconds + self.token_seconds * tokens


@dataclass(frozen=True, slots=True)
class Work:
    """Trainings of one kind: so many in each batch that is waited for, of so many tokens each."""

    kind: str
    batches: tuple[int, ...]
    tokens: int

    @property
    def num(self) -> int:
        return sum(self.batches)

    def seconds(self, speed: Speed) -> float:
        """Wall-clock time with all processes busy."""
        return sum(math.ceil(num / speed.workers) for num in self.batches) * speed.training(self.tokens)


def works(settings: Search, proxy: Proxy, num_rules: int) -> tuple[Work, ...]:
    """Every training that a search and its comparison ask for; some may turn out to be the same."""
    of_proxy, of_final = (
        _whole(tokens, proxy) for tokens in (settings.tokens, settings.final_tokens or settings.tokens)
    )
    random = sum(settings.rounds) - settings.rounds[0]
    compared = settings.final_seeds * (1 + len(settings.final_mixtures))
    return (
        Work("search", tuple(settings.rounds), of_proxy),
        Work("baselines", (num_rules, random), of_proxy),
        Work("comparison", (compared,), of_final),
    )


def planned(corpus: Corpus, speed: Speed | None) -> dict[str, Any]:
    """The plan as plain values; without a speed, seconds and memory are null."""
    pool = open_pool(corpus)
    with reading(mixing.search(corpus)) as folder:
        search = search_of(corpus, folder)
    space = Space.of(search.token_counts, budget_tokens=search.budget, max_epochs=search.settings.max_epochs)
    asked = works(search.settings, search.proxy, len(rules.all_of(space, search.target)))
    flops = 0 if search.settings.trainer else flops_per_token(search.proxy, pool.vocabulary)
    size = 0 if search.settings.trainer else num_parameters(search.proxy, pool.vocabulary)
    lines = sum(work.num for work in asked) * _line_bytes(corpus, search)
    kinds = {
        work.kind: {
            "num": work.num,
            "tokens_each": work.tokens,
            "tokens": work.num * work.tokens,
            "flops": work.num * work.tokens * flops,
            "seconds": speed and work.seconds(speed) + (0 if work.kind == "baselines" else speed.start_seconds),
        }
        for work in asked
    }
    return {
        "kinds": kinds,
        "together": together(kinds.values()),
        "num_parameters": size,
        "flops_per_token": flops,
        "disk_bytes": lines + size * CHECKPOINT_BYTES * (speed.workers if speed else 1),
        "speed": speed and asdict(speed),
    }


def used(corpus: Corpus) -> dict[str, Any]:
    """What was really used so far, by kind: trainings, their tokens, and wall-clock seconds as runs.jsonl has them."""
    stage = mixing.search(corpus)
    digests: dict[str, tuple[str, ...]] = {stage.recipe.digest: ("round", "baselines")}
    with reading(stage) as folder:
        entries = journal.read(folder / JOURNAL)
    num_rounds = len(corpus.settings.search.rounds)
    of_kind = {
        "search": [entry for entry in entries if 1 <= entry.trial.round <= num_rounds],
        "baselines": [entry for entry in entries if not 1 <= entry.trial.round <= num_rounds],
        "comparison": [],
    }
    try:
        compared = mixing.comparison(corpus)
        digests[compared.recipe.digest] = ("comparison",)
        with reading(compared) as folder:
            of_kind["comparison"] = list(journal.read(folder / JOURNAL))
    except StoreError:
        pass  # no mixture yet, and so nothing compared
    seconds = dict.fromkeys(KINDS, 0.0)
    for run in _runs(corpus):
        kind = run["stage"].partition(" ")[0]
        if kind in digests.get(run["digest"], ()):
            seconds["search" if kind == "round" else kind] += run["seconds"]
    return {
        kind: {
            "num": len(found),
            "tokens": sum(entry.result.tokens for entry in found),
            "seconds": seconds[kind],
        }
        for kind, found in of_kind.items()
    }


def together(kinds: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Sums over kinds; seconds are null where one is."""
    listed = list(kinds)
    keys = ("num", "tokens", "flops", "seconds")
    return {key: None if any(one[key] is None for one in listed) else sum(one[key] for one in listed) for key in keys}


def natural(search: MixtureSearch) -> Sequence[float]:
    """The mixture that a probe trains on."""
    total = sum(search.token_counts)
    return [count / total for count in search.token_counts]


def _whole(tokens: int, proxy: Proxy) -> int:
    """A budget as whole steps."""
    step = proxy.sequence * proxy.batch
    return step * num_steps(Schedule.static((1.0,), tokens), sequence=proxy.sequence, batch=proxy.batch)


def _line_bytes(corpus: Corpus, search: MixtureSearch) -> int:
    """Of one line of the journal."""
    trial = Trial(
        Schedule.static(natural(search), search.settings.tokens),
        search.proxy,
        search.settings.seed,
        search.data,
        1,
        0,
        "",
    )
    names = [
        *objectives.texts(corpus, objectives.SEARCH),
        *(f"cluster/{n:03d}" for n in range(len(search.token_counts))),
    ]
    result = Result(trial.key, {name: Loss(math.pi, math.pi) for name in names}, search.settings.tokens, math.pi)
    return len(json.dumps({"trial": trial.to_json(), "result": result.to_json()}))


def _runs(corpus: Corpus) -> list[dict[str, Any]]:
    workspace = corpus.workspace
    if not workspace.is_local:
        return [dict(workspace.read_json("runs", name)) for name in workspace.names("runs")]
    path = workspace.local("runs.jsonl")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [dict(json.loads(line)) for line in lines]
