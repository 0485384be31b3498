"""Everything that a search and what follows it have left, as one mapping of plain values for the page.

What is not there yet is null or empty, and named in `missing` with the command that makes it.
"""

import importlib.metadata
import json
import math
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mixer import journal, objectives, phases, plan
from mixer import lineage as mixing
from mixer.candidates import Space
from mixer.place import JOURNAL, reading
from mixer.proxies.size import flops_per_token, num_parameters
from mixer.report.examples import examples
from mixer.runs import measured
from mixer.search import MixtureSearch
from mixer.searches import search_of
from mixer.stages import read_comparison
from mixer.strategies import rules
from mixer.trial import Schedule, Trial
from pipelines import lineage
from pipelines.clusters import read_buckets, read_clusters
from pipelines.corpus import Corpus
from pipelines.errors import StoreError
from pipelines.pooling import open_pool
from pipelines.store import Stage

LIBRARIES = ("numpy", "torch", "lightgbm", "scipy", "pyarrow")


def gathered(corpus: Corpus) -> dict[str, Any]:
    """What the report tells; StoreError where not even the pools and targets of a search are there."""
    stage = mixing.search(corpus)
    pool = open_pool(corpus)
    with reading(stage) as folder:
        search = search_of(corpus, folder)
        entries = journal.read(folder / JOURNAL)
        finished = _json(folder / "report.json")
        fits = [found for number in search.rounds if (found := _json(folder / "fits" / f"round-{number}.json"))]
        trials = finished["trials"] if finished else _trials(search, entries)
        recommended = _recommended(folder, fits)
        planned = _json(folder / plan.NAME)
    try:
        comparison = read_comparison(corpus)
    except StoreError:
        comparison = None
    own = bool(search.settings.trainer)  # whose model is not ours to count
    flops = 0 if own else flops_per_token(search.proxy, pool.vocabulary)
    weights_of = {entry.result.key: list(entry.trial.schedule.weights) for entry in entries}
    return {
        "name": search.settings.name,
        "strategy": search.settings.strategy,
        "target": objectives.told(objectives.served(corpus)),
        "unit": search.objective.unit,
        "missing": _missing(search, len(fits), finished is not None, comparison is not None),
        "clusters": _clusters(corpus, search.token_counts),
        "recommended": recommended,
        "mixtures": _mixtures(search, recommended),
        "epochs": _epochs(corpus, search, recommended),
        "rounds": fits,
        "trials": [{**trial, "weights": weights_of.get(trial["key"], [])} for trial in trials],
        "cost": _cost(entries, search, flops),
        "plan": {"planned": planned, "used": plan.used(corpus), "left_bytes": plan.left(corpus)} if planned else None,
        "comparison": comparison,
        "strategies": _strategies(corpus),
        "num_parameters": 0 if own else num_parameters(search.proxy, pool.vocabulary),
        "made": _made(corpus, stage, search),
    }


