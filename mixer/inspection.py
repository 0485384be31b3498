"""Looking into a workspace: what each stage did, where a document is, what nothing needs any more."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines import lineage
from pipelines.columns import DROPS
from pipelines.corpus import Corpus
from pipelines.errors import InputError, SettingsError, StoreError
from pipelines.optional import by_topic, wanted
from pipelines.store import Stage

CRAWL_STAGES = (
    "documents",
    "edits",
    "signals",
    "dialects",
    "embeddings",
    "scores",
    "contamination",
    "verdicts",
    "signatures",
    "duplicates",
    "repeats",
    "fine_clusters",
    "semantic",
    "tokens",
)
CORPUS_STAGES = ("targets", "centroids", "tokenizer", "clusters", "pools", "evaluations")


@dataclass(frozen=True, slots=True)
class StageStatus:
    """A stage under the current settings: `state` is finished, unfinished or absent."""

    stage: str
    crawl: str
    label: str
    state: str
    parts: int
    rows: int
    counts: dict[str, Any]

    @property
    def errors(self) -> int:
        return int(sum(self.counts.get("errors", {}).values()))

    @property
    def bytes_lost(self) -> int:
        return int(self.counts.get("bytes_lost", 0))


def stages(corpus: Corpus) -> Iterator[tuple[str, str, Stage | None]]:
    """(stage, crawl, address) of the corpus half; None where the inputs are not finished."""
    for name, *crawl in _asked(corpus):
        yield name, "".join(crawl), _address(corpus, name, *crawl)


def _asked(corpus: Corpus) -> Iterator[tuple[str, ...]]:
    """(stage, crawl) or (stage,) of the corpus half, in the order in which they are run."""
    of_crawls = [name for name in CRAWL_STAGES if wanted(corpus.settings, name)]
    yield from ((name,) for name in CORPUS_STAGES[:1])
    yield from ((name, crawl.name) for crawl in corpus.crawls for name in of_crawls)
    yield from ((name,) for name in CORPUS_STAGES[1:] if wanted(corpus.settings, name))


def _address(corpus: Corpus, name: str, *crawl: str) -> Stage | None:
    try:
        stage: Stage = getattr(lineage, name)(corpus, *crawl)
    except (StoreError, SettingsError, InputError):  # the last of a model that is away, or of one domain
        return None
    return stage


def status(corpus: Corpus) -> list[StageStatus]:
    """One line per stage and crawl: read, kept, dropped by reason, errors, bytes lost."""
    return [_status(corpus, name, crawl, stage) for name, crawl, stage in stages(corpus)]


def _status(corpus: Corpus, name: str, crawl: str, stage: Stage | None) -> StageStatus:
    manifest = stage.manifest() if stage else None
    if stage is None:
        return StageStatus(name, crawl, "", "absent", 0, 0, {})
    if manifest is None:
        parts = stage.sidecars()
        state = "unfinished" if parts else "absent"
        return StageStatus(name, crawl, stage.label, state, len(parts), sum(p["rows"] for p in parts.values()), {})
    counts = manifest.get("counts", {})
    state = "finished" if _is_whole(corpus, crawl, stage, manifest) else "unfinished"
    return StageStatus(name, crawl, stage.label, state, len(manifest["parts"]), manifest["rows"], counts)


def _is_whole(corpus: Corpus, crawl: str, stage: Stage, manifest: dict[str, Any]) -> bool:
    """Whether a manifest tells of all that its crawl holds now; a file may have been added after it."""
    if not crawl:
        return True
    parts = lineage.part_names(manifest)
    if stage.recipe.stage == "documents":
        ended = {side["file"] for part, side in stage.sidecars().items() if side["end"] and part in parts}
        return ended >= corpus.crawl(crawl).files.keys()
    documents = lineage.documents(corpus, crawl).manifest()
    return documents is not None and parts == lineage.part_names(documents)


# ---------------------------------------------------------------------------------------------------------
# One document


@dataclass(frozen=True, slots=True)
class _Hit:
    """A row of the documents, or of the rejects beside them."""

    crawl: str
    part: str
    row: int
    values: dict[str, Any]
    rejected: bool


def trace(corpus: Corpus, wanted: str) -> list[tuple[str, str]]:
    """(stage, what happened there) of a document, by its id in hex, a unique beginning of it, or its URL.

    Where several records have the URL: all of them, documents before rejects, an empty line before each other.
    """
    told: list[tuple[str, str]] = []
    for hit in _found(corpus, wanted):
        told += [("", "")] if told else []
        told += _rejected(corpus, hit) if hit.rejected else _way(corpus, hit)
    return told


def _rejected(corpus: Corpus, hit: _Hit) -> list[tuple[str, str]]:
    row, file = hit.values, _file(corpus, hit.crawl, hit.part)
    return [("documents", f"rejected in {hit.crawl}: {row['reason']} ({row['url']}, byte {row['offset']} of {file})")]


def _way(corpus: Corpus, hit: _Hit) -> list[tuple[str, str]]:
    document, file = hit.values, _file(corpus, hit.crawl, hit.part)
    told = [
        ("documents", f"{hit.crawl}, byte {document['offset']} of {file}: {document['url']}"),
        ("", f"{document['num_bytes']} bytes of text, {document['charset'] or 'as text'}, from {document['date']}"),
    ]
    for name in CRAWL_STAGES[1:]:
        if not wanted(corpus.settings, name):
            continue
        stage = _address(corpus, name, hit.crawl)
        if stage is None or not stage.has(hit.part):
            told.append((name, "not there yet"))
            continue
        rows = stage.read(hit.part).slice(hit.row, 1).to_pylist()
        if [row["id"] for row in rows] != [document["id"]]:
            raise StoreError(
                f"{stage.label}/{hit.part}: row {hit.row} is not of document {document['id'].hex()}; delete"
                " that folder and run the stage again"
            )
        told.append(
            (name, _bucket(corpus, hit, rows[0]["cluster"]) if name == "fine_clusters" else _told(name, rows[0]))
        )
        if name in DROPS and told[-1][1].startswith("dropped"):
            return told
    return told + _taken_down(corpus, hit)


def _taken_down(corpus: Corpus, hit: _Hit) -> list[tuple[str, str]]:
    """Whether the takedown list names the document, or one that it stands for."""
    import pyarrow as pa

    from mixer.export.draw import taken_down
    from pipelines import takedown
    from pipelines.records import ID

    wishes = takedown.read(corpus.workspace)
    if not len(wishes):
        return []
    if wishes.matches(pa.array([hit.values["id"]], ID), pa.array([hit.values["url"]])).true_count:
        return [("dataset", "taken down: in no version after the wish (`sirdar takedown list`)")]
    if hit.values["id"] in taken_down(corpus, wishes):
        return [("dataset", "taken down, as the copy of a document that the list names")]
    return []


def _found(corpus: Corpus, wanted: str) -> list[_Hit]:
    """Documents, then rejects, each in the order of the crawls; never none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    by_id = all(character in "0123456789abcdef" for character in wanted) and 6 <= len(wanted) <= 32
    hits: list[_Hit] = []
    for crawl in corpus.crawls:
        stage = lineage.documents(corpus, crawl.name)
        for part in stage.sidecars():
            for beside in ("", "rejects"):
                table = stage.read(part, ["id", "url"], beside=beside)
                if by_id:
                    low, high = (bytes.fromhex(wanted.ljust(32, digit)) for digit in "0f")
                    ids = table["id"].cast(pa.binary())
                    mask = pc.and_(pc.greater_equal(ids, low), pc.less_equal(ids, high))
                else:
                    mask = pc.equal(table["url"], wanted)
                rows = pc.indices_nonzero(mask.combine_chunks()).to_pylist()
                found = stage.read(part, beside=beside).take(rows).to_pylist() if rows else []
                hits += [
                    _Hit(crawl.name, part, row, values, bool(beside)) for row, values in zip(rows, found, strict=True)
                ]
    if not hits:
        raise InputError(
            f"no document or reject {wanted!r}; give an id in hex (6 to 32 digits) or a whole URL. Records that"
            " the sample leaves out (not_sampled) or that are dropped by type (type_...) are counted, see"
            " `sirdar status`, but not listed"
        )
    ids = {hit.values["id"] for hit in hits}
    if by_id and len(ids) > 1:
        raise InputError(f"{wanted!r} is the beginning of {len(ids)} ids; give more digits")
    return sorted(hits, key=lambda hit: hit.rejected)


