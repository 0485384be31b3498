"""Domains that somebody has sorted: from a folder of files to a mixture and its shards, with no vector computed."""

import gzip
import json
import shutil
from collections import Counter
from pathlib import Path

import made_corpus
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from typer.testing import CliRunner

from mixer import inspection
from mixer import lineage as mixing
from mixer.command import app
from mixer.console import Bars
from mixer.export.verify import verify
from mixer.job import build, planned
from mixer.proxies import trainers
from mixer.stages import read_mixture
from pipelines import lineage, tokens, unigrams
from pipelines.clusters import read_buckets, read_clusters
from pipelines.corpus import Corpus, Report, opened
from pipelines.crawls import register, registered
from pipelines.domains import domain_of, of_files, several
from pipelines.errors import InputError, SirdarError
from pipelines.pooling import open_pool, read_evaluations
from pipelines.store import Workspace

DOMAINS = ("astronomy", "banking", "cooking", "jardin")
SMALL = [
    *made_corpus.CHANGES[-10:],
    "tokens.vocabulary=512",
    "tokens.validation=0.1",
    "search.rounds=[3, 2]",
    "engine.workers=1",
]


def write_domains(folder: Path) -> Path:
    """A domain in each form that people have: a file, a packed one, Parquet, and a folder of parts."""
    texts = {name: [made_corpus.text(name, number) for number in range(40)] for name in DOMAINS}
    lines = {name: "".join(json.dumps({"text": text}) + "\n" for text in texts[name]) for name in DOMAINS}
    (folder / "cooking").mkdir(parents=True)
    (folder / "astronomy.jsonl").write_text(lines["astronomy"])
    (folder / "banking.jsonl.gz").write_bytes(gzip.compress(lines["banking"].encode()))
    pq.write_table(pa.table({"text": texts["jardin"]}), folder / "jardin.parquet")
    for part in range(2):
        rows = lines["cooking"].splitlines(keepends=True)[part::2]
        (folder / "cooking" / f"part-{part}.jsonl").write_text("".join(rows))
    return folder


