"""Duplicates against a reference that compares every pair, and who keeps: by target, crawl, id."""

import itertools
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from made_crawls import WORDS, Crawls, Rows, add, document, duplicates, workspace

from pipelines import lineage
from pipelines.corpus import Corpus
from pipelines.duplicates import report
from pipelines.duplicates.groups import run_duplicates
from pipelines.errors import StoreError
from pipelines.settings import Duplicates

Found = dict[str, tuple[str, str]]  # name -> (name of its keeper, method), of duplicates alone


@pytest.fixture
def find(tmp_path: Path) -> Callable[..., Found]:
    numbers = itertools.count()

    def find(crawls: Crawls, targets: Rows = (), changes: Sequence[str] = (), workers: int = 1) -> Found:
        root = tmp_path / str(next(numbers))
        return said(duplicates(root, crawls, targets, [*changes, f"engine.workers={workers}"]))

    return find


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


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
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
    corpus = duplicates(tmp_path, crawls, held, ())
    assert {name: keeper for name, (keeper, _) in said(corpus).items()} == _reference(corpus, crawls)


def _reference(corpus: Corpus, crawls: Crawls) -> dict[str, str]:
    """Name -> keeper of every duplicate, by brute force: the first kept document that is similar."""
    targets = lineage.targets(corpus)
    rows = [row for part in targets.sidecars() for row in targets.read(part, ["id", "text"]).to_pylist()]
    keeping = [
        (f"target {row['text'].split()[0]}", set(row["text"].split()) - {"{"})
        for row in sorted(rows, key=lambda row: row["id"])
    ]
    lost: dict[str, str] = {}
    for crawl, files in crawls.items():
        texts = {row["id"]: row["text"] for rows in files.values() for row in rows if "{" not in row["text"]}
        for name in by_id(corpus, crawl):
            if name not in texts:
                continue
            words = set(texts[name].split())
            similar = [other for other, kept in keeping if len(words & kept) / len(words | kept) >= 0.5]
            if similar:
                lost[name] = similar[0]
            else:
                keeping.append((name, words))
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
    corpus = duplicates(tmp_path, {"crawl": {"a.jsonl": rows[:4], "b.jsonl": rows[4:]}}, (), ())
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
    rows = [document(f"{n}", [text]) for n, text in enumerate(["?!", "...", "?!", "* * *"])]
    found = find({"crawl": {"a.jsonl": rows}})
    ((name, (keeper, method)),) = found.items()
    assert ({name, keeper}, method) == ({"0", "2"}, "exact")


@pytest.mark.parametrize("scheme", ["dclm", "curator"])
def test_published_schemes_say_what_meets_and_what_is_compared(find: Callable[..., Found], scheme: str) -> None:
    """More bands than the settings' own, and shingles of characters."""
    base = WORDS[:200]
    rows = [document("base", base), document("near", [*base[:-3], *WORDS[300:303]]), document("far", WORDS[400:600])]
    found = find({"crawl": {"a.jsonl": rows}}, changes=[f"duplicates.scheme={scheme!r}", "duplicates.ngram=199"])
    ((name, (keeper, method)),) = found.items()
    assert ({name, keeper}, method) == ({"base", "near"}, "minhash")


def test_a_crawl_without_candidates_has_no_duplicates(find: Callable[..., Found]) -> None:
    assert find({"crawl": {"a.jsonl": [document("one", WORDS[:5])], "b.jsonl": [document("two", WORDS[9:15])]}}) == {}


def test_nothing_is_joined_through_a_third_document(tmp_path: Path) -> None:
    """Each like the next, down a long chain: only what is like a kept one goes."""
    chain = [document(f"link {n}", WORDS[3 * n : 3 * n + 12]) for n in range(40)]  # 9 of 15 words shared by neighbours
    corpus = duplicates(tmp_path, {"crawl": {"a.jsonl": chain}}, (), ())
    found = said(corpus)
    assert 13 <= len(found) < 39
    assert all(abs(int(name.split()[1]) - int(keeper.split()[1])) == 1 for name, (keeper, _) in found.items())
    assert not {keeper for keeper, _ in found.values()} & found.keys()


def test_copies_stay_with_the_fate_of_their_text(find: Callable[..., Found]) -> None:
    """The one that is compared for all of them may not be the first; all go where it goes."""
    held, near = WORDS[:10], [*WORDS[:9], WORDS[60]]
    rows = [document(f"held {n}", held) for n in range(5)]
    found = find({"old": {"a.jsonl": [document("old", near)]}, "new": {"a.jsonl": rows[:2], "b.jsonl": rows[2:]}})
    assert found == {f"held {n}": ("old", "minhash") for n in range(5)}