def _recommended(folder: Path, fits: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """What the search recommends, or would after the last round that is fitted."""
    found = _json(folder / "recommendation.json")
    if found is not None:
        schedule = Schedule.from_json(found["schedule"])
        told = {"weights": list(schedule.weights), **phases.told(schedule)}
        return {**told, "predicted": found["predicted"], "spread": found["spread"], "final": True}
    if not fits:
        return None
    last = fits[-1]
    return {
        "weights": last["recommended"],
        **({"phases": last["phases"]} if "phases" in last else {}),
        "predicted": last.get("predicted"),
        "spread": last.get("spread"),
        "final": False,
    }


def _mixtures(search: MixtureSearch, recommended: Mapping[str, Any] | None) -> dict[str, list[float]]:
    """The mixture found and those that cost nothing, each (clusters,)."""
    space = Space.of(search.token_counts, budget_tokens=search.budget, max_epochs=search.settings.max_epochs)
    ruled = rules.all_of(space, search.target)
    found = {"found": list(recommended["weights"])} if recommended else {}
    return found | {name: row.tolist() for name, row in ruled.items()}


def _epochs(corpus: Corpus, search: MixtureSearch, recommended: Mapping[str, Any] | None) -> list[float]:
    """How often the dataset repeats each cluster: of the one that was written, or at the budget asked for."""
    try:
        stage = mixing.dataset(corpus)
        manifest = corpus.workspace.read_json(*stage.steps, "manifest.json")
        return [cluster["epochs"] for cluster in manifest["clusters"]]
    except (StoreError, OSError):
        if recommended is None:
            return []
        pairs = list(zip(recommended["weights"], search.token_counts, strict=True))
        most = corpus.settings.dataset.max_epochs
        fitting = min(most * count / weight for weight, count in pairs if weight > 0)
        budget = corpus.settings.dataset.tokens or min(search.budget, fitting)
        return [min(most, weight * budget / count) for weight, count in pairs]


def _trials(search: MixtureSearch, entries: Sequence[journal.Entry]) -> list[dict[str, Any]]:
    """The journal's trials as report.json has them: those that are trained on every seed."""
    said, drawn = _predictions(search), {(1, place) for place in search.shared_with_random()}
    of_trial: dict[tuple[int, int], list[journal.Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.trial.seed):
        of_trial.setdefault((entry.trial.round, entry.trial.index), []).append(entry)
    return [
        {
            "name": seeds[0].trial.name,
            "round": place[0],
            "index": place[1],
            "key": seeds[0].result.key,
            "loss": _finite(math.fsum(measured(entry.result, search.objective) for entry in seeds) / len(seeds)),
            "predicted": said.get(place),
            "error": next((entry.result.error for entry in seeds if entry.result.error), ""),
            **_fidelity(seeds[0].trial, search),
            **({"drawn": True} if place in drawn else {}),
        }
        for place, seeds in sorted(of_trial.items())
        if len(seeds) == search.settings.seeds
    ]


def _fidelity(trial: Trial, search: MixtureSearch) -> dict[str, float]:
    """The share of the tokens that a cheap trial was trained on."""
    share = trial.schedule.tokens / search.settings.tokens
    return {"fidelity": share} if share < 1 else {}


def _predictions(search: MixtureSearch) -> dict[tuple[int, int], float]:
    import pyarrow.parquet as pq

    found = {}
    for number in search.rounds:
        path = search.folder / "candidates" / f"round-{number}.parquet"
        if path.exists():
            rows = pq.read_table(path, columns=["index", "predicted"]).to_pylist()
            found.update({(number, row["index"]): row["predicted"] for row in rows if row["predicted"] is not None})
    return found


def _cost(entries: Sequence[journal.Entry], search: MixtureSearch, flops: int) -> dict[str, dict[str, Any]]:
    """What was trained for each part, every training once, and how many trials were taken over from other searches."""
    parts: dict[str, dict[str, Any]] = {}
    for entry in entries:
        number = entry.trial.round
        name = "rules" if not number else "random" if number not in search.rounds else search.settings.strategy
        nothing = {"num_runs": 0, "num_taken": 0, "num_failed": 0, "tokens": 0, "seconds": 0.0, "flops": 0}
        told = parts.setdefault(name, nothing)
        if entry.result.taken_from:
            told["num_taken"] += 1
            continue
        told["num_runs"] += 1
        told["num_failed"] += entry.result.failed
        told["tokens"] += entry.result.tokens
        told["seconds"] += entry.result.seconds
        told["flops"] += entry.result.tokens * flops
    return parts


def _missing(search: MixtureSearch, num_fits: int, finished: bool, compared: bool) -> list[tuple[str, str]]:
    """(what is not there yet, the command that makes it)."""
    found = []
    if num_fits < len(search.settings.rounds):
        found.append((f"rounds {num_fits + 1} to {len(search.settings.rounds)} of the search", "sirdar mix search"))
    elif not finished:
        found.append(("the recommendation, and random search beside it", "sirdar mix mixture"))
    if not compared:
        found.append(("the final comparison on documents that no search saw", "sirdar mix comparison"))
    return found


def _clusters(corpus: Corpus, token_counts: Sequence[int]) -> list[dict[str, Any]]:
    rows, tiers = read_clusters(corpus).to_pylist(), read_buckets(corpus).tiers.tolist()
    shown = examples(corpus, rows)
    return [
        {
            "name": row["name"],
            "terms": list(row["terms"]),
            "documents": row["documents"],
            "tokens": count,
            "score": row["score"],
            "tier": tier,
            "examples": shown[number],
        }
        for number, (row, count, tier) in enumerate(zip(rows, token_counts, tiers, strict=True))
    ]


def _strategies(corpus: Corpus) -> dict[str, Any] | None:
    """The comparison of strategies on this data with the most of them, where there is one."""
    places = [("strategies", digest, "result.json") for digest in corpus.workspace.names("strategies")]
    told = [corpus.workspace.read_json(*place) for place in places if corpus.workspace.exists(*place)]
    mine = [one for one in told if one["data"] == mixing.data_digest(corpus)]
    return dict(max(mine, key=lambda one: len(one["mixtures"]))) if mine else None


def _made(corpus: Corpus, stage: Stage, search: MixtureSearch) -> dict[str, Any]:
    """What to know to make it again."""
    inputs = {one.label: one.finished()["content"] for one in (lineage.pools(corpus), lineage.evaluations(corpus))}
    return {
        "settings": search.settings.model_dump(mode="json"),
        "proxy": search.proxy.model_dump(mode="json"),
        "folder": stage.label,
        "data": search.data,
        "inputs": inputs,
        "versions": {
            "sirdar": importlib.metadata.version("sirdar"),
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in LIBRARIES},
        },
        "machine": f"{platform.system()} {platform.machine()}",
    }


def _json(path: Path) -> dict[str, Any] | None:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def _finite(value: float) -> float | None:
    return value if value == value and abs(value) != float("inf") else None