def _file(corpus: Corpus, crawl: str, part: str) -> str:
    return str(lineage.documents(corpus, crawl).sidecar(part)["file"])


def _told(name: str, row: dict[str, Any]) -> str:
    if name == "edits":
        spans = row["edits"] or []
        return f"{len(spans)} spans cut: {', '.join(sorted({span['reason'] for span in spans}))}" if spans else "none"
    if name == "signals":
        return f"{row['language']} ({row['language_score']:.2f}), {row['num_words']} words"
    if name == "verdicts":
        return f"dropped: {row['reason']}" if row["reason"] else "kept"
    if name == "dialects":
        return f"{len(row) - 1} signals"
    if name == "scores":
        return ", ".join(f"{key} {_plainly(row[key])}" for key in row if key != "id")
    if name == "contamination":
        tasks = ", ".join(row["contaminated_by"])
        return f"shares {row['contaminated_share']:.0%} of an item's n-grams with {tasks}" if tasks else "of no test"
    if name == "signatures":
        return f"{row['num_shingles']} shingles"
    if name == "duplicates":
        keeper = row["duplicate_of"]
        return f"dropped: {row['method']} duplicate of {keeper.hex()}" if keeper else "kept"
    if name == "repeats":
        return f"dropped: {row['reason']}" if row["reason"] else "kept"
    if name == "semantic":
        keeper = row["semantic_duplicate_of"]
        return f"dropped: its vector nearly agrees ({row['similarity']:.3f}) with {keeper.hex()}" if keeper else "kept"
    if name == "embeddings":
        return "embedded" if row["embedded"] else "not embedded: behind the coarse gate"
    return f"{row['num_tokens']} tokens"


