"""Who takes part in a comparison of strategies, kept beside its result: each entrant is a search of its own."""

from collections.abc import Iterator, Sequence

from mixer import lineage as mixing
from pipelines import configuration
from pipelines.corpus import Corpus
from pipelines.errors import SettingsError
from pipelines.store import Stage

ASKED = "asked.json"  # written before anything is trained


def entered(corpus: Corpus, name: str) -> Corpus:
    """The corpus under settings that search with this strategy; the workspace's own search where that is its own."""
    settings = corpus.settings
    if name == settings.search.strategy:
        return corpus
    # Predictors, phases' beginnings and cheap trials are of the strategy that they were set for.
    changes = [f"strategy={name}", "predictor=''", "early=natural", "fidelities=[]", f"name={name}"]
    search = configuration.changed(settings.search, changes)
    return Corpus(corpus.workspace, settings.model_copy(update={"search": search}), corpus.progress)


def asked(corpus: Corpus, names: Sequence[str], seeds: int) -> Stage:
    """The comparison's folder, in which it now stands what was asked."""
    stage = _stage(corpus, names, seeds)
    corpus.workspace.write_json({"strategies": list(names), "seeds": seeds}, *stage.steps, ASKED)
    return stage


def current(corpus: Corpus) -> Iterator[str]:
    """Labels of the comparisons that the settings would make again, finished or not, and of their searches.

    StoreError where pools or targets are not there yet.
    """
    mixing.search(corpus)
    for digest in corpus.workspace.names("strategies"):
        place = ("strategies", digest, ASKED)
        if not corpus.workspace.exists(*place):
            continue
        told = corpus.workspace.read_json(*place)
        names, seeds = list(told["strategies"]), int(told["seeds"])
        try:
            stage = _stage(corpus, names, seeds)
        except SettingsError:
            continue  # settings under which one of its strategies cannot search
        if stage.recipe.digest == digest:
            yield stage.label
            yield from stage.recipe.inputs


def _stage(corpus: Corpus, names: Sequence[str], seeds: int) -> Stage:
    return mixing.strategies(corpus, [mixing.search(entered(corpus, name)) for name in names], seeds)
