"""Frozen groups and bounds as the settings name them: clusters by name or number, with shares given or of a mixture."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from mixer.strategies.reuse import Groups
from pipelines.errors import SettingsError
from pipelines.search_settings import Bound, Frozen


def groups_of(
    frozen: Sequence[Frozen], names: Sequence[str], token_counts: Sequence[int], bounds: Sequence[Bound] = ()
) -> Groups:
    """The groups among clusters of these names and tokens, within bounds; SettingsError for what is none of them."""
    found: list[tuple[list[int], list[float]]] = []
    for group in frozen:
        numbers = [number_of(cluster, names) for cluster in group.clusters]
        if group.mixture:
            weights = _shares(Path(group.mixture), [names[number] for number in numbers])
        elif group.weights == "natural":
            weights = [float(token_counts[number]) for number in numbers]
        else:
            weights = [float(weight) for weight in group.weights]
        found.append((numbers, weights))
    groups = Groups.of(len(names), found)
    return groups.bounded([(number_of(one.cluster, names, "bounds"), one.min, one.max) for one in bounds])


def number_of(cluster: str | int, names: Sequence[str], setting: str = "frozen") -> int:
    """The number of a cluster; SettingsError where none is called that, or several are."""
    if isinstance(cluster, int) and 0 <= cluster < len(names):
        return cluster
    found = [number for number, name in enumerate(names) if name == cluster]
    if len(found) != 1:
        told = f"{len(found)} clusters are called that; name it by number" if found else "no cluster is called that"
        known = ", ".join(f"{number} {name}" for number, name in enumerate(names))
        raise SettingsError(f"search.{setting}: clusters names {cluster!r}: {told}; there are: {known}")
    return found[0]


def _shares(path: Path, names: Sequence[str]) -> list[float]:
    """Weights of the clusters of these names in a mixture.json."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        known: Mapping[str, float] = dict(zip(told["clusters"], map(float, told["weights"]), strict=True))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"search.frozen: mixture = {path} is no readable mixture.json: {error}") from None
    if len(known) < len(told["clusters"]):
        raise SettingsError(f"search.frozen: in {path} two clusters share a name, so its shares cannot be told apart")
    missing = [name for name in names if name not in known]
    if missing:
        raise SettingsError(f"search.frozen: {path} weighs no cluster {', '.join(missing)}; it has: {', '.join(known)}")
    weights = [known[name] for name in names]
    if not any(weights):
        raise SettingsError(f"search.frozen: {path} gives {', '.join(names)} nothing at all; leave that group out")
    return weights