def write_target(path: Path, topic: str) -> Path:
    rows = [{"text": made_corpus.text(topic, number)} for number in range(100, 120)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, [*map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def domains_command(inputs: Path, workspace: Path, target: Path, *changes: str) -> str:
    sets = [part for change in (*SMALL, *changes) for part in ("--set", change)]
    return run("mix", "domains", inputs, "-w", workspace, "--target", f"sky={target}", *sets)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, str]:
    """The workspace after `sirdar mix domains`, and what the command said."""
    folder = tmp_path_factory.mktemp("domains")
    target = write_target(folder / "sky.jsonl", "astronomy")
    said = domains_command(write_domains(folder / "in"), folder / "ws", target)
    return opened(Workspace(str(folder / "ws"))), said


@pytest.fixture(scope="module")
def searched(mixed: tuple[Corpus, str]) -> Corpus:
    """The same after the search, the comparison and the export."""
    build(mixed[0])
    trainers.close_trainers()
    return mixed[0]


# ---------------------------------------------------------------------------------------------------------
# Pools


@pytest.mark.parametrize(
    ("relative", "domain"),
    [
        ("maths.jsonl", "maths"),
        ("maths.jsonl.gz", "maths"),
        ("v1.2.parquet", "v1.2"),
        ("law/2020/a.jsonl", "law"),
        ("law.old/a.jsonl", "law.old"),
        ("page.warc.gz", "page"),
    ],
)
def test_a_domain_is_the_first_folder_or_the_files_name(relative: str, domain: str) -> None:
    assert domain_of(relative) == domain


def test_each_domain_is_a_cluster_and_every_document_in_its_own(mixed: tuple[Corpus, str]) -> None:
    corpus, said = mixed
    table, merged = read_clusters(corpus), read_buckets(corpus).merged
    assert table["name"].to_pylist() == list(DOMAINS)
    assert merged.tolist() == [0, 1, 2, 3]
    assert table["documents"].to_pylist() == [40, 40, 40, 40]
    assert all(terms for terms in table["terms"].to_pylist())
    pool = open_pool(corpus)
    tokenizer = tokens.load_tokenizer(_tokenizer(corpus))
    for bucket, name in enumerate(DOMAINS):
        every = np.concatenate([pool.tokens(bucket, split) for split in ("train", "validation")])
        text = tokenizer.decode(every)
        assert all(made_corpus.text(name, number) in text for number in range(40))
        assert int(pool.num_documents["train"][bucket] + pool.num_documents["validation"][bucket]) == 40
    for name in DOMAINS:
        assert name in said
    assert "nearest to sky" in said


def _tokenizer(corpus: Corpus) -> bytes:
    from pipelines.fitting import tokenizer_json

    return tokenizer_json(corpus)


def test_nothing_is_embedded_judged_or_edited(mixed: tuple[Corpus, str]) -> None:
    corpus, _ = mixed
    names = {step.name for step, _ in planned(corpus)}
    assert not names & {"embeddings", "centroids", "semantic"}
    assert not {"embeddings", "centroids"} & {line.stage for line in inspection.status(corpus)}
    assert not corpus.workspace.exists("embeddings")
    assert not corpus.workspace.exists("models")
    told = {line.stage: line for line in inspection.status(corpus)}
    assert all(line.state == "finished" for line in told.values())
    assert told["verdicts"].counts["kept"] == told["duplicates"].counts["kept"] == 160
    assert not any(told["edits"].counts["spans"].values())
    with pytest.raises(SirdarError, match=r"ask for no centroids: clusters\.by = topic does"):
        run("centroids", "-w", corpus.workspace.root)


def test_settings_of_a_person_stand_above_those_of_domains(tmp_path: Path) -> None:
    target = write_target(tmp_path / "sky.jsonl", "astronomy")
    inputs = write_domains(tmp_path / "in")
    with pytest.raises(InputError, match=r"'astronomy' .40 records read, 40 of them documents, which rules or dup"):
        domains_command(inputs, tmp_path / "ws", target, "edits.emails=true", 'quality.languages=["de", "es"]')
    corpus = opened(Workspace(str(tmp_path / "ws")))
    assert corpus.settings.edits.emails
    assert not corpus.settings.edits.c4_lines
    assert corpus.settings.clusters.by == "source"
    dropped = lineage.verdicts(corpus, "domains").finished()["counts"]["dropped"]
    assert dropped["language"] >= 100  # of the three English domains


def test_a_domain_may_have_any_name_that_a_folder_may(tmp_path: Path) -> None:
    """What stands in brackets is a colour to a terminal, and shows nothing, where names are printed unescaped."""
    names = ["[red] [bold]", "<script>\n", "..é"]
    for name, topic in zip(names, DOMAINS, strict=False):
        (tmp_path / "in" / name).mkdir(parents=True)
        rows = [{"text": made_corpus.text(topic, number)} for number in range(40)]
        (tmp_path / "in" / name / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = domains_command(tmp_path / "in", tmp_path / "ws", write_target(tmp_path / "sky.jsonl", "astronomy"))
    assert "[red] [bold]" in said
    report = Report("mixture", "", "mixture/x", 0, {"found": "[red] [bold] 60 %"}, 1.0, 1, 0, 0, "")
    console = Console(record=True, width=200, stderr=True)
    Bars(console).end(report)
    assert "found [red] [bold] 60 %" in console.export_text()


# ---------------------------------------------------------------------------------------------------------
# The nearest domain


def test_held_out_documents_are_nearest_to_their_own_domain(mixed: tuple[Corpus, str]) -> None:
    corpus, _ = mixed
    counts = read_evaluations(corpus)[1]["sky"]
    assert sum(counts) > 0
    assert counts[DOMAINS.index("astronomy")] == sum(counts)
    pool, tokenizer = open_pool(corpus), tokens.load_tokenizer(_tokenizer(corpus))
    shares = unigrams.log_shares(
        np.stack([unigrams.counts(pool.tokens(bucket, "train"), pool.vocabulary) for bucket in range(4)])
    )
    for bucket, name in enumerate(DOMAINS):
        texts = [made_corpus.text(name, number) for number in range(200, 220)]
        ids = [np.asarray(one.values) for one in tokens.encode(tokenizer, texts)]
        assert (unigrams.likeliest(ids, shares) == bucket).sum() >= 18


def test_real_documents_mostly_find_their_domain(shared: Path) -> None:
    """Ten domains of the shared data, words as tokens: 60 documents a domain to count, 20 others to place."""
    paths = sorted((shared / "domains").glob("*.jsonl.gz"))[::2][:10]
    numbers: dict[str, int] = {}
    documents = []
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            texts = [json.loads(line)["text"] for line, _ in zip(file, range(80), strict=False)]
        documents.append(
            [np.array([numbers.setdefault(word, len(numbers)) for word in text.split()[:300]]) for text in texts]
        )
    counted = [unigrams.counts(np.concatenate(mine[:60]), len(numbers)) for mine in documents]
    shares = unigrams.log_shares(np.stack(counted))
    right = [(unigrams.likeliest(mine[60:], shares) == number).mean() for number, mine in enumerate(documents)]
    assert np.mean(right) > 0.8, dict(zip([path.name for path in paths], right, strict=True))


def test_shares_are_smoothed_and_sum_to_one() -> None:
    counts = np.array([[90, 10, 0, 0], [0, 5, 5, 0]])
    shares = np.exp(unigrams.log_shares(counts).astype(np.float64))
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    assert (shares > 0).all()
    assert shares[0, 0] > shares[1, 0]
    assert unigrams.likeliest([np.array([0, 0]), np.array([2]), np.array([], np.int64)], np.log(shares)).tolist() == [
        0,
        1,
        0,
    ]
    by_hand = Counter([3, 1, 3])
    assert unigrams.counts(np.array([3, 1, 3], np.uint16), 5).tolist() == [by_hand[number] for number in range(5)]


# ---------------------------------------------------------------------------------------------------------
# The whole way


def test_the_mixture_and_its_shards(searched: Corpus) -> None:
    found = read_mixture(searched)
    assert found["clusters"] == list(DOMAINS)
    assert found["others"]["nearest"][0] == max(found["others"]["nearest"])
    assert "domain2vec" not in found["others"]  # domains have no topics
    stage = mixing.dataset(searched)
    folder = searched.workspace.local(*stage.steps)
    assert not list(verify(folder))
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [cluster["name"] for cluster in manifest["clusters"]] == list(DOMAINS)
    assert manifest["models"]["encoder"] == "none: clusters are the folders of the input"
    rows = pq.read_table(folder / manifest["splits"]["train"]["files"][0]).to_pylist()
    of_text = {made_corpus.text(name, number): name for name in DOMAINS for number in range(40)}
    assert {of_text[row["text"]] for row in rows} <= set(DOMAINS)
    assert all(DOMAINS[row["cluster_id"]] == of_text[row["text"]] for row in rows)


def test_dagster_shows_what_is_not_needed_as_off(mixed: tuple[Corpus, str]) -> None:
    import dagster as dg

    from assets.definitions import build as definitions

    wanted = [dg.AssetKey(name) for name in ("embeddings", "centroids")]
    job = definitions(mixed[0].workspace.root).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("crawls", ["domains"])
        done = job.execute_in_process(instance=instance, asset_selection=wanted, partition_key="domains")
        assert done.success
        for key in wanted:
            event = instance.get_latest_materialization_event(key)
            assert event is not None
            assert event.asset_materialization is not None
            assert event.asset_materialization.metadata["off"].value == "the settings do not ask for it"
        judged = {one.check_name for one in done.get_asset_check_evaluations() if one.passed}
        assert judged == {"rows_match_documents", "vectors_finite"}


@pytest.mark.slow
def test_the_whole_job_runs_through_dagster(searched: Corpus) -> None:
    from assets.run import materialise

    assert materialise(searched.workspace.root, searched.progress)


# ---------------------------------------------------------------------------------------------------------
# What cannot be


def test_fewer_than_two_domains_are_refused_before_anything_is_kept(tmp_path: Path) -> None:
    inputs = write_domains(tmp_path / "above" / "in")
    target = write_target(tmp_path / "sky.jsonl", "astronomy")
    with pytest.raises(InputError, match=r"holds 1 domain \(astronomy\), and a mixture needs at least two"):
        domains_command(inputs / "astronomy.jsonl", tmp_path / "ws", target)
    with pytest.raises(InputError, match=r"holds 1 domain \(in\), .* give the folder in which each domain is one file"):
        domains_command(inputs.parent, tmp_path / "ws", target)
    assert not (tmp_path / "ws").exists()
    with pytest.raises(InputError, match="0 domains"):
        several([], "crawl x")


@pytest.mark.parametrize(
    ("others", "named"),
    [
        (["astronomy/more.jsonl"], "'astronomy.jsonl' and 'astronomy/'"),
        (["astronomy.parquet"], "'astronomy.jsonl' and 'astronomy.parquet'"),
        (["jardin.jsonl.gz"], "'jardin.jsonl.gz' and 'jardin.parquet'"),
        (["cooking.jsonl", "cooking/more/a.jsonl"], "'cooking.jsonl' and 'cooking/'"),
    ],
)
def test_two_places_of_one_name_are_no_domain(tmp_path: Path, others: list[str], named: str) -> None:
    inputs, target = write_domains(tmp_path / "in"), write_target(tmp_path / "sky.jsonl", "astronomy")
    for other in others:
        (inputs / other).parent.mkdir(parents=True, exist_ok=True)
        (inputs / other).write_text("{}")
    with pytest.raises(InputError, match=f"holds {named}, and both would be the domain"):
        domains_command(inputs, tmp_path / "ws", target)
    with pytest.raises(InputError, match=named):
        run("build", inputs, "-w", tmp_path / "ws", "--set", "clusters.by=source", "--target", f"sky={target}")
    assert not (tmp_path / "ws").exists()


def test_a_file_added_later_is_held_against_those_that_the_crawl_has(mixed: tuple[Corpus, str], tmp_path: Path) -> None:
    workspace = Workspace(str(tmp_path / "ws"))
    shutil.copytree(mixed[0].workspace.root, workspace.root)
    (tmp_path / "in" / "astronomy").mkdir(parents=True)
    (tmp_path / "in" / "astronomy" / "more.jsonl").write_text("{}")
    (tmp_path / "in" / "law.jsonl").write_text("{}")
    before = registered(workspace)
    with pytest.raises(InputError, match=r"'astronomy.jsonl' and 'astronomy/'"):
        run("mix", "domains", tmp_path / "in", "-w", workspace.root)
    assert registered(workspace) == before
    assert of_files(["a/1.jsonl", "a/b/2.jsonl", "a.b.jsonl", "A.jsonl"], "here") == {"a", "a.b", "A"}
    register(workspace, "later", [str(tmp_path / "in"), str(mixed[0].crawl("domains").files["astronomy.jsonl"][0])])
    with pytest.raises(InputError, match=r"crawl later holds 'astronomy.jsonl' and 'astronomy/'"):
        run("fine-clusters", "-w", workspace.root, "--crawl", "later")


def test_documents_of_domains_that_only_a_later_crawl_has_are_told(mixed: tuple[Corpus, str], tmp_path: Path) -> None:
    shutil.copytree(mixed[0].workspace.root, tmp_path / "ws")
    (tmp_path / "in" / "law").mkdir(parents=True)
    rows = [{"text": made_corpus.text("football", number)} for number in range(30)]
    (tmp_path / "in" / "law" / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "in" / "banking.jsonl").write_text(json.dumps({"text": made_corpus.text("banking", 77)}))
    run("mix", "domains", tmp_path / "in", "-w", tmp_path / "ws", "--crawl", "later")
    told = lineage.fine_clusters(opened(Workspace(str(tmp_path / "ws"))), "later").finished()["counts"]
    assert (told["read"], told["kept"], told["dropped"]) == (31, 1, {"domain_of_no_fit_crawl": 30})


def test_a_domain_without_a_document_is_named_with_the_reasons(tmp_path: Path) -> None:
    inputs, target = write_domains(tmp_path / "in"), write_target(tmp_path / "sky.jsonl", "astronomy")
    (inputs / "garbage.jsonl").write_bytes(b"\xff\xfe not json\n" * 3)
    (inputs / "copies.jsonl").write_bytes((inputs / "astronomy.jsonl").read_bytes())
    (inputs / "damaged.jsonl.gz").write_bytes(b"\x1f\x8b\x08 no gzip at all")
    with pytest.raises(InputError) as caught:
        domains_command(inputs, tmp_path / "ws", target)
    told = str(caught.value)
    assert "'garbage' (3 records read, 0 of them documents, 3 bad_json)" in told
    assert "'damaged'" in told
    assert "which rules or duplicates dropped" in told  # astronomy or its copies, whichever has the larger ids


def test_vectors_of_a_corpus_without_them_are_refused(tmp_path: Path) -> None:
    inputs, target = write_domains(tmp_path / "in"), write_target(tmp_path / "sky.jsonl", "astronomy")
    with pytest.raises(SirdarError, match=r"clusters\.by = 'source' has none"):
        domains_command(inputs, tmp_path / "ws", target, "semantic.threshold=0.9")
