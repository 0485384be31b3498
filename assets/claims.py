"""What must be true of each stage, as pure functions of what the stage told or of what it left to read.

The first kind costs nothing and stands in an asset's body; the second reads the stage again, with columns as
small as the claim allows, and stands as a check of its own.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from assets import evidence
from pipelines import lineage
from pipelines.corpus import Corpus, Report

MIN_KEPT, MAX_KEPT = 0.005, 0.9999  # strict English rules keep 0.5 to 10 % of a raw crawl; all is no filter
MIN_JUDGED = 100  # rows below which a share says nothing
MAX_DUPLICATES = 0.95
MAX_NAMED = 20  # sources or groups in a finding
MAX_ZERO = 0.5  # of embedded documents: those without a known word; all of them: a broken encoder
MAX_CLUSTER_SHARE = 0.9  # of the tokens


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether a claim holds, and the numbers that it was judged by."""

    holds: bool
    told: Mapping[str, Any]
    warns: bool = False  # a broken claim is a warning, which blocks nothing

    @property
    def severity(self) -> dg.AssetCheckSeverity:
        return dg.AssetCheckSeverity.WARN if self.warns else dg.AssetCheckSeverity.ERROR


# ---------------------------------------------------------------------------------------------------------
# Judged by what a stage told


def keeps_plausible_share(corpus: Corpus, report: Report) -> Finding:
    """The rules, where there are any, drop something, and not nearly everything."""
    read, kept = int(report.counts["read"]), int(report.counts["kept"])
    share = kept / read if read else 0.0
    most = 1.0 if corpus.settings.quality.preset == "everything" else MAX_KEPT
    return Finding(
        MIN_KEPT <= share <= most if read >= MIN_JUDGED else kept > 0, {"read": read, "kept": kept, "share": share}
    )


def duplicate_rate_below_limit(corpus: Corpus, report: Report) -> Finding:
    """Not nearly everything is a duplicate, as it would be of a crawl that was registered under two names."""
    counts = report.counts
    dropped = sum(counts.get("dropped", {}).values())
    judged = int(counts.get("kept", 0)) + dropped
    rate = dropped / judged if judged else 0.0
    return Finding(rate <= MAX_DUPLICATES or judged < MIN_JUDGED, {"rate": rate, "limit": MAX_DUPLICATES})


def groups_below_cap(corpus: Corpus, report: Report) -> Finding:
    """No document has more copies than `duplicates.max_group`, which a template that was taken for a text has."""
    from pipelines.duplicates.report import oversized_groups

    over = oversized_groups(report.counts, corpus.settings.duplicates)
    return Finding(not over, {"limit": corpus.settings.duplicates.max_group, **dict(list(over.items())[:MAX_NAMED])})


def rows_match_documents(corpus: Corpus, report: Report) -> Finding:
    """The same parts as `documents`, each with as many rows."""
    documents = _rows(lineage.documents(corpus, report.crawl).finished())
    mine = _rows(getattr(lineage, report.stage)(corpus, report.crawl).finished())
    wrong = sorted(part for part in documents.keys() | mine.keys() if documents.get(part) != mine.get(part))
    return Finding(not wrong, {"parts": len(documents), "rows": sum(documents.values()), "wrong": ", ".join(wrong[:5])})


def sizes_not_degenerate(corpus: Corpus, report: Report) -> Finding:
    """At least two clusters, none empty, none with nearly all tokens."""
    from pipelines.clusters import read_clusters

    tokens = read_clusters(corpus)["tokens"].to_pylist()
    largest = max(tokens) / max(1, sum(tokens))
    holds = len(tokens) >= 2 and min(tokens) > 0 and largest <= MAX_CLUSTER_SHARE
    return Finding(holds, {"clusters": len(tokens), "largest_share": largest, "smallest_tokens": min(tokens)})


def enough_trials_succeeded(corpus: Corpus, report: Report) -> Finding:
    """No more of the round's proxies failed than `search.max_failed` allows."""
    found = evidence.trials(corpus, evidence.round_of(report.stage))
    failed = sum(trial["loss"] is None for trial in found)
    limit = corpus.settings.search.max_failed
    return Finding(len(found) > 0 and failed <= limit * len(found), {"trials": len(found), "failed": failed})


