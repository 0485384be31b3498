"""Duplicates against a reference that compares every pair, and who keeps: by target, crawl, id."""

import itertools
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixer.job import STEPS
from pipelines import lineage
from pipelines.corpus import Corpus, choose, keep, opened
from pipelines.crawls import register
from pipelines.duplicates import groups as duplicates
from pipelines.errors import StoreError
from pipelines.store import Workspace
from pipelines.targets import run_targets

# Every document passes but those that C4 drops for a brace; shingles are words, and all pairs that share one meet.
CHANGES = (
    "quality.rules=['c4']",
    "quality.languages=[]",
    "quality.min_language_score=0",
    "quality.min_sentences=0",
    "edits.c4_lines=false",
    "duplicates.ngram=1",
    "duplicates.bands=40",
    "duplicates.rows=1",
    "duplicates.min_jaccard=0.5",
    "engine.workers=1",
)
WORDS = ["".join(letters) for letters in itertools.product("bdfgklmnprstvz", "aeiou", "bdfgklmnprstvz", "aeiou")]

Rows = Sequence[Mapping[str, str]]
Found = dict[str, tuple[str, str]]  # name -> (name of its keeper, method), of duplicates alone


@pytest.fixture
def find(tmp_path: Path) -> Callable[..., Found]:
    numbers = itertools.count()

    def find(
        crawls: Mapping[str, Mapping[str, Rows]], targets: Rows = (), changes: Sequence[str] = (), workers: int = 1
    ) -> Found:
        corpus = made(tmp_path / str(next(numbers)), crawls, targets, [*changes, f"engine.workers={workers}"])
        for crawl in crawls:
            run(corpus, crawl)
        return said(corpus)

    return find


def made(root: Path, crawls: Mapping[str, Mapping[str, Rows]], targets: Rows, changes: Sequence[str]) -> Corpus:
    workspace = Workspace(str(root / "ws"))
    given = []
    if targets:
        write(root / "target.jsonl", targets)
        given = [f"target={root / 'target.jsonl'}"]
    keep(workspace, choose(workspace, None, preset=None, changes=[*CHANGES, *changes], targets=given))
    for crawl, files in crawls.items():
        for name, rows in files.items():
            write(root / crawl / name, rows)
        register(workspace, crawl, [str(root / crawl)])
    return opened(workspace)


def write(path: Path, rows: Rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"id": row["name"], "url": row["name"], **row}) + "\n" for row in rows))


INPUTS = ("documents", "edits", "signals", "verdicts", "signatures")


def run(corpus: Corpus, crawl: str, stages: Sequence[str] = (*INPUTS, "duplicates")) -> None:
    run_targets(corpus)
    for name in stages:
        next(step for step in STEPS if step.name == name).run(corpus, crawl)


def said(corpus: Corpus) -> Found:
    names = {}
    targets = lineage.targets(corpus)
    for part in targets.sidecars():
        names |= {row["id"]: f"target {row['text'].split()[0]}" for row in targets.read(part).to_pylist()}
    for crawl in corpus.crawls:
        documents = lineage.documents(corpus, crawl.name)
        for part in documents.sidecars():
            names |= {row["id"]: row["url"] for row in documents.read(part, ["id", "url"]).to_pylist()}
    found: Found = {}
    for crawl in corpus.crawls:
        stage = lineage.duplicates(corpus, crawl.name)
        for part in stage.sidecars():
            for row in stage.read(part).to_pylist():
                if row["duplicate_of"]:
                    found[names[row["id"]]] = (names[row["duplicate_of"]], row["method"])
    return found


def document(name: str, words: Sequence[str]) -> dict[str, str]:
    return {"name": name, "text": " ".join(words)}


def by_id(corpus: Corpus, crawl: str) -> list[str]:
    """Names of a crawl's documents, smallest id first."""
    stage = lineage.documents(corpus, crawl)
    rows = [row for part in stage.sidecars() for row in stage.read(part, ["id", "url"]).to_pylist()]
    return [row["url"] for row in sorted(rows, key=lambda row: row["id"])]


# ---------------------------------------------------------------------------------------------------------


def test_pairs_above_the_threshold_are_found_and_those_below_are_not(find: Callable[..., Found]) -> None:
    """All pairs share words, so all are candidates: what decides is the exact similarity."""
    base = WORDS[:9]
    found = find(
        {
            "crawl": {
                "a.jsonl": [
                    document("base", base),
                    document("at", [*base[:6], *WORDS[20:23]]),  # 6 of 12 words
                    document("below", [*base[:5], *WORDS[30:34]]),  # 5 of 13
                ]
            }
        }
    )
    assert set(found) < {"base", "at"}
    assert len(found) == 1
    ((_, (_, method)),) = found.items()
    assert method == "minhash"


