"""What holds for the corpus half as a whole, whatever runs it, kills it, or comes after."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_corpus
import pytest

from mixer import inspection
from pipelines import ingest, lineage, stages, targets, workers
from pipelines.corpus import Corpus, Report, Silent
from pipelines.crawls import register
from pipelines.duplicates import minhash
from pipelines.errors import AccountingError, InputError, SettingsError, StoreError
from pipelines.fitting import read_clusters
from pipelines.store import Stage
from pipelines.vectors import embed
from pipelines.vectors import stages as vector_stages

ROWS = ("edits", "signals", "verdicts", "signatures", "duplicates", "embeddings", "fine_clusters", "tokens")
CRAWLS = ("crawl-1", "crawl-2")


@pytest.fixture
def copied(built: Corpus, tmp_path: Path) -> Corpus:
    """The finished workspace as one's own."""
    root = tmp_path / "copied"
    shutil.copytree(built.workspace.root, root, symlinks=True)
    return replace(built, workspace=type(built.workspace)(str(root)))


@pytest.fixture
def fresh(crawl_files: Path, encoder: Path, tmp_path: Path) -> Callable[..., Corpus]:
    def make(name: str = "ws", **given: Any) -> Corpus:
        return made_corpus.make(tmp_path / name, crawl_files, encoder, **given)

    return make


# ---------------------------------------------------------------------------------------------------------
# Nothing is lost


def test_every_byte_and_record_of_the_crawls_is_accounted_for(built: Corpus, crawl_files: Path) -> None:
    for crawl in CRAWLS:
        sides = lineage.documents(built, crawl).sidecars().values()
        told: Counter[str] = Counter()
        for side in sides:
            counts = side["counts"]
            told[side["file"]] += counts["bytes_read"] + counts["bytes_lost"]
            assert counts["read"] == side["rows"] + sum(counts["dropped"].values()) + sum(counts["errors"].values())
        sizes = {
            str(path.relative_to(crawl_files / crawl)): path.stat().st_size
            for path in (crawl_files / crawl).rglob("*")
            if path.is_file()
        }
        assert told == sizes


def test_every_stage_has_a_row_for_every_document(built: Corpus) -> None:
    for crawl in CRAWLS:
        documents = lineage.documents(built, crawl)
        for part in documents.sidecars():
            ids = documents.read(part, ["id"])["id"]
            for name in ROWS:
                assert getattr(lineage, name)(built, crawl).read(part, ["id"])["id"].equals(ids), (name, part)


def test_every_document_that_leaves_is_counted_once_by_reason(built: Corpus) -> None:
    for crawl in CRAWLS:
        counts = {name: getattr(lineage, name)(built, crawl).finished()["counts"] for name in ("documents", *ROWS)}
        for name in ("verdicts", "duplicates", "embeddings", "tokens"):
            assert counts[name]["read"] == counts[name]["kept"] + sum(counts[name]["dropped"].values()), name
        assert counts["verdicts"]["read"] == counts["documents"]["kept"]
        assert counts["duplicates"]["read"] == counts["verdicts"]["kept"]
        assert counts["tokens"]["kept"] == counts["duplicates"]["kept"]


def test_whatever_a_document_is_a_duplicate_of_is_kept(built: Corpus) -> None:
    targets = lineage.targets(built)
    keeping = {one for part in targets.sidecars() for one in targets.read(part, ["id"])["id"].to_pylist()}
    methods: Counter[str] = Counter()
    for crawl in CRAWLS:
        verdicts, duplicates = lineage.verdicts(built, crawl), lineage.duplicates(built, crawl)
        lost = []
        for part in duplicates.sidecars():
            for verdict, row in zip(verdicts.read(part).to_pylist(), duplicates.read(part).to_pylist(), strict=True):
                if row["duplicate_of"]:
                    lost.append(row["duplicate_of"])
                    methods[row["method"]] += 1
                elif not verdict["reason"]:
                    keeping.add(row["id"])
        assert set(lost) <= keeping
    assert methods == {"record": 1, "exact": 2, "minhash": 3, "target": 1}  # as planned in tests/made_corpus.py


def test_tokens_of_kept_documents_are_those_of_clusters_and_pools(built: Corpus) -> None:
    tokens = sum(lineage.tokens(built, crawl).finished()["counts"]["tokens"] for crawl in CRAWLS)
    table, merged = read_clusters(built)
    pooled = lineage.pools(built).finished()["counts"]
    assert (merged >= 0).all()  # nothing is pruned here
    assert sum(table["tokens"].to_pylist()) == tokens == pooled["train_tokens"] + pooled["validation_tokens"]


