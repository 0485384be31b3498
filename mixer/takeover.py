"""Trials of the workspace's other searches: those that this one asks for too are taken over, not trained again; and so
are the runs of other final comparisons.

A trial's key covers all that its training depends on, so that a finished one is as good in any journal. What is of
other pools, targets, proxies or seeds is of no use, and the reason is told. Journals are read as they lie: another
process may be writing one, whose torn last line is then left out.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from mixer import journal
from mixer import lineage as mixing
from mixer.differences import differences
from mixer.journal import Entry
from mixer.objectives import FINAL, SEARCH, objective_of
from mixer.place import JOURNAL
from mixer.proxies.trainer import OnResult, Trainer
from mixer.trial import Result, Trial
from pipelines import lineage
from pipelines.corpus import Corpus
from pipelines.errors import StoreError
from pipelines.search_settings import Proxy

BESIDE = "a search compared with it"  # where several train in turn, and each trial once
MAX_DIFFERENCES = 4  # that one line tells


@dataclass(frozen=True, slots=True)
class Past:
    """What the journal of another search holds; `damage` says why it could not be read."""

    label: str
    entries: tuple[Entry, ...]
    damage: str = ""


@dataclass(frozen=True, slots=True)
class Sought:
    """What the trials of a search have in common, and the losses that it reads; seeds follow each other.

    `tokens`: what it may train a trial on; none: not asked.
    """

    proxy: Proxy
    seed: int
    data: str
    losses: tuple[str, ...]
    seeds: int = 1
    tokens: tuple[int, ...] = ()


class Reusing:
    """A trainer that trains only what is not known by its key; what succeeds is known from then on.

    `num_trained` counts what the trainer was asked for and has ended, failures too.
    """

    def __init__(self, trainer: Trainer, known: Mapping[str, Result]) -> None:
        self.trainer, self.known, self.num_trained = trainer, dict(known), 0

    def train(self, trials: Sequence[Trial], on_result: OnResult) -> None:
        rest = [trial for trial in trials if trial.key not in self.known]
        for trial in trials:
            if trial.key in self.known:
                on_result(self.known[trial.key])

        def heard(result: Result) -> None:
            self.num_trained += 1
            if not result.failed:
                self.known[result.key] = replace(result, taken_from=BESIDE)
            on_result(result)

        if rest:
            self.trainer.train(rest, heard)


def usable(pasts: Sequence[Past], sought: Sought) -> dict[str, tuple[str, Result]]:
    """Key -> (label, result) of every finished trial that a search may take over; of several the first label's."""
    found: dict[str, tuple[str, Result]] = {}
    for past in sorted(pasts, key=lambda past: past.label):
        for entry in past.entries:
            if not obstacles(entry, sought):
                found.setdefault(entry.result.key, (past.label, entry.result))
    return found


def obstacles(entry: Entry, sought: Sought) -> list[str]:
    """Why a trial is of no use to a search: pools, targets, programs, proxy, tokens, seed, version, losses, failed."""
    trial, result = entry.trial, entry.result
    found = [name for name, theirs, ours in _of_data(trial.data, sought.data) if theirs != ours]
    found += ["proxy"] * (trial.proxy != sought.proxy)
    found += ["tokens"] * (bool(sought.tokens) and trial.schedule.tokens not in sought.tokens)
    found += ["seed"] * (trial.seed not in range(sought.seed, sought.seed + sought.seeds))
    found += ["version"] * (trial.key != result.key)  # made by a version that names trials otherwise
    if result.failed:
        return [*found, "failed"]
    return found + ["losses"] * (not set(sought.losses) <= result.losses.keys())


def _of_data(theirs: str, ours: str) -> list[tuple[str, str, str]]:
    """(part, theirs, ours): data is the digests of pools and targets, maybe of one's own programs, and the split."""
    sides = []
    for data in (theirs, ours):
        pools, _, rest = data.partition("-")
        targets, _, rest = rest.partition("-")
        sides.append((pools, targets, rest))
    return list(zip(("pools", "targets", "programs"), *sides, strict=True))


# ---------------------------------------------------------------------------------------------------------
# In a workspace


def known(corpus: Corpus) -> dict[str, Result]:
    """Key -> result of the trials that stand finished in other searches of the workspace, with the search's label."""
    return _named(usable(pasts(corpus), _sought(corpus)))


def known_finals(corpus: Corpus) -> dict[str, Result]:
    """The same of the runs of final comparisons, of a search's mixtures or of several strategies'."""
    workspace = corpus.workspace
    places = [(name, digest) for name in ("comparison", "strategies") for digest in workspace.names(name)]
    settings = corpus.settings.search
    sought = Sought(
        proxy=corpus.settings.proxy,
        seed=settings.seed + settings.seeds,
        data=f"{mixing.data_digest(corpus)}-{FINAL}",
        losses=objective_of(corpus, FINAL).names,
        seeds=settings.final_seeds,
    )
    return _named(usable(_journals(corpus, places), sought))


def _named(found: Mapping[str, tuple[str, Result]]) -> dict[str, Result]:
    return {key: replace(result, taken_from=label) for key, (label, result) in found.items()}


