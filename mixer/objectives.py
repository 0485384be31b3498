"""What a search serves: from the settings' names and weights to losses of its proxies, and what they are measured on.

`search.objective` names one target or task; `search.objectives` weighs several, and clusters. A loss is known by its
split: the search reads `search/NAME`, the final comparison `final/NAME`, of texts that no search saw.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mixer.lineage import asked
from mixer.proxies.choices import Choices
from mixer.proxies.data import Evaluation
from mixer.runs import Objective, Part
from pipelines.clusters import read_clusters
from pipelines.corpus import Corpus
from pipelines.errors import SettingsError
from pipelines.pooling import open_pool, read_evaluations, read_tasks
from pipelines.settings import CLUSTER, Settings
from pipelines.token_pools import Pool

SEARCH, FINAL = "search", "final"  # the splits; the search sees the first alone


def served(corpus: Corpus) -> Objective:
    """What the settings ask for, by names without a split: weights that sum to 1, clusters by their numbers."""
    given = asked(corpus.settings)
    total = sum(given.values())
    parts: dict[str, float] = {}
    for name, weight in given.items():
        known = _cluster(corpus, name) if name.startswith(CLUSTER) else name
        if known in parts:
            raise SettingsError(f"search.objectives: {name!r} is {known}, which has a weight already; give it one")
        parts[known] = weight / total
    return Objective(tuple(Part(name, weight, _metric(corpus.settings, name)) for name, weight in parts.items()))


def _metric(settings: Settings, name: str) -> str:
    """A task's own; of texts that of the search; what an evaluator measures is a number without bytes."""
    tasks = {task.name: task.metric for task in settings.tasks}
    texts = name.startswith(CLUSTER) or name in {target.name for target in settings.targets}
    return tasks.get(name, "nats" if settings.search.evaluator and not texts else settings.search.metric)


def objective_of(corpus: Corpus, split: str) -> Objective:
    """The same by the names of a split's losses; a loss of the user's own program has one name in both splits."""
    ours = {target.name for target in corpus.settings.targets} | {task.name for task in corpus.settings.tasks}
    return Objective(
        tuple(
            Part(loss_name(split, part.name), part.weight, part.metric)
            if part.name in ours or part.name.startswith(CLUSTER)
            else part
            for part in served(corpus).parts
        )
    )


def described(objective: Objective) -> Any:
    """As addresses hold it: of one target in nats its name, as before there was a choice."""
    if objective.metrics == {"nats"} and len(objective.parts) == 1 and not objective.names[0].startswith(CLUSTER):
        return objective.names[0]
    return [[part.name, part.weight, part.metric] for part in objective.parts]


def told(objective: Objective) -> str:
    """As a person reads it: `stars`, or `stars 75 %, cluster/003 25 %`."""
    if len(objective.parts) == 1:
        return objective.names[0]
    return ", ".join(f"{part.name} {100 * part.weight:.3g} %" for part in objective.parts)


def loss_name(split: str, name: str) -> str:
    return f"{split}/{name}"


def nearest(corpus: Corpus) -> np.ndarray:
    """Where the documents that are served lie, (clusters,): of one target how many in each cluster; of several parts
    the weighted mean of their shares, a cluster's part being all in itself.

    A loss of the user's own program has no documents; where nothing else is served, those of the first target count.
    """
    _, documents = read_evaluations(corpus)
    known: dict[str, np.ndarray] = {name: np.array(counts, np.float64) for name, counts in documents.items()}
    return weighed(corpus, known, np.eye(open_pool(corpus).num_buckets))


def weighed(corpus: Corpus, documents: Mapping[str, np.ndarray], clusters: np.ndarray) -> np.ndarray:
    """The mean of what is served by its weights, from rows of targets and tasks by name and a row of each cluster."""
    known: dict[str, np.ndarray] = {
        **documents,
        **{f"{CLUSTER}{bucket:03d}": row for bucket, row in enumerate(clusters)},
    }
    parts = [part for part in served(corpus).parts if part.name in known]
    if not parts and not corpus.settings.targets:
        raise SettingsError(
            f"search.objectives = {list(served(corpus).names)}: losses of one's own program, and no target that says"
            " where documents like those lie; name one too, --target NAME=FILE.jsonl"
        )
    if not parts:
        parts = [Part(corpus.settings.targets[0].name, 1.0)]
    if len(parts) == 1:
        return known[parts[0].name]
    shares = [part.weight * known[part.name] / max(1.0, known[part.name].sum()) for part in parts]
    mean: np.ndarray = np.sum(shares, axis=0)
    return mean