def test_each_filter_takes_the_junk_that_was_made_for_it(built: Corpus) -> None:
    found = {}
    documents, verdicts = lineage.documents(built, "crawl-1"), lineage.verdicts(built, "crawl-1")
    for part, side in documents.sidecars().items():
        if side["file"] == "junk.jsonl":
            urls, reasons = documents.read(part, ["url"])["url"], verdicts.read(part, ["reason"])["reason"]
            found = {
                url.rsplit("/", 1)[-1]: reason
                for url, reason in zip(urls.to_pylist(), reasons.to_pylist(), strict=True)
            }
    assert found == {reason: reason for reason in made_corpus.JUNK}


def test_damage_costs_what_is_damaged_and_no_byte_more(built: Corpus, crawl_files: Path) -> None:
    (side,) = (
        side for side in lineage.documents(built, "crawl-1").sidecars().values() if side["file"] == "damaged.warc.gz"
    )
    data = (crawl_files / "crawl-1/damaged.warc.gz").read_bytes()
    starts = [place for place in range(len(data)) if data.startswith(b"\x1f\x8b\x08\x00\x00\x00\x00\x00", place)]
    members = [data[start:end] for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]
    unreadable = [member for member in members if not _readable(member)]
    assert len(members) == 20
    assert side["counts"]["bytes_lost"] == sum(map(len, unreadable))
    assert side["rows"] == 9


def _readable(member: bytes) -> bool:
    try:
        gzip.decompress(member)
    except (OSError, EOFError, gzip.zlib.error):
        return False
    return True


@pytest.mark.parametrize("key", ["bytes_read", "bytes_lost", "read", "kept"])
def test_accounts_that_do_not_add_up_stop_the_run(fresh: Callable[..., Corpus], key: str) -> None:
    corpus = fresh()
    made_corpus.run_corpus(corpus, until="documents")
    stage = lineage.documents(corpus, "crawl-1")
    part = next(part for part, side in stage.sidecars().items() if side["file"] == "pages.warc.gz")
    side = stage.sidecar(part)
    side["counts"][key] += 1
    corpus.workspace.write_json(side, *stage.steps, f"{part}.json")
    with pytest.raises(AccountingError, match=r"pages\.warc\.gz"):
        ingest.run_documents(corpus, "crawl-1")


# ---------------------------------------------------------------------------------------------------------
# Whoever does the work, in whatever order, however often killed


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 6))])
def test_killed_again_and_again_it_ends_as_if_never_killed(
    built: Corpus, fresh: Callable[..., Corpus], seed: int
) -> None:
    corpus = fresh(names=CRAWLS)
    ended = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("killed.py")), corpus.workspace.root, str(seed)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    killed = json.loads(ended.stdout)
    assert killed["by_timer"] >= 3
    assert killed["at_a_write"] >= 8
    made_corpus.run_corpus(made_corpus.changed(corpus, "engine.workers=2"))
    assert made_corpus.contents(corpus) == made_corpus.contents(built)
    assert _told(corpus) == _told(built)
    assert not [name for name in made_corpus.files(Path(corpus.workspace.root)) if name.endswith(".tmp")]


def _told(corpus: Corpus) -> dict[str, Any]:
    """All that sidecars and manifests say."""
    told = made_corpus.files(Path(corpus.workspace.root), lambda name: name.endswith(".json"))
    return {name: json.loads(data) for name, data in told.items()}


def test_a_killed_worker_changes_nothing(built: Corpus, fresh: Callable[..., Corpus]) -> None:
    killer = _Killer()
    corpus = replace(fresh(workers=2), progress=killer)
    reports = made_corpus.run_corpus(corpus, until="verdicts")
    assert killer.stage == "killed"
    assert [report.rows for report in reports if report.stage == "signals"] == [170]
    assert made_corpus.contents(corpus).items() <= made_corpus.contents(built).items()


class _Killer(Silent):
    """Kills a worker in the middle of a stage."""

    def __init__(self) -> None:
        self.stage = ""

    def begin(self, stage: str, crawl: str, *, total: int, done: int) -> None:
        self.stage = stage if self.stage != "killed" else "killed"

    def advance(self, count: int, rows: int) -> None:
        if self.stage == "signals":
            self.stage = "killed"
            executor = workers.shared_pool(2)._executor
            assert executor is not None
            os.kill(next(iter(executor._processes)), signal.SIGKILL)

    def end(self, report: Report) -> None: ...


def test_neither_order_of_inputs_nor_their_place_matters(
    built: Corpus, fresh: Callable[..., Corpus], crawl_files: Path, tmp_path: Path
) -> None:
    corpus = fresh(names=())
    shutil.copytree(crawl_files / "crawl-1", tmp_path / "moved")
    for name in ("junk.jsonl", "pages.warc.gz", "empty.jsonl", "damaged.warc.gz"):
        register(corpus.workspace, "crawl-1", [str(tmp_path / "moved" / name)])
    register(corpus.workspace, "crawl-1", [str(tmp_path / "moved")])
    corpus = made_corpus.opened(corpus.workspace)
    made_corpus.run_corpus(corpus, until="verdicts")
    for name in ("documents", "edits", "signals", "verdicts"):
        mine, other = (getattr(lineage, name)(one, "crawl-1") for one in (corpus, built))
        assert mine.label == other.label
        assert mine.finished() == other.finished()