def pasts(corpus: Corpus) -> list[Past]:
    """Every other search of the workspace that has a journal."""
    own, workspace = mixing.search(corpus).steps, corpus.workspace
    places = [
        ("search", name, digest) for name in workspace.names("search") for digest in workspace.names("search", name)
    ]
    return _journals(corpus, [place for place in places if place != own])


def _journals(corpus: Corpus, places: Sequence[tuple[str, ...]]) -> list[Past]:
    """Those that there are in these folders, whole or damaged."""
    workspace, found = corpus.workspace, []
    for place in places:
        if not workspace.exists(*place, JOURNAL):
            continue
        label = "/".join(place)
        with workspace.open(*place, JOURNAL) as file:
            data = bytes(file.read())
        try:
            found.append(Past(label, journal.parsed(data, workspace.path(*place, JOURNAL))))
        except StoreError as error:
            found.append(Past(label, (), str(error)))
    return found


def told(corpus: Corpus) -> list[str]:
    """A line for each other search with trials: how many may be of use, or why none is."""
    sought = _sought(corpus)
    lines = []
    for past in pasts(corpus):
        num = len(past.entries)
        fit = len(usable([past], sought))
        if past.damage:
            lines.append(f"{past.label}: not looked at, since {past.damage}")
        elif fit:
            lines.append(f"{past.label}: {fit} of {num} trials fit; those that this search asks for are taken over")
        elif num:
            lines.append(f"{past.label}: none of {num} trials fits: {_reasons(corpus, past, sought)}")
    return lines


def taken(corpus: Corpus) -> list[str]:
    """A line for each other search that trials of this one were taken from."""
    stage = mixing.search(corpus)
    place = (*stage.steps, JOURNAL)
    if not corpus.workspace.exists(*place):
        return []
    with corpus.workspace.open(*place) as file:
        ours = journal.parsed(bytes(file.read()), corpus.workspace.path(*place))
    same = Counter(entry.result.taken_from for entry in ours if entry.result.taken_from)
    return [f"{count} of {len(ours)} trials are those of {label}, not trained again" for label, count in same.items()]


def _sought(corpus: Corpus) -> Sought:
    search = corpus.settings.search
    return Sought(
        proxy=corpus.settings.proxy,
        seed=corpus.settings.search.seed,
        data=f"{mixing.data_digest(corpus)}-{SEARCH}",
        losses=objective_of(corpus, SEARCH).names,
        seeds=corpus.settings.search.seeds,
        tokens=tuple(round(share * search.tokens) for share in search.fidelities or (1.0,)),
    )


def _reasons(corpus: Corpus, past: Past, sought: Sought) -> str:
    """Every obstacle of the past's commonest kind, in words."""
    kinds = Counter(tuple(obstacles(entry, sought)) for entry in past.entries)
    found = kinds.most_common(1)[0][0]
    entry = next(entry for entry in past.entries if tuple(obstacles(entry, sought)) == found)
    trial = entry.trial
    words: dict[str, Callable[[], str]] = {
        "pools": lambda: f"other pools ({_why(corpus, 'pools', trial.data.split('-')[0])})",
        "targets": lambda: f"other targets ({_why(corpus, 'evaluations', trial.data.split('-')[1])})",
        "programs": lambda: "another trainer or evaluator (search.trainer, search.evaluator)",
        "proxy": lambda: f"another proxy ({_changed(trial.proxy, sought.proxy)})",
        "tokens": lambda: f"trained on {trial.schedule.tokens:,} tokens (search.tokens is {sought.tokens[-1]:,})",
        "seed": lambda: f"another seed (search.seed was {trial.seed}, is {sought.seed})",
        "version": lambda: "an earlier version of this program trained them",
        "failed": lambda: "they failed",
        "losses": lambda: f"no loss {', '.join(sorted(set(sought.losses) - entry.result.losses.keys()))} in them",
    }
    # Targets are placed among the pools' clusters, so other pools make other targets by themselves.
    shown = [name for name in found if not (name == "targets" and "pools" in found)]
    return "; ".join(words[name]() for name in shown)


def _why(corpus: Corpus, name: str, content: str) -> str:
    """What differs between the current folder of a stage and the one of this content."""
    ours = getattr(lineage, name)(corpus).label
    for digest in corpus.workspace.names(name):
        label = f"{name}/{digest}"
        place = (name, digest, "manifest.json")
        if corpus.workspace.exists(*place) and corpus.workspace.read_json(*place).get("content") == content:
            lines = differences(corpus.workspace, label, ours)
            more = [f"and {len(lines) - MAX_DIFFERENCES} more"] if len(lines) > MAX_DIFFERENCES else []
            return ", ".join([*lines[:MAX_DIFFERENCES], *more]) or f"{label} is another"
    return f"theirs are no longer in {name}/"


def _changed(theirs: Proxy, ours: Proxy) -> str:
    old, new = theirs.model_dump(), ours.model_dump()
    return ", ".join(f"{key} was {old[key]}, is {new[key]}" for key in new if old[key] != new[key])