def rank_correlation_above_chance(corpus: Corpus, report: Report) -> Finding:
    """The predictor's cross-validated rank correlation is more than shuffled losses would give."""
    tested = evidence.fit(corpus, evidence.round_of(report.stage)).get("cross_validation", {})
    told = {name: tested.get(name) for name in ("spearman", "chance")}
    return Finding(bool(tested.get("better_than_chance")), told, warns=True)


def weights_sum_to_one(corpus: Corpus, report: Report) -> Finding:
    """The mixture found, and each beside it, is a share of one for every cluster."""
    clusters, found = evidence.mixtures(corpus)
    sums = {name: math.fsum(weights) for name, weights in found.items()}
    fits = all(len(weights) == len(clusters) and min(weights) >= 0 for weights in found.values())
    return Finding(fits and all(abs(total - 1) < 1e-9 for total in sums.values()), sums)


def beats_baselines(corpus: Corpus, report: Report) -> Finding:
    """The mean loss of the mixture found is below that of every other one, on documents that no search saw."""
    means = {name: summary["mean"] for name, summary in evidence.comparison(corpus).items()}
    mine = means.pop("search")
    holds = mine is not None and all(mean is None or mine < mean for mean in means.values())
    return Finding(holds, {"search": mine, **means}, warns=True)


# ---------------------------------------------------------------------------------------------------------
# Judged by reading again


def all_bytes_accounted_for(corpus: Corpus, crawl: str) -> Finding:
    """Per input file, as large as it is now: bytes read + bytes lost = size. A file that is gone counts as it was."""
    import fsspec

    told: dict[str, int] = {}
    lost = 0
    for side in lineage.documents(corpus, crawl).sidecars().values():
        counts = side["counts"]
        told[side["file"]] = told.get(side["file"], 0) + counts["bytes_read"] + counts["bytes_lost"]
        lost += counts["bytes_lost"]
    wrong, gone = [], 0
    for relative, (location, size) in corpus.crawl(crawl).files.items():
        filesystem, path = fsspec.core.url_to_fs(location)
        there = filesystem.exists(path)
        gone += not there
        if told.get(relative) != (filesystem.size(path) if there else size):
            wrong.append(relative)
    numbers = {"files": len(told), "bytes": sum(told.values()), "bytes_lost": lost, "files_gone_since": gone}
    return Finding(not wrong, {**numbers, "wrong": ", ".join(wrong[:5])})


def no_empty_text(corpus: Corpus, crawl: str) -> Finding:
    """No document is without text."""
    import pyarrow.compute as pc

    stage = lineage.documents(corpus, crawl)
    empty = sum(
        pc.sum(pc.equal(stage.read(part, ["num_bytes"])["num_bytes"], 0)).as_py() or 0
        for part in _rows(stage.finished())
    )
    return Finding(empty == 0, {"empty": empty})


def sources_keep_enough(corpus: Corpus, crawl: str) -> Finding:
    """No source loses more of its documents as duplicates than `duplicates.max_source_loss`; fails by its name."""
    from pipelines.duplicates.report import source_losses, wiped_sources

    settings = corpus.settings.duplicates
    wiped = wiped_sources(source_losses(corpus, crawl), settings).to_pylist()
    told: dict[str, Any] = {"limit": settings.max_source_loss, "sources_over": len(wiped)}
    for row in wiped[:MAX_NAMED]:
        told[row["source"]] = f"{row['dropped']:,} of {row['read']:,} ({row['loss']:.1%})"
    return Finding(not wiped, told)


def ids_unique(corpus: Corpus, crawl: str) -> Finding:
    """No id twice among the rows that are kept; 16 bytes a row in memory."""
    import numpy as np
    import pyarrow as pa

    from pipelines.columns import DROPS, kept_rows

    stages = {stage.recipe.stage: stage for stage in lineage.dropping(corpus, crawl, clustered=False)}
    kept = []
    for part in _rows(stages["duplicates"].finished()):
        tables = {name: stage.read(part, ["id", DROPS[name]]) for name, stage in stages.items()}
        ids = tables["duplicates"]["id"].filter(pa.array(kept_rows(tables)))
        kept.append(b"".join(ids.to_pylist()))
    found = np.frombuffer(b"".join(kept), "V16")
    repeated = len(found) - len(np.unique(found))
    return Finding(repeated == 0, {"kept": len(found), "repeated": repeated})