def _cluster(corpus: Corpus, name: str) -> str:
    """`cluster/003` from that, `cluster/3` or `cluster/` and its name; SettingsError for one that is none."""
    wanted, names = name.removeprefix(CLUSTER), read_clusters(corpus)["name"].to_pylist()
    numbers = [number for number, known in enumerate(names) if known == wanted]
    if not numbers and re.fullmatch(r"\d+", wanted) and int(wanted) < len(names):
        numbers = [int(wanted)]
    if len(numbers) == 1:
        return f"{CLUSTER}{numbers[0]:03d}"
    if numbers:
        same = ", ".join(f"{CLUSTER}{number:03d}" for number in numbers)
        raise SettingsError(f"search.objectives: {len(numbers)} clusters are called {wanted!r}; name one of {same}")
    there = ", ".join(f"{number:03d} {known}" for number, known in enumerate(names))
    raise SettingsError(f"search.objectives: no cluster {wanted!r}; there are: {there}")


# ---------------------------------------------------------------------------------------------------------
# What proxies are measured on


Texts = tuple[tuple[str, Evaluation], ...]  # (group, its texts); one without groups has one, of no name


def evaluations(corpus: Corpus, split: str) -> dict[str, Evaluation | Choices]:
    """What `texts` has, those of several groups as the macro-average, the tasks, and every cluster's held-out texts."""
    found: dict[str, Evaluation | Choices] = {name: _macro(groups) for name, groups in texts(corpus, split).items()}
    found |= {name: Choices.of_table(rows) for name, (_, rows) in tasks(corpus, split).items()}
    pool = open_pool(corpus)
    for bucket in range(pool.num_buckets):
        tokens = pool.tokens(bucket, "validation")
        found[f"{CLUSTER}{bucket:03d}"] = Evaluation(tokens, int(pool.num_bytes["validation"][bucket]))
    return found


def texts(corpus: Corpus, split: str) -> dict[str, Texts]:
    """The texts of a split by the names of their losses: every target, and the clusters that are served."""
    table, _ = read_evaluations(corpus)
    found = {}
    for target in corpus.settings.targets:
        mine = table.filter(pc.and_(pc.equal(table["target"], target.name), pc.equal(table["split"], split)))
        found[loss_name(split, target.name)] = tuple(
            (group, Evaluation(tokens.values.to_numpy(), num_bytes.as_py()))
            for group, tokens, num_bytes in zip(
                mine["group"].to_pylist(), mine["tokens"], mine["num_bytes"], strict=True
            )
        )
    pool = open_pool(corpus)
    for name in served(corpus).names:
        if name.startswith(CLUSTER):
            found[loss_name(split, name)] = (("", _half(pool, int(name.removeprefix(CLUSTER)), split)),)
    return found


def tasks(corpus: Corpus, split: str) -> dict[str, tuple[str, pa.Table]]:
    """(metric, rows of the schema of pipelines/tasks.py) of each task of a split, by the name of its loss."""
    if not corpus.settings.tasks:
        return {}
    table = read_tasks(corpus)
    return {
        loss_name(split, task.name): (
            task.metric,
            table.filter(pc.and_(pc.equal(table["task"], task.name), pc.equal(table["split"], split))),
        )
        for task in corpus.settings.tasks
    }


def _macro(groups: Texts) -> Evaluation:
    each = [evaluation for _, evaluation in groups]
    return each[0] if len(each) == 1 else Evaluation.macro(each)


def _half(pool: Pool, bucket: int, split: str) -> Evaluation:
    """The first half of a cluster's held-out tokens for the search, the second for the comparison.

    Bytes are shared out by tokens, so that a token has the cluster's mean number of them.
    """
    tokens = pool.tokens(bucket, "validation")
    middle = len(tokens) // 2
    mine = tokens[:middle] if split == SEARCH else tokens[middle:]
    return Evaluation(mine, round(int(pool.num_bytes["validation"][bucket]) * len(mine) / max(1, len(tokens))))
