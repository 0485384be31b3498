"""Why two folders of one stage differ: what the manifests say of the settings, versions and inputs behind each."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.store import Workspace

MAX_CHARS = 40  # of a value that is shown
_DIGEST = re.compile(r"[0-9a-f]{32,}")

Values = Mapping[str, Any]


def differences(workspace: Workspace, theirs: str, ours: str) -> list[str]:
    """Each difference once, from two labels on through all that goes into them; [] where the manifests say none.

    What lies behind a folder that `sirdar clean` took away is not known; its name is told.
    """
    return list(dict.fromkeys(_of_labels(workspace, theirs, ours, set())))


def _of_labels(workspace: Workspace, theirs: str, ours: str, seen: set[tuple[str, str]]) -> Iterator[str]:
    if (theirs, ours) in seen or theirs == ours:
        return
    seen.add((theirs, ours))
    old, new = _manifest(workspace, theirs), _manifest(workspace, ours)
    if old is None or new is None:
        yield f"{theirs if old is None else ours} is no longer there to compare"
        return
    stage = str(new["stage"])
    if old["version"] != new["version"]:
        yield f"{stage} is of another version of this program"
    for library in sorted(old["libraries"].keys() | new["libraries"].keys()):
        if old["libraries"].get(library) != new["libraries"].get(library):
            yield f"{stage} is by another {library}"
    yield from _of_settings(stage, old["settings"], new["settings"])
    before, now = _by_place(old["inputs"]), _by_place(new["inputs"])
    both = _crawls(before) & _crawls(now)
    for place in sorted(before.keys() | now.keys()):
        column, _, crawl = place.partition("/")
        if (place in before) != (place in now) and crawl in both:
            yield f"{column} of crawl {crawl} is read {'too' if place in now else 'no longer'}"
        elif (place in before) != (place in now):
            yield f"{f'crawl {crawl}' if crawl else place} is {'new' if place in now else 'gone'}"
        elif before[place] != now[place]:
            yield from _of_labels(workspace, before[place], now[place], seen)
        elif old["inputs"][before[place]] != new["inputs"][now[place]]:
            yield f"{place} has other content: files were added"


def _of_settings(name: str, theirs: Values, ours: Values) -> Iterator[str]:
    for key in sorted(theirs.keys() | ours.keys()):
        old, new, where = theirs.get(key), ours.get(key), f"{name}.{key}"
        if old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _of_settings(where, old, new)
        elif key not in theirs or key not in ours:
            value = ours.get(key, old)
            plain = not isinstance(value, Mapping) and not (isinstance(value, str) and _DIGEST.fullmatch(value))
            yield f"{where}{f' = {_shown(value)}' if plain else ''} is {'new' if key in ours else 'gone'}"
        elif isinstance(old, str) and isinstance(new, str) and _DIGEST.fullmatch(old) and _DIGEST.fullmatch(new):
            yield f"{where} is another"
        else:
            yield f"{where} was {_shown(old)}, is {_shown(new)}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 3] + "..."


def _by_place(inputs: Mapping[str, str]) -> dict[str, str]:
    """Stage, or stage/crawl -> label."""
    return {label.rpartition("/")[0]: label for label in inputs}


def _crawls(places: Mapping[str, str]) -> set[str]:
    return {crawl for place in places for _, slash, crawl in [place.partition("/")] if slash}


def _manifest(workspace: Workspace, label: str) -> dict[str, Any] | None:
    steps = (*label.split("/"), "manifest.json")
    return dict(workspace.read_json(*steps)) if workspace.exists(*steps) else None
