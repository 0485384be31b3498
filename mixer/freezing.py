"""Frozen groups, bounds and early mixtures as the settings name them: clusters by name or number, shares of a file."""

import json
import math
from collections.abc import Sequence
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


def mixture_of(path: Path, names: Sequence[str]) -> tuple[float, ...]:
    """Shares of the clusters of these names in a mixture.json, over all its phases; 0 of those that it does not know.

    SettingsError where it weighs a cluster that is none of them, or that several are called.
    """
    clusters, weights = _read(path, "early =")
    shares = [weight / math.fsum(weights) for weight in weights]
    if clusters == list(names):
        return tuple(shares)
    lost = [
        name
        for name, share in zip(clusters, shares, strict=True)
        if share and not clusters.count(name) == list(names).count(name) == 1
    ]
    if lost:
        raise SettingsError(
            f"search.early = {path} weighs {', '.join(dict.fromkeys(lost))}, which is not one cluster here; there are:"
            f" {', '.join(names)}. Take the mixture of a search over these clusters"
        )
    known = dict(zip(clusters, shares, strict=True))
    return tuple(known.get(name, 0.0) for name in names)


def _shares(path: Path, names: Sequence[str]) -> list[float]:
    """Weights of the clusters of these names in a mixture.json."""
    clusters, weights = _read(path, "frozen: mixture =")
    known = dict(zip(clusters, weights, strict=True))
    if len(known) < len(clusters):
        raise SettingsError(f"search.frozen: in {path} two clusters share a name, so its shares cannot be told apart")
    missing = [name for name in names if name not in known]
    if missing:
        raise SettingsError(f"search.frozen: {path} weighs no cluster {', '.join(missing)}; it has: {', '.join(known)}")
    found = [known[name] for name in names]
    if not any(found):
        raise SettingsError(f"search.frozen: {path} gives {', '.join(names)} nothing at all; leave that group out")
    return found


def _read(path: Path, setting: str) -> tuple[list[str], list[float]]:
    """Clusters and weights of a mixture.json, at least one of which is above 0."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        clusters, weights = [str(name) for name in told["clusters"]], [float(weight) for weight in told["weights"]]
        if len(clusters) != len(weights):
            raise ValueError(f"{len(clusters)} clusters and {len(weights)} weights")
        if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or not any(weights):
            raise ValueError(f"{weights} are no shares")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"search.{setting} {path} is no readable mixture.json: {error}") from None
    return clusters, weights