def test_an_added_file_changes_no_part_that_was_there(
    built: Corpus, fresh: Callable[..., Corpus], crawl_files: Path
) -> None:
    corpus = fresh(names=())
    register(corpus.workspace, "crawl-1", [str(crawl_files / "crawl-1" / "pages.warc.gz")])
    made_corpus.run_corpus(made_corpus.opened(corpus.workspace))
    root = Path(corpus.workspace.root)
    first = made_corpus.files(root, lambda name: "/part-" in name)
    register(corpus.workspace, "crawl-1", [str(crawl_files / "crawl-1")])
    corpus = made_corpus.opened(corpus.workspace)
    made_corpus.run_corpus(corpus)
    now = made_corpus.files(root, lambda name: "/part-" in name)
    assert {name: now[name] for name in first} == first
    for name in ("documents", "edits", "signals", "verdicts", "signatures", "duplicates", "embeddings", "tokens"):
        # The tokeniser sees other text than where the file was added first, and so do its tokens.
        if name != "tokens":
            assert getattr(lineage, name)(corpus, "crawl-1").finished() == _of(built, name).finished()


def _of(corpus: Corpus, name: str) -> Stage:
    stage: Stage = getattr(lineage, name)(corpus, "crawl-1")
    return stage


def test_a_later_crawl_changes_no_byte_of_an_earlier_one(
    built: Corpus, fresh: Callable[..., Corpus], crawl_files: Path
) -> None:
    corpus = fresh()
    made_corpus.run_corpus(corpus)
    root = Path(corpus.workspace.root)
    before = made_corpus.files(root)
    register(corpus.workspace, "crawl-2", [str(crawl_files / "crawl-2")])
    made_corpus.run_corpus(made_corpus.opened(corpus.workspace))
    after = made_corpus.files(root)
    assert {name: after[name] for name in before} == before
    assert len(after) > len(before)
    later = set(made_corpus.contents(corpus).items())
    assert set(made_corpus.contents(built).items()) <= later  # the same as with both from the start


# ---------------------------------------------------------------------------------------------------------
# What changed settings recompute


def test_a_changed_threshold_recomputes_verdicts_but_neither_signals_nor_embeddings(copied: Corpus) -> None:
    corpus = made_corpus.changed(copied, "quality.limits.gopher_short_doc=110")
    for name in ("documents", "edits", "signals", "signatures", "embeddings"):
        assert _of(corpus, name).label == _of(copied, name).label
    assert _of(corpus, "verdicts").manifest() is None
    reports = {(one.stage, one.crawl): one for one in made_corpus.run_corpus(corpus, until="signatures")}
    for name in ("documents", "edits", "signals", "signatures", "embeddings"):
        assert reports[name, "crawl-1"].reused == reports[name, "crawl-1"].parts > 0, name
    assert reports["verdicts", "crawl-1"].reused == 0
    assert reports["verdicts", "crawl-1"].counts["kept"] < 150


