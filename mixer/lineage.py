"""What the mixer's stages depend on, as pipelines/lineage.py says it for the corpus half."""

from typing import Any

from pipelines import lineage
from pipelines.corpus import Corpus
from pipelines.digest import versions
from pipelines.errors import SettingsError
from pipelines.store import Recipe, Stage

VERSIONS = {"search": 1, "mixture": 1, "comparison": 1, "dataset": 1}


def search(corpus: Corpus) -> Stage:
    """Folder of one search: candidates, journal, fits. Its trials follow from pools, targets, proxy and settings."""
    settings = corpus.settings
    asked = {
        "search": settings.search.model_dump(
            mode="json", exclude={"final_seeds", "final_tokens", "final_mixtures", "max_failed", "name"}
        ),
        "proxy": settings.proxy.model_dump(mode="json"),
        "objective": objective_target(corpus),
        "budget_tokens": settings.dataset.tokens,
    }
    inputs = {"pools": _content(lineage.pools(corpus)), "evaluations": _content(lineage.evaluations(corpus))}
    return _stage(corpus, "search", settings.search.name, asked, versions("torch", "lightgbm"), inputs)


def mixture(corpus: Corpus) -> Stage:
    return _stage(corpus, "mixture", "", {}, {}, {"search": search(corpus).recipe.digest})


def comparison(corpus: Corpus) -> Stage:
    settings = corpus.settings.search.model_dump(
        mode="json", include={"final_seeds", "final_tokens", "final_mixtures", "tokens", "seed"}
    )
    inputs = {
        "mixture": _content(mixture(corpus)),
        "pools": _content(lineage.pools(corpus)),
        "evaluations": _content(lineage.evaluations(corpus)),
    }
    return _stage(corpus, "comparison", "", settings, versions("torch"), inputs)


def dataset(corpus: Corpus) -> Stage:
    """`dataset/<name>/<version>`: the version is the digest of all that went into it."""
    settings = corpus.settings.dataset.model_dump(mode="json", exclude={"name"})
    stages = [mixture(corpus), comparison(corpus), lineage.pools(corpus), lineage.clusters(corpus)]
    inputs = {stage.label: _content(stage) for stage in stages}
    return _stage(corpus, "dataset", corpus.settings.dataset.name, settings, versions("pyarrow"), inputs)


def data_digest(corpus: Corpus) -> str:
    """Of what proxies are trained and measured on: part of a trial's key."""
    return f"{_content(lineage.pools(corpus))}-{_content(lineage.evaluations(corpus))}"


def objective_target(corpus: Corpus) -> str:
    """The name of the target that the search serves."""
    if not corpus.settings.targets:
        raise SettingsError(
            "no target: the search needs held-out documents to serve; name some, "
            "--target NAME=FILE.jsonl (fields id, text and maybe group)"
        )
    return corpus.settings.search.objective or corpus.settings.targets[0].name


def _content(stage: Stage) -> str:
    return str(stage.finished()["content"])


def _stage(
    corpus: Corpus, name: str, crawl: str, settings: dict[str, Any], libraries: dict[str, str], inputs: dict[str, str]
) -> Stage:
    return Stage(corpus.workspace, Recipe(name, VERSIONS[name], crawl, settings, libraries, inputs))
