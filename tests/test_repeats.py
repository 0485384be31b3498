"""Repeated text against references that compare all pairs, and who keeps it: by crawl, id and place."""

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from made_repeats import Rows, by_id, digests, made, run, said, sentence

from pipelines import lineage
from pipelines.duplicates import repeats
from pipelines.duplicates.repeats import run_repeats
from pipelines.duplicates.units import units
from pipelines.records import document_id
from pipelines.settings import Repeats


def planted(seed: int, num: int) -> list[dict[str, str]]:
    """Documents of their own sentences and of some from a small stock."""
    rng, stock = random.Random(seed), random.Random(0)
    shared = [" ".join(sentence(stock, 8) for _ in range(3)) for _ in range(6)] + [sentence(stock, 70)]
    rows = []
    for number in range(num):
        blocks = [sentence(rng, 12) for _ in range(3)] + rng.sample(shared, k=2)
        rng.shuffle(blocks)
        rows.append({"name": f"{seed}-{number}", "text": rng.choice(["\n", "\n\n", " "]).join(blocks)})
    return rows


def test_the_smallest_id_keeps_and_the_rest_is_cut(tmp_path: Path) -> None:
    rng = random.Random(1)
    repeated = "Subscribe to our letter, 3 times a week!"
    lines = (repeated, repeated.upper(), repeated.replace("3", "41"))
    rows = [{"name": name, "text": f"{sentence(rng, 9)}\n{line}\n{sentence(rng, 9)}"}
            for name, line in zip("abc", lines, strict=True)]  # fmt: skip
    gone = [{"name": "d", "text": repeated, "why": "language"}, {"name": "e", "text": repeated, "copy": "0" * 16}]
    crawls = {"crawl": {"one": [rows[0], *gone], "two": rows[1:]}}
    corpus = made(tmp_path, crawls, ["repeats.units=['lines']"])
    run(corpus, crawls)
    keeper, *others = by_id(rows)
    texts = {row["name"]: row["text"] for row in [*rows, *gone]}
    found = said(corpus)
    for name in (keeper, "d", "e"):
        assert found[name] == (texts[name], None)
    for name in others:
        first, _, last = texts[name].split("\n")
        assert found[name] == (f"{first}\n{last}", None)
    counts = lineage.repeats(corpus, "crawl").finished()["counts"]
    assert counts == {"read": 3, "kept": 3, "dropped": {}, "spans": {"repeated_lines": 2}}


def test_any_number_of_workers_passes_and_files_gives_the_same(tmp_path: Path) -> None:
    rows = planted(1, 40)
    crawls = {"crawl": {"a": rows[:25], "b": rows[25:]}}
    turned = {"crawl": {"c": rows[30::-1], "b": rows[31:]}}
    first, other = made(tmp_path / "1", crawls), made(tmp_path / "2", crawls, ["engine.memory_bytes=60000"])
    backwards = made(tmp_path / "3", turned)
    run(first, crawls)
    run(other, crawls)
    run(backwards, turned)
    assert digests(first, "crawl") == digests(other, "crawl")
    found = said(first)
    assert sum(len(text) for text, _ in found.values()) < 0.8 * sum(len(row["text"]) for row in rows)
    assert {name: text for name, (text, _) in found.items()} == kept_by_hand(rows, first.settings.repeats)
    assert said(backwards) == found


@pytest.mark.slow
def test_two_processes_give_the_same(tmp_path: Path) -> None:
    crawls = {"crawl": {name: planted(seed, 20) for seed, name in enumerate("abcd")}}
    alone, several = made(tmp_path / "1", crawls), made(tmp_path / "2", crawls, ["engine.workers=2"])
    run(alone, crawls)
    run(several, crawls)
    assert digests(alone, "crawl") == digests(several, "crawl")


def kept_by_hand(rows: Rows, settings: Repeats) -> dict[str, str]:
    """What stays, by holding every unit against all before it, one after the other."""
    seen: dict[int, tuple[str, int]] = {}
    texts, kept = {row["name"]: row["text"] for row in rows}, {}
    for name in by_id(rows):
        found = units(pa.array([texts[name]]), settings)
        gone = np.zeros(len(texts[name].encode()), bool)
        for place in np.argsort(found.starts, kind="stable"):
            key, start, end = (
                (int(found.hashes[place]), int(found.kinds[place])),
                found.starts[place],
                found.ends[place],
            )
            holder, until = seen.setdefault(key, (name, int(end)))
            if (holder, until) != (name, end) and not (holder == name and start < until):
                gone[start:end] = True
        left = bytes(np.frombuffer(texts[name].encode(), np.uint8)[~gone]).decode()
        kept[name] = left.rstrip() if gone[-1] else left
    return kept