def test_a_looser_gate_embeds_the_difference_only(copied: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = _counting(monkeypatch)
    tight = made_corpus.changed(copied, "embeddings.languages=['en']")
    vector_stages.run_embeddings(tight, "crawl-1")
    assert encoded == []  # all of them are in the older, looser one
    tightest = _of(tight, "embeddings").finished()["counts"]["kept"]
    copied.workspace.delete("embeddings", "crawl-1", _of(copied, "embeddings").recipe.digest)
    loose = made_corpus.changed(tight, "embeddings.languages=[]")
    vector_stages.run_embeddings(loose, "crawl-1")
    assert sum(encoded) == 170 - tightest > 0
    # and the vectors are those that it would have given from nothing
    assert _of(loose, "embeddings").finished()["content"] == made_corpus.contents(copied)[_label(loose)]


def _label(corpus: Corpus) -> str:
    return _of(corpus, "embeddings").label


def _counting(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    encoded: list[int] = []
    encode = embed.StaticEncoder.encode

    def counting(self: embed.StaticEncoder, texts: list[str]) -> Any:
        encoded.append(len(texts))
        return encode(self, texts)

    monkeypatch.setattr(embed.StaticEncoder, "encode", counting)
    return encoded


def test_vectors_of_other_texts_with_the_same_ids_are_not_reused(
    copied: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = _counting(monkeypatch)
    other = made_corpus.changed(copied, "ingest.main_content=false")
    made_corpus.run_corpus(other, until="signals")
    assert _of(other, "documents").label != _of(copied, "documents").label
    vector_stages.run_embeddings(other, "crawl-1")
    assert sum(encoded) == 170


def test_a_sample_is_a_share_of_the_same_documents(built: Corpus, fresh: Callable[..., Corpus]) -> None:
    ids = {}
    for share in (0.3, 0.6):
        corpus = fresh(str(share), changes=(f"ingest.sample={share}",))
        made_corpus.run_corpus(corpus, until="documents")
        stage = lineage.documents(corpus, "crawl-1")
        ids[share] = {one for part in stage.sidecars() for one in stage.read(part, ["id"])["id"].to_pylist()}
        assert stage.finished()["counts"]["dropped"]["not_sampled"] > 0
        assert len(ids[share]) == pytest.approx(170 * share, abs=25)
    every = lineage.documents(built, "crawl-1")
    whole = {one for part in every.sidecars() for one in every.read(part, ["id"])["id"].to_pylist()}
    assert ids[0.3] < ids[0.6] < whole


def test_a_part_that_was_lost_is_made_again(copied: Corpus, built: Corpus) -> None:
    stage = _of(copied, "signals")
    part = next(iter(stage.sidecars()))
    copied.workspace.delete(*stage.steps, f"{part}.parquet")
    copied.workspace.delete(*stage.steps, f"{part}.json")
    report = stages.run_signals(copied, "crawl-1")
    assert report.parts - report.reused == 1
    assert made_corpus.files(Path(copied.workspace.root)) == made_corpus.files(Path(built.workspace.root))


@pytest.mark.parametrize("place", [0, 1, -1])
def test_a_damaged_part_of_a_crawl_file_is_made_again(fresh: Callable[..., Corpus], place: int) -> None:
    corpus = fresh(changes=("ingest.part_rows=15",))
    ingest.run_documents(corpus, "crawl-1")
    before = made_corpus.files(Path(corpus.workspace.root))
    stage = _of(corpus, "documents")
    parts = [part for part, side in stage.sidecars().items() if side["file"] == "pages.warc.gz"]
    assert len(parts) > 3
    damaged = stage.workspace.local(*stage.steps, f"{parts[place]}.parquet")
    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.raises(StoreError, match=f"delete {parts[place]}.json beside it and run `sirdar documents` again"):
        stage.read(parts[place])
    stage.workspace.delete(*stage.steps, f"{parts[place]}.json")
    report = ingest.run_documents(corpus, "crawl-1")
    assert report.parts - report.reused == 1
    assert made_corpus.files(Path(corpus.workspace.root)) == before


def test_stages_that_lack_parts_of_their_documents_are_unfinished(copied: Corpus, crawl_files: Path) -> None:
    register(copied.workspace, "crawl-2", [str(crawl_files / "crawl-1" / "junk.jsonl")])
    corpus = made_corpus.opened(copied.workspace)
    assert _states(corpus)["documents"] == "unfinished"
    ingest.run_documents(corpus, "crawl-2")
    states = _states(corpus)
    assert (states["documents"], states["edits"], states["signatures"]) == ("finished", "unfinished", "unfinished")
    with pytest.raises(StoreError, match=r"signatures/crawl-2/\w+ lacks 1 parts of documents; run `sirdar signatures`"):
        lineage.duplicates(corpus, "crawl-2")
    made_corpus.run_corpus(corpus, until="duplicates")
    assert _states(corpus)["duplicates"] == "finished"


def _states(corpus: Corpus) -> dict[str, str]:
    return {line.stage: line.state for line in inspection.status(corpus) if line.crawl == "crawl-2"}


def test_files_that_settings_name_count_by_their_content(copied: Corpus, tmp_path: Path) -> None:
    for change, address in (
        ("language.model", lambda corpus: lineage.signals(corpus, "crawl-1")),
        ("tokens.tokenizer", lineage.tokenizer),
    ):
        labels = []
        for name, content in (("a", "one"), ("b", "one"), ("b", "two")):
            (tmp_path / name).write_text(content)
            labels.append(address(made_corpus.changed(copied, f"{change}='{tmp_path / name}'")).label)
        assert labels[0] == labels[1] != labels[2], change


# ---------------------------------------------------------------------------------------------------------
# Inputs that cannot be used are named


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
    signals, verdicts = _of(copied, "signals"), _of(copied, "verdicts")
    part, other = (part for part, side in signals.sidecars().items() if side["rows"] == 25)
    table = signals.read(other)
    signals.commit(part, table, counts={"read": 25})
    copied.workspace.delete(*verdicts.steps, f"{part}.json")
    stages.run_verdicts(copied, "crawl-1")  # from signals alone, nothing can be noticed yet
    copied.workspace.delete(*_of(copied, "embeddings").steps, f"{part}.json")
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
