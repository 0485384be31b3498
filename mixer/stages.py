"""The mixer half, one function per stage: search rounds, the mixture, the comparison, the dataset."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mixer import lineage as mixing
from mixer import objectives
from mixer.comparison import compare
from mixer.export.dataset import write_dataset
from mixer.objectives import FINAL, SEARCH, objective_of
from mixer.place import reading, working
from mixer.proxies.trainers import close_trainers, peak_bytes, trainer_of
from mixer.recommendation import Recommendation
from mixer.search import MixtureSearch
from mixer.searches import Watch, num_done, search_of, trained, watching
from mixer.tables import Runs, of_outcomes
from mixer.takeover import Reusing, known, known_finals
from mixer.trial import Schedule, Trial
from pipelines.clusters import read_clusters
from pipelines.corpus import Corpus, Report
from pipelines.digest import digest_of
from pipelines.errors import SettingsError, StoreError
from pipelines.store import Stage

METRICS = {  # by the comparison's unit
    "nats": "nats per token",
    "bits per byte": "bits per byte",
    "in accuracy": "1 - accuracy",
    "in normalised accuracy": "1 - normalised accuracy",
}

OTHERS = ("domain2vec", "entropy", "natural", "nearest", "random", "uniform")


def run_round(corpus: Corpus, number: int) -> Report:
    """Write a round's candidates, then train its proxies, or those that the journal lacks."""

    def asked(search: MixtureSearch) -> list[Trial]:
        search.propose_round(number)
        return search.proposals.trials(number)

    def train(search: MixtureSearch, watch: Watch) -> None:
        search.train_round(number, _reusing(corpus), watch)

    return trained(corpus, f"round {number}", asked, train)


def _reusing(corpus: Corpus) -> Reusing:
    """The corpus's trainer, for what no other search of the workspace has trained."""
    return Reusing(trainer_of(corpus, SEARCH), known(corpus))


def run_predictor(corpus: Corpus, number: int) -> Report:
    """Refit the predictor on all rounds so far; its counts are what it found."""
    started = time.monotonic()
    stage = mixing.search(corpus)
    corpus.progress.begin(f"predictor {number}", corpus.settings.search.name, total=1, done=0)
    with stage.lease(), working(stage) as place:
        found = search_of(corpus, place.folder).fit_round(number)
    corpus.progress.advance(1, 0)
    counts = {"runs": found["num_runs"]}
    if found["best_measured"] is not None:
        counts["best_measured"] = found["best_measured"]
    if found.get("predicted") is not None:
        counts["predicted"] = found["predicted"]
    told = {"rows": 0, "content": digest_of(found)[:32], "counts": counts}
    return corpus.report(stage, told, started, parts=1, todo=1, name=f"predictor {number}")


def run_mixture(corpus: Corpus) -> Report:
    """Train the rules, and random search where it is compared with, then publish what the search recommends."""
    stage = mixing.mixture(corpus)
    manifest = stage.manifest()
    if manifest is not None:
        return corpus.report(stage, manifest, time.monotonic(), parts=1, todo=0)
    last = len(corpus.settings.search.rounds)
    random = "random" in corpus.settings.search.final_mixtures
    started = time.monotonic()

    def asked(search: MixtureSearch) -> list[Trial]:
        if not (search.folder / "fits" / f"round-{last}.json").exists():
            raise StoreError(f"round {last} of the search is not done yet; run `sirdar mix search` first")
        return search.propose_rules() + (search.propose_random() if random else [])

    def train(search: MixtureSearch, watch: Watch) -> None:
        trainer = _reusing(corpus)
        search.train_rules(trainer, watch)
        if random:
            search.train_random(trainer, watch)

    trained(corpus, "baselines", asked, train)
    searched = mixing.search(corpus)
    with searched.lease(), working(searched) as place:
        told = _mixture(corpus, search_of(corpus, place.folder).recommend())
    counts = {"clusters": len(told["weights"]), "found": _largest(told)}
    with stage.lease():
        manifest = _published(stage, "mixture.json", told, counts)
    return corpus.report(stage, manifest, started, parts=1, todo=1)


def run_comparison(corpus: Corpus) -> Report:
    """Train the found mixture and the others with paired seeds, and judge them on documents no search saw."""
    started = time.monotonic()
    _must_be_comparable(corpus)
    stage = mixing.comparison(corpus)
    found = read_mixture(corpus)
    schedules = _compared(corpus, found)
    manifest = stage.manifest()
    todo, peak = int(manifest is None), 0
    if manifest is None:
        with stage.lease(), working(stage) as place:
            judged = compare(
                place.folder,
                schedules,
                proxy=corpus.settings.proxy,
                settings=corpus.settings.search,
                data=f"{mixing.data_digest(corpus)}-{FINAL}",
                trainer=Reusing(trainer_of(corpus, FINAL), known_finals(corpus)),
                objective=objective_of(corpus, FINAL),
                progress=watching(
                    corpus, "comparison", place, len(schedules) * corpus.settings.search.final_seeds, num_done(place)
                ),
            ).to_json()
            outcomes = {f"against {one['other']}": one["outcome"] for one in judged["verdicts"]}
            manifest = _published(stage, "result.json", {"target": found["objective"], **judged}, outcomes)
        peak = peak_bytes()
        close_trainers()
    return corpus.report(stage, manifest, started, parts=1, todo=todo, process_bytes=peak)