def vectors_finite(corpus: Corpus, crawl: str) -> Finding:
    """All vectors are finite, those of documents that were not embedded are zero, and few others."""
    import numpy as np

    from pipelines.vectors.column import matrix

    stage = lineage.embeddings(corpus, crawl)
    embedded = wrong = zero = 0
    for part in _rows(stage.finished()):
        table = stage.read(part, ["embedded", "vector"])
        gate = np.asarray(table["embedded"])
        vectors = matrix(table["vector"])
        filled = vectors.any(axis=1)
        wrong += int((~np.isfinite(vectors).all(axis=1) | (filled & ~gate)).sum())
        embedded, zero = embedded + int(gate.sum()), zero + int((gate & ~filled).sum())
    told = {"embedded": embedded, "wrong": wrong, "embedded_as_zero": zero}
    return Finding(wrong == 0 and zero <= MAX_ZERO * embedded, told)


def tokens_match_manifest(corpus: Corpus) -> Finding:
    """The pools are as long as their index says, and hold together what the clusters' table counts."""
    from pipelines.clusters import read_clusters
    from pipelines.pooling import open_pool

    pool = open_pool(corpus)
    held = pool.num_tokens["train"] + pool.num_tokens["validation"]
    stated = read_clusters(corpus)["tokens"].to_numpy()
    return Finding(held.tolist() == stated.tolist(), {"held": int(held.sum()), "stated": int(stated.sum())})


def shards_match_manifest(corpus: Corpus) -> Finding:
    """Sizes, hashes, rows, splits and weights of the shards are those of the dataset's manifest."""
    from mixer import lineage as mixing
    from mixer.export.verify import verify

    stage = mixing.dataset(corpus)
    problems = [f"{problem.path} {problem.text}".strip() for problem in verify(stage.workspace.local(*stage.steps))]
    return Finding(not problems, {"problems": len(problems), "first": "; ".join(problems[:5])})


def no_target_in_dataset(corpus: Corpus) -> Finding:
    """No row of the dataset has the text of a held-out document, white space aside."""

    from mixer import lineage as mixing
    from mixer.export import manifest as manifests
    from pipelines.duplicates.minhash import content_hash

    held = set()
    targets = lineage.targets(corpus)
    for part in _rows(targets.finished()):
        held.update(targets.read(part, ["content_hash"])["content_hash"].to_pylist())
    stage = mixing.dataset(corpus)
    rows = found = 0
    with corpus.workspace.open(*stage.steps, manifests.NAME) as file:
        listed = manifests.read(file.read())["files"]
    for path in (one["path"] for one in listed if one["role"] == "data"):
        with corpus.workspace.parquet(*stage.steps, *path.split("/")) as file:
            for batch in file.iter_batches(columns=["text"]):
                rows += batch.num_rows
                found += sum(content_hash(text) in held for text in batch["text"].to_pylist())
    return Finding(found == 0, {"rows": rows, "held_out_texts": len(held), "found": found})


def no_test_in_dataset(corpus: Corpus) -> Finding:
    """No row of the dataset holds a test of `decontamination.sets`; a warning where they are only reported."""
    from mixer import lineage as mixing
    from mixer.export import leaks
    from mixer.export import manifest as manifests

    stage = mixing.dataset(corpus)
    with corpus.workspace.open(*stage.steps, manifests.NAME) as file:
        listed = manifests.read(file.read())["files"]
    found = leaks.check(corpus, stage, [one["path"] for one in listed if one["role"] == "data"])
    told: dict[str, Any] = {"documents": found.documents, "contaminated": found.contaminated, **found.by_task}
    if found.contaminated:
        told["first"] = leaks.told(found)
    return Finding(not found.contaminated, told, warns=corpus.settings.decontamination.action == "report")


def _rows(manifest: Mapping[str, Any]) -> dict[str, int]:
    return {part["part"]: part["rows"] for part in manifest["parts"]}