def test_a_later_crawl_changes_nothing_and_is_what_one_run_gives(tmp_path: Path) -> None:
    crawls = {"one": {"x": planted(2, 20)}, "two": {"y": planted(3, 20)}}
    both = made(tmp_path / "both", crawls)
    run(both, crawls, "one", "two")
    late = made(tmp_path / "late", {"one": crawls["one"]})
    run(late, crawls, "one")
    before = digests(late, "one")
    assert before == digests(both, "one")
    late = made(tmp_path / "late", {"two": crawls["two"]})
    run(late, crawls, "two")
    assert digests(late, "one") == before
    assert digests(late, "two") == digests(both, "two")
    alone = made(tmp_path / "alone", {"two": crawls["two"]})
    run(alone, crawls, "two")
    assert digests(alone, "two") != digests(both, "two")  # so the first crawl did cut from it


def test_edits_and_cuts_are_one_list_of_the_original_text(tmp_path: Path) -> None:
    rng = random.Random(4)
    line = "Write to caf\u00e9@kitchen.org about dinner"  # the address is replaced inside the line that is cut
    rows = [{"name": name, "text": f"{sentence(rng, 9)} joe@kitchen.org\n{line}\n{sentence(rng, 9)}"} for name in "ab"]
    crawls = {"crawl": {"a": rows}}
    corpus = made(tmp_path, crawls, ["edits.emails=true", "repeats.units=['lines']"])
    run(corpus, crawls)
    text = said(corpus)[by_id(rows)[1]][0]
    assert "about dinner" not in text
    assert "@example." in text
    assert "kitchen" not in text
    stage = lineage.repeats(corpus, "crawl")
    spans = {row["id"]: row["edits"] for part in stage.sidecars() for row in stage.read(part).to_pylist()}
    assert [len(spans[document_id(name)]) for name in by_id(rows)] == [2, 2]  # two addresses; one, and the line
    assert [span["reason"] for span in spans[document_id(by_id(rows)[1])]] == ["email", "repeated_lines"]


def test_documents_of_which_too_little_is_left_are_dropped_with_a_reason(tmp_path: Path) -> None:
    rng = random.Random(5)
    block = "\n".join(sentence(rng, 10) for _ in range(5))
    own = [" ".join(sentence(rng, 10) for _ in range(count)) for count in (1, 2, 3)]
    rest = [{"name": name, "text": f"{block}\n{text}"} for name, text in zip("xyz", own, strict=True)]
    short = {"name": "short", "text": sentence(rng, 4)}  # short as it came, so it stays
    crawls = {"old": {"a": [{"name": "first", "text": block}]}, "new": {"b": [*rest, short]}}
    changes = ["repeats.units=['lines']", "repeats.min_doc_words=20", "repeats.min_doc_sentences=3"]
    corpus = made(tmp_path, crawls, changes)
    run(corpus, crawls)
    reasons = {name: reason for name, (_, reason) in said(corpus).items()}
    few = {"x": "repeats_too_few_words", "y": "repeats_too_few_sentences"}
    assert reasons == {**dict.fromkeys(("first", "z", "short")), **few}
    counts = lineage.repeats(corpus, "new").finished()["counts"]
    assert counts["dropped"] == {"repeats_too_few_words": 1, "repeats_too_few_sentences": 1}
    assert counts["read"] == counts["kept"] + 2


def test_what_is_dropped_keeps_nothing_from_later_crawls(tmp_path: Path) -> None:
    rng = random.Random(6)
    common, lost = sentence(rng, 30), sentence(rng, 5)
    crawls = {
        "one": {"a": [{"name": "a", "text": common + "\n" + sentence(rng, 40)}]},
        "two": {"b": [{"name": "b", "text": common + "\n" + lost}]},
        "three": {"c": [{"name": "c", "text": lost + "\n" + sentence(rng, 40)}]},
    }
    corpus = made(tmp_path, crawls, ["repeats.units=['lines']", "repeats.min_doc_words=20"])
    run(corpus, crawls)
    assert said(corpus)["b"] == (lost, "repeats_too_few_words")
    assert said(corpus)["c"] == (crawls["three"]["c"][0]["text"], None)


def test_nothing_is_cut_where_no_units_are_named(tmp_path: Path) -> None:
    crawls = {"crawl": {"a": planted(8, 6), "b": []}}
    corpus = made(tmp_path, crawls, ["repeats.units=[]", "repeats.min_doc_words=10000"])
    run(corpus, crawls)
    assert said(corpus) == {row["name"]: (row["text"], None) for row in crawls["crawl"]["a"]}


def test_a_run_that_was_stopped_is_taken_up_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = planted(7, 24)
    crawls = {"crawl": {str(n): rows[n::3] for n in range(3)}}
    corpus = made(tmp_path, crawls)
    run(corpus, crawls)
    stage, whole = lineage.repeats(corpus, "crawl"), digests(corpus, "crawl")
    part = sorted(stage.sidecars())[1]
    corpus.workspace.delete(*stage.steps, f"{part}.json")
    corpus.workspace.delete(*stage.steps, "manifest.json")
    report = run_repeats(corpus, "crawl")
    assert (report.parts, report.reused) == (3, 2)
    assert digests(corpus, "crawl") == whole
    monkeypatch.setattr(repeats, "scratch_folder", lambda _: pytest.fail("a finished stage does no work"))
    assert run_repeats(corpus, "crawl").reused == 3