@pytest.mark.parametrize("seed", [0, 1, pytest.param(2, marks=pytest.mark.slow)])
def test_groups_and_keepers_are_those_of_comparing_every_pair(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    bases = [chance.sample(WORDS, 12) for _ in range(6)]

    def one(name: str) -> dict[str, str]:
        words = list(chance.choice(bases))
        for _ in range(chance.choice([0, 1, 2, 3, 4, 6])):
            words[chance.randrange(12)] = chance.choice(WORDS)
        return document(name, words + (["{"] if chance.random() < 0.2 else []))

    crawls = {
        crawl: {f"{file}.jsonl": [one(f"{crawl} {file} {n}") for n in range(12)] for file in "ab"}
        for crawl in ("old", "new")
    }
    held = [one(f"held {n}") for n in range(6)]
    corpus = made(tmp_path, crawls, held, ())
    for crawl in crawls:
        run(corpus, crawl)
    assert {name: keeper for name, (keeper, _) in said(corpus).items()} == _reference(corpus, crawls, held)


def _reference(corpus: Corpus, crawls: Mapping[str, Mapping[str, Rows]], held: Rows) -> dict[str, str]:
    """Name -> keeper of every duplicate, by brute force, crawl by crawl."""
    targets = lineage.targets(corpus)
    rows = [row for part in targets.sidecars() for row in targets.read(part, ["id", "text"]).to_pylist()]
    keeping = [
        (f"target {row['text'].split()[0]}", set(row["text"].split()) - {"{"})
        for row in sorted(rows, key=lambda row: row["id"])
    ]
    lost: dict[str, str] = {}
    for crawl, files in crawls.items():
        texts = {row["name"]: row["text"] for rows in files.values() for row in rows if "{" not in row["text"]}
        pool = [*keeping, *((name, set(texts[name].split())) for name in by_id(corpus, crawl) if name in texts)]
        root = list(range(len(pool)))
        for i, j in itertools.combinations(range(len(pool)), 2):
            one, other = pool[i][1], pool[j][1]
            # pairs within what was kept before are none of this crawl's
            if j >= len(keeping) and len(one & other) / len(one | other) >= 0.5:
                low, high = sorted((root[i], root[j]))
                root = [low if r == high else r for r in root]
        for i in range(len(keeping), len(pool)):
            if root[i] != i:
                lost[pool[i][0]] = pool[root[i]][0]
        keeping = [one for i, one in enumerate(pool) if i < len(keeping) or root[i] == i]
    return lost


def test_a_target_wins_over_every_crawl_and_an_older_crawl_over_a_newer(find: Callable[..., Found]) -> None:
    held, other = WORDS[:10], WORDS[50:60]
    found = find(
        {
            "old": {"a.jsonl": [document("old held", held), document("old", other)]},
            "new": {"a.jsonl": [document("new held", held), document("new", [*other[:8], *WORDS[70:72]])]},
        },
        targets=[document("t", [*held[:8], *WORDS[40:42]]), *(document(f"x{n}", [WORDS[200 + n]]) for n in range(5))],
    )
    keeper = f"target {held[0]}"
    assert found == {
        "old held": (keeper, "target"),
        "new held": (keeper, "target"),
        "new": ("old", "minhash"),
    }


def test_the_keeper_of_a_group_has_the_smallest_id(tmp_path: Path) -> None:
    rows = [document(f"copy {n}", WORDS[:10]) for n in range(8)]
    corpus = made(tmp_path, {"crawl": {"a.jsonl": rows[:4], "b.jsonl": rows[4:]}}, (), ())
    run(corpus, "crawl")
    first, *rest = by_id(corpus, "crawl")
    assert said(corpus) == dict.fromkeys(rest, (first, "exact"))


def test_a_document_that_is_dropped_keeps_nothing(find: Callable[..., Found]) -> None:
    """Else its group would be lost whole."""
    found = find({"crawl": {"a.jsonl": [document(f"braced {n}", [*WORDS[:10], "{"]) for n in range(6)]
                            + [document("plain", WORDS[:10])]}})  # fmt: skip
    assert found == {}


def test_a_record_that_comes_again_in_another_file_is_dropped_as_such(find: Callable[..., Found]) -> None:
    row = document("twice", WORDS[:10])
    assert find({"crawl": {"a.jsonl": [row], "b.jsonl": [row]}}) == {"twice": ("twice", "record")}


def test_neither_files_nor_workers_nor_memory_nor_order_matter(find: Callable[..., Found]) -> None:
    chance = random.Random(5)
    bases = [chance.sample(WORDS, 12) for _ in range(5)]
    rows = []
    for number in range(40):
        words = list(chance.choice(bases))
        for _ in range(chance.choice([0, 0, 1, 3])):
            words[chance.randrange(12)] = chance.choice(WORDS)
        rows.append(document(f"row {number}", words))
    expected = find({"crawl": {"a.jsonl": rows}})
    assert len(expected) > 20
    shuffled = random.Random(6).sample(rows, len(rows))
    split = {"x.jsonl": shuffled[:11], "deep/y.jsonl": shuffled[11:13], "z.jsonl": shuffled[13:]}
    assert find({"crawl": split}, changes=["engine.memory_bytes=60_000"]) == expected  # 4 passes
    assert find({"crawl": split}, workers=2) == expected


def test_wordless_texts_meet_only_their_exact_copies(find: Callable[..., Found]) -> None:
    rows: list[dict[str, Any]] = [{"name": f"{n}", "text": text} for n, text in enumerate(["?!", "...", "?!", "* * *"])]
    found = find({"crawl": {"a.jsonl": rows}}, changes=["quality.min_words=0"])
    assert len(found) <= 1  # wordless texts are also dropped as empty; a copy may be all that is found
    assert all({name, keeper} == {"0", "2"} for name, (keeper, _) in found.items())


def test_a_crawl_without_candidates_has_no_duplicates(find: Callable[..., Found]) -> None:
    assert find({"crawl": {"a.jsonl": [document("one", WORDS[:5])], "b.jsonl": [document("two", WORDS[9:15])]}}) == {}


def test_a_templated_target_hides_no_copy_behind_the_cap(tmp_path: Path) -> None:
    """More rows than a bucket pairs whole: this crawl's still meet each row of the target."""
    first_crawl, first_own = 1 << duplicates.ROW_BITS, 2 << duplicates.ROW_BITS
    held, old = np.arange(60, dtype=np.uint64), first_crawl + np.arange(5, dtype=np.uint64)
    own = first_own + np.arange(9, dtype=np.uint64)
    rows = np.concatenate([own, held, old])
    hashes = np.where(rows == own[-1], 8, 7).astype(np.uint64)  # the last one shares nothing
    for _ in range(2):  # as after a worker's death
        batches = [(hashes[:30], rows[:30]), (hashes[30:], rows[30:])]
        duplicates._meet(str(tmp_path), first_crawl, first_own, 64, 3, batches)
    pairs = {tuple(pair) for path in tmp_path.glob("pairs-*.npy") for pair in np.load(path).tolist()}
    assert {pair for pair in pairs if pair[0] < 60} == set(itertools.product(held.tolist(), own[:-1].tolist()))
    assert all(right >= first_own for _, right in pairs)
    assert [(path.name, int(np.load(path))) for path in tmp_path.glob("capped-*.npy")] == [("capped-67.npy", 1)]


@pytest.mark.parametrize("memory", [1 << 30, 60_000])
def test_buckets_that_are_not_paired_whole_are_counted(tmp_path: Path, memory: int) -> None:
    rows = [document(f"copy {n}", WORDS[:10]) for n in range(60)]
    files = {"a.jsonl": rows[:30], "b.jsonl": rows[30:]}
    corpus = made(tmp_path, {"crawl": files}, (), [f"engine.memory_bytes={memory}"])
    run(corpus, "crawl")
    counts = lineage.duplicates(corpus, "crawl").finished()["counts"]
    assert counts["capped_buckets"] == 1 + 40  # of the content hash and of each band
    assert sum(counts["dropped"].values()) == 59


def test_parts_that_no_manifest_names_take_no_part(tmp_path: Path) -> None:
    rows = [document(f"copy {n}", WORDS[:10]) for n in range(4)]
    held = [document(f"x{n}", [WORDS[200 + n]]) for n in range(6)]
    corpus = made(tmp_path, {"crawl": {"a.jsonl": rows}}, held, ())
    run(corpus, "crawl", INPUTS)
    for stage in (lineage.documents(corpus, "crawl"), lineage.targets(corpus)):
        corpus.workspace.write_json({"part": "part-0", "rows": 9}, *stage.steps, "part-0.json")
    run(corpus, "crawl", ["duplicates"])
    assert len(said_of(corpus)) == 3


def said_of(corpus: Corpus) -> list[bytes]:
    stage = lineage.duplicates(corpus, "crawl")
    found = [one for part in stage.sidecars() for one in stage.read(part)["duplicate_of"].to_pylist()]
    return [one for one in found if one]


def test_verdicts_of_other_rows_are_refused(tmp_path: Path) -> None:
    rows = [document(f"copy {n}", WORDS[:10]) for n in range(4)]
    corpus = made(tmp_path, {"crawl": {"a.jsonl": rows}}, (), ())
    run(corpus, "crawl", INPUTS)
    verdicts = lineage.verdicts(corpus, "crawl")
    (part,) = verdicts.sidecars()
    verdicts.commit(part, verdicts.read(part).take([1, 0, 2, 3]), counts={})
    with pytest.raises(StoreError, match="do not carry the same ids"):
        run(corpus, "crawl", ["duplicates"])