def _plainly(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


def _bucket(corpus: Corpus, hit: _Hit, fine: int) -> str:
    from pipelines.buckets import placed
    from pipelines.clusters import read_buckets, read_clusters

    if fine < 0:
        topical = by_topic(corpus.settings)
        return f"in no cluster, since it was {'not embedded' if topical else 'of no domain of the fitted crawls'}"
    try:
        table, buckets = read_clusters(corpus), read_buckets(corpus)
    except StoreError:
        return f"fine cluster {fine}"
    score = placed(corpus, hit.crawl, hit.part)["score"][hit.row].as_py()
    number = int(buckets.numbers(np.array([fine]), np.array([score]))[0])
    said = f"fine cluster {fine}, " + (f"cluster {number}: {table['name'][number]}" if number >= 0 else "pruned")
    return f"{said}, score {score:.3f}" if corpus.settings.clusters.tiers and number >= 0 else said


# ---------------------------------------------------------------------------------------------------------
# What nothing needs


def unneeded(corpus: Corpus) -> list[tuple[str, int]]:
    """(label, bytes) of stage folders that neither the current settings nor a dataset refer to, nor a comparison of
    strategies under these settings.

    None of a stage whose current folder cannot be worked out, since a stage before it is not finished: it may
    be any of them. Raises SettingsError or InputError where a setting names a file or a model that is not there:
    the folders made with it would look like those of other settings.
    """
    workspace = corpus.workspace
    needed, unknown = _needed(corpus)
    for name in workspace.names("dataset"):
        for version in workspace.names("dataset", name):
            place = ("dataset", name, version, "manifest.json")
            if workspace.exists(*place):
                needed |= set(workspace.read_json(*place).get("inputs", {}))
    of_all = (*CORPUS_STAGES, "mixture", "comparison", "strategies")
    of_crawls = (*CRAWL_STAGES, "search")  # searches lie under their names, as the others under their crawls
    found: list[tuple[str, ...]] = [(name, digest) for name in of_all for digest in workspace.names(name)]
    found += [
        (name, crawl, digest)
        for name in of_crawls
        for crawl in workspace.names(name)
        for digest in workspace.names(name, crawl)
    ]
    labels = ["/".join(steps) for steps in found if steps[0] not in unknown]
    return [(label, workspace.size(*label.split("/"))) for label in labels if label not in needed]


def _needed(corpus: Corpus) -> tuple[set[str], set[str]]:
    """Labels that the current settings refer to, and the names of stages where that cannot be said yet.

    What settings name and is away is an error, not unknown: whoever deletes is to know first.
    """
    from mixer import entrants
    from mixer import lineage as mixing

    needed: set[str] = set()
    unknown: set[str] = set()
    for name, *crawl in _asked(corpus):
        try:
            needed.add(getattr(lineage, name)(corpus, *crawl).label)
        except StoreError:
            unknown.add(name)
    for function in (mixing.search, mixing.mixture, mixing.comparison):
        try:
            needed.add(function(corpus).label)
        except (StoreError, SettingsError):  # settings without a target are sound, but ask for no search
            unknown.add(function.__name__)
    try:
        needed |= set(entrants.current(corpus))
    except (StoreError, SettingsError):
        unknown.add("strategies")
    return needed, unknown
