"""What the mixer's stages depend on, as pipelines/lineage.py says it for the corpus half."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines import lineage, takedown
from pipelines.corpus import Corpus
from pipelines.digest import digest_of, file_digest, versions
from pipelines.errors import SettingsError, StoreError
from pipelines.search_settings import Search
from pipelines.settings import Settings
from pipelines.store import Recipe, Stage

VERSIONS = {"search": 4, "mixture": 1, "comparison": 2, "strategies": 3, "dataset": 2}
OWN = ("trainer", "evaluator")  # settings of the search that are a user's own programs
COMMANDS = {"mixture": "mix mixture", "comparison": "mix comparison"}  # those not named like their stage


def search(corpus: Corpus) -> Stage:
    """Folder of one search: candidates, journal, fits. Its trials follow from pools, targets, proxy and settings."""
    from mixer import objectives  # which imports Polars, and the command's help this module

    settings = corpus.settings
    apart = {
        *("final_seeds", "final_tokens", "final_mixtures", "name", "objective", "objectives", "metric"),
        *("max_failed", "max_program_minutes"),  # when to stop
    }
    chosen = search_settings(corpus)
    asked = {
        "search": {
            **chosen.model_dump(mode="json", exclude={*apart, *Search.ONCE, *OWN}),
            **chosen.chosen(),
        },
        **_mixtures_reused(chosen),
        **own_programs(corpus),
        "proxy": settings.proxy.model_dump(mode="json"),
        "objective": objectives.described(objectives.served(corpus)),
        "budget_tokens": settings.dataset.tokens,
    }
    inputs = {"pools": _content(lineage.pools(corpus)), "evaluations": _content(lineage.evaluations(corpus))}
    return _stage(corpus, "search", settings.search.name, asked, versions("torch", "lightgbm"), inputs)


def _mixtures_reused(settings: Search) -> dict[str, Any]:
    """Digests of the files that frozen or early shares are taken from: a path says nothing of what is in it."""
    named = [("frozen: mixture", group.mixture) for group in settings.frozen if group.mixture]
    named += [("early", settings.early)] if settings.early not in Search.EARLY else []
    for setting, path in named:
        if not Path(path).is_file():
            raise SettingsError(f"search.{setting} = {path} is not there; name the mixture.json of a search")
    digests = [file_digest(Path(path)) for _, path in named]
    return {"reused": digests} if digests else {}


def search_settings(corpus: Corpus) -> Search:
    """Those of the search; where the dataset has a budget, with a cap on repetition no looser than the dataset's.

    Without that a search could find, and a comparison praise, what the export then has to cut.
    """
    settings = corpus.settings
    if not settings.dataset.tokens:
        return settings.search  # the export takes as many tokens as leave the mixture as it is
    cap = min(settings.search.max_epochs, settings.dataset.max_epochs)
    return settings.search.model_copy(update={"max_epochs": cap})


def mixture(corpus: Corpus) -> Stage:
    random = "random" in corpus.settings.search.final_mixtures
    return _stage(
        corpus, "mixture", "", {} if random else {"random": False}, {}, {"search": search(corpus).recipe.digest}
    )


def comparison(corpus: Corpus) -> Stage:
    asked = {"final_seeds", "final_tokens", "final_mixtures", "tokens", "seed"}
    search = corpus.settings.search
    settings = {
        **search.model_dump(mode="json", include=asked),
        **({"seeds": search.seeds} if search.seeds > 1 else {}),  # the runs take those after the search's
        "proxy": corpus.settings.proxy.model_dump(mode="json"),
        **own_programs(corpus),
    }
    inputs = {
        "mixture": _content(mixture(corpus)),
        "pools": _content(lineage.pools(corpus)),
        "evaluations": _content(lineage.evaluations(corpus)),
    }
    return _stage(corpus, "comparison", "", settings, versions("torch"), inputs)


def strategies(corpus: Corpus, searches: Sequence[Stage], seeds: int) -> Stage:
    """What several searches found, compared on the final split."""
    asked = {"final_tokens", "tokens", "seed"}
    settings = {
        **corpus.settings.search.model_dump(mode="json", include=asked),
        "final_seeds": seeds,
        "proxy": corpus.settings.proxy.model_dump(mode="json"),
    }
    inputs = {stage.label: stage.recipe.digest for stage in searches}
    return _stage(corpus, "strategies", "", settings, versions("torch"), inputs)


def dataset(corpus: Corpus) -> Stage:
    """`dataset/<name>/<version>`: the version is the digest of all that went into it."""
    settings = corpus.settings.dataset.model_dump(mode="json", exclude={"name"})
    wishes = takedown.read(corpus.workspace)
    if len(wishes):
        settings["takedown"] = wishes.digest()
    stages = [mixture(corpus), comparison(corpus), lineage.pools(corpus), lineage.clusters(corpus)]
    # Pools hold token ids alone; a shard also has texts, addresses, licences and languages.
    columns = (lineage.documents, lineage.cuts, lineage.signals)
    stages += [column(corpus, crawl.name) for crawl in corpus.crawls for column in columns]
    inputs = {stage.label: _content(stage) for stage in stages}
    return _stage(corpus, "dataset", corpus.settings.dataset.name, settings, versions("pyarrow"), inputs)


def data_digest(corpus: Corpus) -> str:
    """Of what proxies are trained and measured on: part of a trial's key."""
    own = own_programs(corpus)
    digests = [digest_of(own)[:32]] if own else []
    return "-".join([_content(lineage.pools(corpus)), _content(lineage.evaluations(corpus)), *digests])


def own_programs(corpus: Corpus) -> dict[str, str]:
    """Digests of the user's own trainer and evaluator: words as they are, files among them by their content."""
    commands = {name: getattr(corpus.settings.search, name) for name in OWN}
    return {name: digest_of([_word(word) for word in command]) for name, command in commands.items() if command}


def _word(word: str) -> str:
    # Not Path.is_file, which is an error for words that are longer than a name may be.
    return file_digest(Path(word)) if os.path.isfile(word) else word


def asked(settings: Settings) -> dict[str, float]:
    """Name -> weight as the settings have it; SettingsError where there is nothing to serve."""
    if settings.search.objectives:
        return dict(settings.search.objectives)
    if settings.search.objective and (settings.targets or settings.tasks):
        return {settings.search.objective: 1.0}
    if not settings.targets:
        raise SettingsError(
            "no target: the search needs held-out documents to serve; name some, "
            "--target NAME=FILE.jsonl (fields id, text and maybe group), or a task of the settings as search.objective"
        )
    return {settings.targets[0].name: 1.0}


def _content(stage: Stage) -> str:
    name = stage.recipe.stage
    if name in COMMANDS and stage.manifest() is None:
        raise StoreError(f"{stage.label} is not there yet; run `sirdar {COMMANDS[name]}` first")
    return str(stage.finished()["content"])


def _stage(
    corpus: Corpus, name: str, crawl: str, settings: dict[str, Any], libraries: dict[str, str], inputs: dict[str, str]
) -> Stage:
    return Stage(corpus.workspace, Recipe(name, VERSIONS[name], crawl, settings, libraries, inputs))
