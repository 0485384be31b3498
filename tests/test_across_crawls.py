"""Crawls one after the other end as all of them at once: the same duplicates, and nothing old changes."""

import itertools
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from made_crawls import WORDS, Crawls, Rows, add, workspace

from pipelines import lineage, row_numbers
from pipelines.corpus import Corpus
from pipelines.duplicates import groups, sources

CRAWLS = ("a", "b", "c")


def graded(seed: int) -> tuple[Crawls, Rows]:
    """Copies of a few bases with 0 to 6 of 12 words changed, in files of three crawls and in a target.

    Chains of copies of copies, copies that the verdicts drop (a brace), a record in two files, one id in two crawls.
    """
    chance = random.Random(seed)
    pool = [chance.sample(WORDS, 12) for _ in range(5)]

    def one(name: str) -> dict[str, str]:
        words = list(chance.choice(pool))
        for _ in range(chance.choice([0, 0, 1, 2, 3, 4, 6])):
            words[chance.randrange(12)] = chance.choice(WORDS)
        pool.append(words)
        return {"id": name, "url": name, "text": " ".join([*words, *(["{"] if chance.random() < 0.2 else [])])}

    crawls: dict[str, dict[str, Rows]] = {}
    for crawl in CRAWLS:
        files: dict[str, list[dict[str, str]]] = {
            f"{file}.jsonl": [one(f"{file} {n}") for n in range(7)] for file in "xy"
        }
        files["y.jsonl"].append(chance.choice(files["x.jsonl"]))
        crawls[crawl] = dict(files)
    held = [
        dict(one(f"held {n}"), text=" ".join(chance.sample(WORDS, 12))) if n < 6 else one(f"held {n}") for n in range(8)
    ]
    return crawls, held


def step_by_step(root: Path, crawls: Crawls, held: Rows) -> tuple[Corpus, list[dict[str, bytes]]]:
    """Each crawl is registered when the one before is done; what lay in the workspace after each."""
    workspace(root, crawls, held)
    states = []
    for crawl in crawls:
        corpus = add(root, crawl)
        groups.run_duplicates(corpus, crawl)
        states.append(stored(root))
    return corpus, states


def stored(root: Path) -> dict[str, bytes]:
    paths = [path for path in (root / "ws").rglob("*") if path.is_file() and path.suffix != ".lease"]
    return {str(path): path.read_bytes() for path in paths if path.parent != root / "ws" and path.name != ".lease"}


def all_at_once(corpus: Corpus) -> dict[bytes, bytes]:
    """Keepers of one search over the rows of all crawls, none of them decided before."""
    together = tuple(
        sources.Source(one.name, one.ordinal, one.age, one.signatures, one.texts, one.verdicts, None)
        for one in sources.sources_of(corpus, corpus.crawls[-1].name)
    )
    found = groups._Search(corpus, together).found
    return dict(zip(_ids(together, found.rows), [one.tobytes() for one in found.keepers], strict=True))


def _ids(given: Sequence[sources.Source], rows: np.ndarray) -> list[bytes]:
    tables = [source.signatures.read(source.name, ["id"])["id"] for source in given]
    parts, places = row_numbers.ordinals(rows).tolist(), row_numbers.places(rows).tolist()
    return [tables[part][place].as_py() for part, place in zip(parts, places, strict=True)]


def duplicates_of(corpus: Corpus) -> list[tuple[bytes, bytes]]:
    found = []
    for crawl in corpus.crawls:
        stage = lineage.duplicates(corpus, crawl.name)
        rows = [row for part in stage.sidecars() for row in stage.read(part).to_pylist()]
        found += [(row["id"], row["duplicate_of"]) for row in rows if row["duplicate_of"]]
    return found


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 12))])
def test_one_after_the_other_is_all_at_once(tmp_path: Path, seed: int) -> None:
    crawls, held = graded(seed)
    corpus, states = step_by_step(tmp_path, crawls, held)
    for before, after in itertools.pairwise(states):
        assert {path: after[path] for path in before if "crawls.json" not in path} == {
            path: content for path, content in before.items() if "crawls.json" not in path
        }
    found = duplicates_of(corpus)
    assert len(found) > 12
    assert dict(found) == all_at_once(corpus)
    assert not {keeper for _, keeper in found} & {lost for lost, keeper in found if lost != keeper}  # keepers stay


def test_the_generated_crawls_have_what_makes_it_hard() -> None:
    """Chains across crawls, braces, repeated records and targets: else the property would hold of nothing."""
    across = braces = repeated = held_hits = 0
    for seed in range(2):
        crawls, held = graded(seed)
        sets = {
            crawl: [set(row["text"].split()) for rows in files.values() for row in rows if "{" not in row["text"]]
            for crawl, files in crawls.items()
        }

        def near(one: set[str], other: set[str]) -> bool:
            return len(one & other) / len(one | other) >= 0.5

        across += any(
            near(x, y) and near(y, z) and not near(x, z)
            for x, y, z in itertools.product(sets["a"], sets["b"], sets["c"])
        )
        braces += sum("{" in row["text"] for files in crawls.values() for rows in files.values() for row in rows)
        repeated += sum(len({row["id"] for rows in files.values() for row in rows}) < 15 for files in crawls.values())
        held_hits += any(near(set(row["text"].split()), one) for row in held for some in sets.values() for one in some)
    assert min(across, held_hits) == 2
    assert braces > 4
    assert repeated == 6
