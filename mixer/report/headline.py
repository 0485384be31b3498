"""One sentence on what a search has shown, the bad news first.

`nearest` needs no training: a search that does not beat it has not paid for itself, whatever else it beats.
"""

from collections.abc import Mapping, Sequence
from typing import Any

FREE = ("nearest", "domain2vec", "natural", "uniform", "entropy")  # rules, the hardest to beat first


def headline(told: Mapping[str, Any]) -> str:
    """Of the comparison where there is one, else of how far the search is."""
    if told["comparison"] is not None:
        return of_verdicts(told["comparison"]["verdicts"], told["unit"])
    done = sum(part["num_runs"] + part["num_taken"] - part["num_failed"] for part in told["cost"].values())
    if told["recommended"] is None or not told["recommended"]["final"]:
        return f"The search is not finished: {done} proxies are trained, and nothing is shown yet."
    return "A mixture is found, and not yet compared with any other on documents that the search never saw."


def of_verdicts(verdicts: Sequence[Mapping[str, Any]], unit: str = "nats") -> str:
    """What paired runs showed of the mixture found against each other one."""
    ranked = sorted(verdicts, key=lambda one: FREE.index(one["other"]) if one["other"] in FREE else len(FREE))
    beaten = [one for one in ranked if one["outcome"] == "beats"]
    worse = [one for one in ranked if one["outcome"] == "worse"]
    same = [one for one in ranked if one["outcome"] not in ("beats", "worse")]
    if not worse and not same:
        first = beaten[0]
        least = f"{first['other']} by {first['difference']:.2f} {unit}"
        others = _listed([one["other"] for one in beaten[1:]])
        return f"The mixture found beats {least}{f', and {others}' if others else ''}."
    parts = [f"it is worse than {_listed([_by(one, unit) for one in worse])}"] if worse else []
    if same:
        parts.append(f"no difference from {_listed([one['other'] for one in same])} is shown")
    others = _listed([_free(one["other"]) for one in (*worse, *same)])
    if len(worse) == 1 and not same:
        parts = [f"it is worse by {-worse[0]['difference']:.2f} {unit}"]
    elif len(same) == 1 and not worse:
        parts = ["no difference is shown"]
    said = f"The mixture found does not beat {others}: {', and '.join(parts)}."
    return f"{said} It beats {_listed([one['other'] for one in beaten])}." if beaten else said


def _by(one: Mapping[str, Any], unit: str) -> str:
    return f"{one['other']} by {-one['difference']:.2f} {unit}"


def _free(name: str) -> str:
    return "nearest, which needs no training" if name == "nearest" else name


def _listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""