def run_dataset(corpus: Corpus) -> Report:
    """Write shards, card and manifest of the found mixture; SettingsError for phases in a layout without order."""
    found = read_mixture(corpus)
    num = len(found["schedule"]["phases"])
    if num > 1 and corpus.settings.dataset.format == "clusters":
        raise SettingsError(
            f"the mixture found has {num} phases, and dataset.format = 'clusters' is a folder for each cluster, which"
            " says nothing of what is read first; take parquet or nanochat"
        )
    return write_dataset(corpus, found, _evidence(corpus))


def read_mixture(corpus: Corpus) -> dict[str, Any]:
    stage = mixing.mixture(corpus)
    stage.finished()
    return dict(corpus.workspace.read_json(*stage.steps, "mixture.json"))


def read_comparison(corpus: Corpus) -> dict[str, Any]:
    stage = mixing.comparison(corpus)
    stage.finished()
    return dict(corpus.workspace.read_json(*stage.steps, "result.json"))


def metric_of(found: Mapping[str, Any]) -> str:
    """What a comparison's losses are, in words."""
    return METRICS.get(found.get("unit", "nats"), "weighted mean of the metrics")


def leaders(corpus: Corpus, most: int) -> list[dict[str, Any]]:
    """Trials of a finished search with the lowest losses, as report.json has them, each training once."""
    with reading(mixing.search(corpus)) as folder:
        path = folder / "report.json"
        listed = json.loads(path.read_text(encoding="utf-8"))["leaderboard"] if path.exists() else []
    return list({trial["key"]: trial for trial in reversed(listed)}.values())[::-1][:most]


def search_table(corpus: Corpus) -> Runs:
    """The runs of a finished search as a table; TrialError where some of its rounds are not trained yet."""
    stage = mixing.search(corpus)
    names = read_clusters(corpus)["name"].to_pylist()
    with stage.lease(), working(stage) as place:
        outcomes = search_of(corpus, place.folder).outcomes()
    columns = [_column(name, number) for number, name in enumerate(names)]
    return of_outcomes(outcomes, columns, corpus.settings.search.phases)


def _column(name: str, number: int) -> str:
    """Names of clusters are words that several may share, and a table's columns are not."""
    return f"{number:03d} {name}"


def _evidence(corpus: Corpus) -> dict[str, Any]:
    """The comparison as the manifest holds it."""
    found = read_comparison(corpus)
    return {
        "target": found["target"],
        "metric": f"{metric_of(found)} on the target's final split",
        "tokens": found["tokens"],
        "seeds": found["seeds"],
        "mixtures": [{"name": name, **summary} for name, summary in found["mixtures"].items()],
        "verdict": " ".join(f"{one['text']}." for one in found["verdicts"]),
    }


def _mixture(corpus: Corpus, found: Recommendation) -> dict[str, Any]:
    """What mixture.json holds."""
    table = read_clusters(corpus)
    told = found.to_json()
    # Random search that nobody compares with has only the runs that it shares with round 1: not its best.
    others = {**found.others}
    if "random" not in corpus.settings.search.final_mixtures:
        others.pop("random", None)
    return {
        **_objective(corpus),
        "schedule": told["schedule"],
        "weights": list(found.schedule.weights),
        "predicted": told["predicted"],
        "spread": told["spread"],
        "others": {name: list(schedule.weights) for name, schedule in others.items()},
        **_phased(others),
        "clusters": table["name"].to_pylist(),
    }


def _objective(corpus: Corpus) -> dict[str, Any]:
    """Of one target in nats its name; of anything else the parts too."""
    objective = objectives.served(corpus)
    found = {"objective": objectives.told(objective)}
    if objectives.described(objective) == found["objective"]:
        return found
    return {**found, "parts": [asdict(part) for part in objective.parts]}


def _must_be_comparable(corpus: Corpus) -> None:
    """SettingsError where the settings name a mixture that no search has beside its own."""
    wanted = corpus.settings.search.final_mixtures
    unknown = [name for name in wanted if name not in OTHERS]
    if unknown or not wanted:
        raise SettingsError(
            f"search.final_mixtures = {list(wanted)}: {', '.join(unknown) or 'nothing'} to compare with;"
            f" name some of {', '.join(OTHERS)}"
        )


def _compared(corpus: Corpus, found: Mapping[str, Any]) -> dict[str, Schedule]:
    """The mixture found, as `search`, and those that the settings name."""
    wanted = corpus.settings.search.final_mixtures
    tokens = corpus.settings.search.tokens  # which `compare` scales to its own
    others = {name: Schedule.static(found["others"][name], tokens) for name in wanted}
    phased = {name: Schedule.from_json(one) for name, one in found.get("phased", {}).items() if name in wanted}
    return {"search": Schedule.from_json(found["schedule"]), **others, **phased}


def _phased(others: Mapping[str, Schedule]) -> dict[str, Any]:
    """The schedules of those that have phases, which their overall weights do not tell."""
    found = {name: schedule.to_json() for name, schedule in others.items() if len(schedule.phases) > 1}
    return {"phased": found} if found else {}


def _published(stage: Stage, name: str, told: Mapping[str, Any], counts: Mapping[str, Any]) -> dict[str, Any]:
    with stage.making() as folder:
        text = json.dumps(told, indent=1, sort_keys=True) + "\n"
        (folder / name).write_text(text, encoding="utf-8")
        return stage.publish(folder, counts=counts)


def _largest(found: Mapping[str, Any]) -> str:
    ranked = sorted(zip(found["weights"], found["clusters"], strict=True), reverse=True)
    return ", ".join(f"{name} {100 * weight:.0f} %" for weight, name in ranked[:3])