@pytest.mark.parametrize("memory", [1 << 30, 60_000])
def test_template_pages_find_their_copies_in_buckets_of_any_size(tmp_path: Path, memory: int) -> None:
    """Pages of one template share buckets of hundreds and are no duplicates; a copy among them is found."""
    template = WORDS[:10]
    pages = [[*template, *WORDS[20 + 12 * n : 32 + 12 * n]] for n in range(300)]  # 10 of 34 words shared
    rows = [document(f"page {n}", page) for n, page in enumerate(pages)]
    copies = [document(f"copy {n}", [*page[:-2], WORDS[4000 + n]]) for n, page in enumerate(pages) if n % 10 == 0]
    held = [document(f"held {n}", pages[n]) for n in range(100, 140)]
    files = {"a.jsonl": rows[:100], "b.jsonl": [*rows[140:], *copies]}
    corpus = duplicates(tmp_path, {"crawl": files}, held, [f"engine.memory_bytes={memory}"])
    found = said(corpus)
    assert len(found) == 30
    for name, (keeper, method) in found.items():
        number = int(name.split()[1])
        if 100 <= number < 140:
            assert (name, keeper, method) == (f"copy {number}", f"target {template[0]}", "target")
        else:
            assert {name, keeper} == {f"page {number}", f"copy {number}"}
    counts = lineage.duplicates(corpus, "crawl").finished()["counts"]
    assert counts["capped_rows"] == 0
    assert counts["compared_pairs"] < 330 * 330 / 2 / 4  # the template's words are in every page's buckets


def test_groups_are_counted_by_size_and_the_largest_named(tmp_path: Path) -> None:
    words = iter(range(0, 9000, 10))
    rows = []
    for size in (2, 2, 3, 4, 5, 8, 9, 1, 1):
        at = next(words)
        rows += [document(f"{at} {copy}", WORDS[at : at + 10]) for copy in range(size)]
    corpus = duplicates(
        tmp_path, {"crawl": {"a.jsonl": rows[::2], "b.jsonl": rows[1::2]}}, (), ["duplicates.max_group=7"]
    )
    counts = lineage.duplicates(corpus, "crawl").finished()["counts"]
    assert counts["groups"] == {"2": 2, "3-4": 2, "5-8": 2, "9-16": 1}
    assert sorted(counts["largest_groups"].values()) == [2, 2, 3, 4, 5, 8, 9]
    over = report.oversized_groups(counts, corpus.settings.duplicates)
    assert sorted(over.values()) == [8, 9]
    assert set(over) <= {one.hex() for one in said_of(corpus)}
    assert report.oversized_groups(counts, Duplicates()) == {}


def test_a_source_that_loses_nearly_all_is_named(tmp_path: Path) -> None:
    """Of the rows that the verdicts keep: one that a rule dropped is no loss to duplicates."""
    copied = [{**document(f"copy {n}", WORDS[:10]), "source": "copies"} for n in range(12)]
    copied += [{**document(f"braced {n}", [*WORDS[50 + n : 60 + n], "{"]), "source": "copies"} for n in range(3)]
    alone = [{**document(f"one {n}", WORDS[100 + 10 * n :][:10]), "source": "alone"} for n in range(20)]
    few = [{**document(f"few {n}", WORDS[500:510]), "source": "few"} for n in range(9)]
    files = {"a.jsonl": [*copied[::2], *alone], "b.jsonl": [*copied[1::2], *few]}
    changes = ["duplicates.min_source_documents=10", "duplicates.max_source_loss=0.9"]
    corpus = duplicates(tmp_path, {"crawl": files}, (), changes)
    losses = report.source_losses(corpus, "crawl")
    assert losses.schema == report.SOURCE_LOSSES
    assert losses.to_pylist() == [
        {"source": "copies", "read": 12, "dropped": 11, "loss": 11 / 12},
        {"source": "few", "read": 9, "dropped": 8, "loss": 8 / 9},
        {"source": "alone", "read": 20, "dropped": 0, "loss": 0.0},
    ]
    assert report.wiped_sources(losses, corpus.settings.duplicates)["source"].to_pylist() == ["copies"]


def test_parts_that_no_manifest_names_take_no_part(tmp_path: Path) -> None:
    rows = [document(f"copy {n}", WORDS[:10]) for n in range(4)]
    held = [document(f"x{n}", [WORDS[200 + n]]) for n in range(6)]
    workspace(tmp_path, {"crawl": {"a.jsonl": rows}}, held)
    corpus = add(tmp_path, "crawl")
    for stage in (lineage.documents(corpus, "crawl"), lineage.targets(corpus)):
        corpus.workspace.write_json({"part": "part-0", "rows": 9}, *stage.steps, "part-0.json")
    run_duplicates(corpus, "crawl")
    assert len(said_of(corpus)) == 3


def said_of(corpus: Corpus) -> list[bytes]:
    stage = lineage.duplicates(corpus, "crawl")
    found = [one for part in stage.sidecars() for one in stage.read(part)["duplicate_of"].to_pylist()]
    return [one for one in found if one]


def test_verdicts_of_other_rows_are_refused(tmp_path: Path) -> None:
    rows = [document(f"copy {n}", WORDS[:10]) for n in range(4)]
    workspace(tmp_path, {"crawl": {"a.jsonl": rows}})
    corpus = add(tmp_path, "crawl")
    verdicts = lineage.verdicts(corpus, "crawl")
    (part,) = verdicts.sidecars()
    verdicts.commit(part, verdicts.read(part).take([1, 0, 2, 3]), counts={})
    with pytest.raises(StoreError, match="do not carry the same ids"):
        run_duplicates(corpus, "crawl")
