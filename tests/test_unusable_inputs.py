"""Inputs that cannot be used: what is told, and what they cost."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_corpus
import pytest
from made_corpus import stage_of

from pipelines import ingest, lineage, stages, targets
from pipelines.corpus import Corpus
from pipelines.crawls import register
from pipelines.duplicates import minhash
from pipelines.errors import InputError, SettingsError, StoreError
from pipelines.vectors import stages as vector_stages


@pytest.mark.parametrize("name", ["junk.jsonl", "empty.jsonl"])
def test_a_later_crawl_of_which_nothing_is_kept_does_no_harm(copied: Corpus, crawl_files: Path, name: str) -> None:
    register(copied.workspace, "crawl-3", [str(crawl_files / "crawl-1" / name)])
    corpus = made_corpus.opened(copied.workspace)
    made_corpus.run_corpus(corpus)
    assert lineage.tokens(corpus, "crawl-3").finished()["counts"]["kept"] == 0
    assert lineage.pools(corpus).finished()["content"] == lineage.pools(copied).finished()["content"]


def test_a_corpus_of_which_nothing_is_kept_is_named(fresh: Callable[..., Corpus], crawl_files: Path) -> None:
    corpus = fresh(names=())
    register(corpus.workspace, "crawl-1", [str(crawl_files / "crawl-1" / "junk.jsonl")])
    with pytest.raises(InputError, match="0 documents are left to cluster; relax the quality settings"):
        made_corpus.run_corpus(made_corpus.opened(corpus.workspace))


def test_a_file_that_is_gone_or_changed_is_named(crawl_files: Path, encoder: Path, tmp_path: Path) -> None:
    crawls = tmp_path / "crawls"
    shutil.copytree(crawl_files, crawls)
    corpus = made_corpus.make(tmp_path / "ws", crawls, encoder)
    with (crawls / "crawl-1/junk.jsonl").open("ab") as file:
        file.write(b'{"text": "one more"}\n')
    with pytest.raises(InputError, match=r"junk\.jsonl has \d+ bytes now and had \d+"):
        ingest.run_documents(corpus, "crawl-1")
    (crawls / "crawl-1/junk.jsonl").unlink()
    with pytest.raises(InputError, match=r"junk\.jsonl is gone"):
        ingest.run_documents(corpus, "crawl-1")
    shutil.copy(crawl_files / "crawl-1/junk.jsonl", crawls / "crawl-1")
    assert ingest.run_documents(corpus, "crawl-1").rows == 170


def test_a_stage_whose_inputs_are_missing_names_the_command_to_run(fresh: Callable[..., Corpus]) -> None:
    with pytest.raises(StoreError, match=r"run `sirdar documents` first"):
        stages.run_edits(fresh(), "crawl-1")


def test_columns_that_belong_to_other_documents_are_refused(copied: Corpus) -> None:
    signals, verdicts = stage_of(copied, "signals"), stage_of(copied, "verdicts")
    part, other = (part for part, side in signals.sidecars().items() if side["rows"] == 25)
    table = signals.read(other)
    signals.commit(part, table, counts={"read": 25})
    copied.workspace.delete(*verdicts.steps, f"{part}.json")
    stages.run_verdicts(copied, "crawl-1")  # from signals alone, nothing can be noticed yet
    copied.workspace.delete(*stage_of(copied, "embeddings").steps, f"{part}.json")
    with pytest.raises(StoreError, match="do not carry the same ids"):
        vector_stages.run_embeddings(copied, "crawl-1")


def test_a_target_that_cannot_be_split_is_named(fresh: Callable[..., Corpus], tmp_path: Path) -> None:
    path = tmp_path / "few.jsonl"
    for rows, told in (
        ([{"text": "one"}], "at least two"),
        ([{"id": "a", "text": "one"}, {"id": "d", "text": "two"}], "half; add some"),
        ([{"text": "one"}, {"text": " one "}], "at least two"),
        ([{"txt": "one"}], r"few\.jsonl:1: .*text"),
        ([{"text": "one"}, {"text": 5}], r"few\.jsonl:2: .*`text` is 5, no string"),
    ):
        path.write_text("\n".join(map(json.dumps, rows)))
        corpus = fresh(changes=("targets=[]",))
        corpus = made_corpus.changed(corpus, f"targets=[{{name='few', path='{path}'}}]")
        with pytest.raises(InputError, match=told):
            targets.run_targets(corpus)


def test_a_targets_file_is_read_to_its_end_or_named(fresh: Callable[..., Corpus], tmp_path: Path) -> None:
    good = b"".join(b'{"text": "number %d"}\n' % number for number in range(20))
    for data, told in (
        (b'{"text": "caf\xe9"}\n' + good, "cannot be read to its end.*utf-8"),
        (gzip.compress(good)[:-9], "cannot be read to its end.*ended before"),
        (good + b'{"text": ' + b"[" * 100_000 + b"\n", r"\.jsonl.*:21: a target's line is JSON"),
        (b"\xef\xbb\xbf" + good.replace(b"\n", b"\r\n\r\n"), ""),
    ):
        path = tmp_path / (f"{len(data)}.jsonl" + (".gz" if data[:1] == b"\x1f" else ""))
        path.write_bytes(data)
        corpus = made_corpus.changed(fresh(), f"targets=[{{name='few', path='{path}'}}]")
        if told:
            with pytest.raises(InputError, match=told):
                targets.run_targets(corpus)
        else:
            assert targets.run_targets(corpus).counts["kept"] == 20


def test_a_target_is_split_by_its_texts_whatever_their_ids(fresh: Callable[..., Corpus], tmp_path: Path) -> None:
    numbers = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
    rows: list[dict[str, Any]] = [{"id": 0, "text": number} for number in numbers]
    rows += [{"id": f"again {number}", "group": "g", "text": f" {number}\n"} for number in numbers[:3]]
    rows += [{"id": 0, "text": " "}, {"text": "nine", "group": None}]
    path = tmp_path / "numbers.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    corpus = made_corpus.changed(fresh(), f"targets=[{{name='a', path='{path}'}}, {{name='b', path='{path}'}}]")
    targets.run_targets(corpus)
    stage = lineage.targets(corpus)
    found = [row for part in stage.sidecars() for row in stage.read(part).to_pylist()]
    assert len({row["id"] for row in found}) == len(found) == 18  # no id is lost to another line, nor target
    for name in "ab":
        mine = [row for row in found if row["target"] == name]
        assert [row["text"] for row in mine] == [*numbers, "nine"]
        assert {row["group"] for row in mine} == {""}
        assert all((row["split"] == "search") == (minhash.content_hash(row["text"])[0] < 128) for row in mine)
    counts = stage.finished()["counts"]
    assert counts == {"read": 26, "kept": 18, "dropped": {"duplicate": 6, "empty": 2}}


def test_a_fit_crawl_that_is_not_there_is_named(copied: Corpus) -> None:
    with pytest.raises(SettingsError, match="no crawl 'crawl-9'; there are: crawl-1, crawl-2"):
        lineage.centroids(made_corpus.changed(copied, "clusters.fit_crawls=['crawl-9']"))
