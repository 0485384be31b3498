"""The searches that lie in a workspace: how far each is, and the settings under which it goes on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mixer import journal
from mixer import lineage as mixing
from mixer.candidates import described
from mixer.place import JOURNAL
from pipelines.corpus import Corpus
from pipelines.errors import StoreError
from pipelines.search_settings import Proxy, Search


@dataclass(frozen=True, slots=True)
class Found:
    """A search's folder: trials of its rounds that are done and asked for, when the last one ended."""

    name: str
    digest: str
    done: int
    asked: int  # 0: no round is proposed yet
    last: float  # seconds since 1970; 0: none
    finished: bool
    damage: str = ""  # why its files cannot be read

    @property
    def state(self) -> str:
        if self.damage:
            return "damaged"
        return "finished" if self.finished else f"{self.done} of {self.asked} trials" if self.asked else "not begun"


def searches(corpus: Corpus) -> list[Found]:
    """Every search of a local workspace, the one last worked on first; StoreError where it is not local."""
    if not corpus.workspace.is_local:
        raise StoreError(f"{corpus.workspace.root} is not local; `sirdar mix search` goes on with its search")
    paths = sorted(corpus.workspace.local("search").glob("*/*/"))
    found = [_found(path) for path in paths if (path / "candidates").is_dir() or (path / JOURNAL).exists()]
    return sorted(found, key=lambda one: -one.last)


def chosen(found: Sequence[Found], name: str) -> Found:
    """The search of this name, or the only unfinished one; StoreError where that is none, several or damaged."""
    fitting = [one for one in found if one.name == name] if name else found
    damaged = [one for one in fitting if one.damage and not one.finished]
    open_ones = [one for one in fitting if not one.finished and not one.damage]
    if len(open_ones) == 1:
        return open_ones[0]
    if open_ones and name:
        return open_ones[0]  # the one last worked on; the others are of settings since changed
    if open_ones:
        names = ", ".join(one.name for one in open_ones)
        raise StoreError(f"{len(open_ones)} searches are unfinished: {names}; name one of them")
    if damaged:
        raise StoreError(damaged[0].damage)
    if fitting:
        raise StoreError(f"{name or 'every search'} is finished; `sirdar mix report` shows what it found")
    there = ", ".join(sorted({one.name for one in found})) or "none"
    raise StoreError(f"no search {name or 'yet'}; there are: {there}. `sirdar mix search` starts one")


def continued(corpus: Corpus, one: Found) -> Corpus:
    """The corpus under the settings of that search; StoreError where pools, targets or settings have changed since."""
    about = _about(corpus.workspace.local("search", one.name, one.digest))
    for search in _candidates(corpus.settings.search, about, one.name):
        changes: dict[str, Any] = {"search": search}
        if "proxy" in about:
            changes["proxy"] = Proxy.model_validate(about["proxy"])
        again = Corpus(corpus.workspace, corpus.settings.model_copy(update=changes), corpus.progress)
        if mixing.search(again).recipe.digest == one.digest:
            return again
    raise StoreError(
        f"search {one.name}/{one.digest} was of other clusters, targets or settings than those of the workspace now;"
        " its trials stay in its journal. `sirdar mix search` starts one of the settings as they are"
    )


def _candidates(now: Search, about: dict[str, Any], name: str) -> Iterator[Search]:
    """Settings that may have been the search's: what its candidates say over the workspace's own."""
    said = {key: value for key, value in about.items() if key in Search.model_fields}
    for assumed in ({}, {"strategy": "climb", "predictor": ""}, {"strategy": name, "predictor": ""}):
        try:
            yield Search.model_validate({**now.model_dump(), **assumed, **said, "name": name})
        except ValidationError:
            continue  # no strategy is called like the search


def _found(path: Path) -> Found:
    finished = (path / "report.json").exists()
    try:
        about, every = _about(path), journal.read(path / JOURNAL)
    except StoreError as error:  # that of one search keeps nobody from another
        return Found(path.parent.name, path.name, 0, 0, 0.0, finished, str(error))
    rounds = len(about.get("rounds", ()))
    entries = [entry for entry in every if 1 <= entry.trial.round <= max(rounds, 1)]
    last = (path / JOURNAL).stat().st_mtime if entries else 0.0
    asked = sum(about.get("rounds", ())) * about.get("seeds", 1)
    # Of cheap trials as many as cost one whole trial are one, and what is left of a round's budget is never spent.
    tokens = sum(entry.trial.schedule.tokens for entry in entries)
    done = round(tokens / about["tokens"]) if "fidelities" in about else len(entries)
    return Found(path.parent.name, path.name, done, asked, last, finished)


def _about(path: Path) -> dict[str, Any]:
    """What the first round's candidates say of their search; {} where none is proposed."""
    first = path / "candidates" / "round-1.parquet"
    return described(first) if first.exists() else {}
