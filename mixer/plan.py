"""What a search will take before it starts, and what it really took: trainings by kind, time, FLOPs, memory, disk.

Tokens and FLOPs follow from the settings. Time and memory are measured on this machine by mixer/proxies/probe.py: a
training costs a fixed part (evaluation, building the model) and a part for each token. Rounds wait for their last one.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from mixer import journal, objectives
from mixer import lineage as mixing
from mixer.place import JOURNAL, reading
from mixer.proxies.data import num_steps
from mixer.proxies.size import flops_per_token, num_parameters
from mixer.search import MixtureSearch
from mixer.searches import search_of
from mixer.strategies.choice import RULES
from mixer.strategies.fidelity import design
from mixer.trial import Loss, Result, Schedule, Trial
from pipelines.corpus import Corpus
from pipelines.errors import StoreError
from pipelines.pooling import open_pool
from pipelines.search_settings import Proxy, Search

NAME = "plan.json"  # beside the search's journal
CHECKPOINT_BYTES = 12  # of a parameter: weights and two moments
CHECKPOINT_SECONDS = 60.0  # trainings that take longer write one (mixer/proxies/train.py, which imports torch)
PARQUET_BYTES = 3000  # of a round's candidates, beside their numbers
ROW_BYTES = 600  # of a trial in report.json, beside its weights
FIT_BYTES = 1500  # of a round's fit, there and in report.json, beside its weights
NUMBER_BYTES = 24  # of a weight as JSON
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


def works(settings: Search, proxy: Proxy, rounds: Sequence[int], num_rules: int, num_random: int) -> tuple[Work, ...]:
    """Every training that a search and its comparison ask for, by mixtures; some may turn out to be the same.

    Of cheap trials and dear ones every round is counted as the first is split: what the later ones buy follows from
    what is measured, and costs as much at most.
    """
    of_proxy, of_final = (
        _whole(tokens, proxy) for tokens in (settings.tokens, settings.final_tokens or settings.tokens)
    )
    compared = settings.final_seeds * (1 + len(settings.final_mixtures))
    most = sum(settings.rounds)
    split = [{1.0: num} for num in rounds]
    if settings.fidelities:
        split = [design(num, settings.fidelities, most) for num in settings.rounds]
    return (
        *(
            Work(
                "search",
                tuple(counts[share] * settings.seeds for counts in split),
                _whole(round(share * settings.tokens), proxy),
            )
            for share in split[0]
        ),
        Work("baselines", (num_rules * settings.seeds, num_random * settings.seeds), of_proxy),
        Work("comparison", (compared,), of_final),
    )


def planned(corpus: Corpus, speed: Speed | None) -> dict[str, Any]:
    """The plan as plain values; without a speed, seconds and memory are null."""
    pool = open_pool(corpus)
    with reading(mixing.search(corpus)) as folder:
        search = search_of(corpus, folder)
        first, num_rules, num_random = search.distinct(random="random" in search.settings.final_mixtures)
    # A rule proposes its one mixture in all rounds.
    later = () if search.settings.strategy in RULES else search.settings.rounds[1:]
    asked = works(search.settings, search.proxy, (first, *later), num_rules, num_random)
    own = bool(search.settings.trainer)  # whose model is not ours to count
    flops = 0 if own else flops_per_token(search.proxy, pool.vocabulary)
    size = 0 if own else num_parameters(search.proxy, pool.vocabulary)
    kinds = {kind: _of_kind([work for work in asked if work.kind == kind], flops, speed) for kind in KINDS}
    long = [work for work in asked if not speed or speed.training(work.tokens) > CHECKPOINT_SECONDS]
    return {
        "kinds": kinds,
        "together": together(kinds.values()),
        "num_parameters": size,
        "flops_per_token": flops,
        "disk_bytes": _disk_bytes(corpus, search, asked),
        "checkpoint_bytes": size * CHECKPOINT_BYTES * (speed.workers if speed else 1) if long else 0,
        "speed": speed and asdict(speed),
    }


def _of_kind(works: Sequence[Work], flops: int, speed: Speed | None) -> dict[str, Any]:
    """All trainings of one kind; `tokens_each`: of the dearest."""
    tokens = sum(work.num * work.tokens for work in works)
    started = 0.0 if speed is None or works[0].kind == "baselines" else speed.start_seconds
    return {
        "num": sum(work.num for work in works),
        "tokens_each": max(work.tokens for work in works),
        "tokens": tokens,
        "flops": tokens * flops,
        "seconds": speed and sum(work.seconds(speed) for work in works) + started,
    }


def used(corpus: Corpus) -> dict[str, Any]:
    """What was really used so far, by kind: trainings, their tokens and FLOPs, and trials `taken` over from elsewhere;
    as runs.jsonl has them, of stages that were ended, wall-clock seconds and the peak bytes of a training process, 0
    where they are not known.
    """
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
    seconds, peaks = dict.fromkeys(KINDS, 0.0), dict.fromkeys(KINDS, 0)
    for run in _runs(corpus):
        name = run["stage"].partition(" ")[0]
        if name in digests.get(run["digest"], ()):
            kind = "search" if name == "round" else name
            seconds[kind] += run["seconds"]
            peaks[kind] = max(peaks[kind], run.get("process_bytes", 0))
    vocabulary, proxy = open_pool(corpus).vocabulary, corpus.settings.proxy
    flops = 0 if corpus.settings.search.trainer else flops_per_token(proxy, vocabulary)
    trained = {kind: [one.result for one in found if not one.result.taken_from] for kind, found in of_kind.items()}
    tokens = {kind: sum(result.tokens for result in found) for kind, found in trained.items()}
    return {
        kind: {
            "num": len(found),
            "taken": len(of_kind[kind]) - len(found),
            "tokens": tokens[kind],
            "flops": tokens[kind] * flops,
            "seconds": seconds[kind],
            "process_bytes": peaks[kind],
        }
        for kind, found in trained.items()
    }


def left(corpus: Corpus) -> int:
    """Bytes that a search and its comparison take up on disk now."""
    stages = [mixing.search(corpus)]
    with suppress(StoreError):  # no mixture yet, and so nothing compared
        stages.append(mixing.comparison(corpus))
    return sum(corpus.workspace.size(stage.label) for stage in stages if corpus.workspace.exists(*stage.steps))


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


def _disk_bytes(corpus: Corpus, search: MixtureSearch, asked: Sequence[Work]) -> int:
    """Journals, candidates, fits and report: to about a quarter."""
    num_weights = len(natural(search)) * max(1, len(search.settings.phases))
    proposed = sum(work.num for work in asked if work.kind != "comparison")
    lines = sum(work.num for work in asked) * _line_bytes(corpus, search)
    rows = proposed * (ROW_BYTES + num_weights * (NUMBER_BYTES + 8))
    rounds = len(search.settings.rounds) * (PARQUET_BYTES + FIT_BYTES + 4 * num_weights * NUMBER_BYTES)
    return lines + rows + rounds + 2 * PARQUET_BYTES


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
