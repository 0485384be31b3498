"""Looking into a workspace: what each stage did, where a document is, what nothing needs any more."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipelines import lineage
from pipelines.corpus import Corpus
from pipelines.errors import InputError, SettingsError, StoreError
from pipelines.store import Stage

CRAWL_STAGES = (
    "documents",
    "edits",
    "signals",
    "verdicts",
    "signatures",
    "duplicates",
    "embeddings",
    "fine_clusters",
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
    for name in CORPUS_STAGES[:1]:
        yield name, "", _address(corpus, name)
    for crawl in corpus.crawls:
        for name in CRAWL_STAGES:
            yield name, crawl.name, _address(corpus, name, crawl.name)
    for name in CORPUS_STAGES[1:]:
        yield name, "", _address(corpus, name)


def _address(corpus: Corpus, name: str, *crawl: str) -> Stage | None:
    try:
        stage: Stage = getattr(lineage, name)(corpus, *crawl)
    except (StoreError, SettingsError):
        return None
    return stage


def status(corpus: Corpus) -> list[StageStatus]:
    """One line per stage and crawl: read, kept, dropped by reason, errors, bytes lost."""
    return [_status(name, crawl, stage) for name, crawl, stage in stages(corpus)]


def _status(name: str, crawl: str, stage: Stage | None) -> StageStatus:
    manifest = stage.manifest() if stage else None
    if stage is None:
        return StageStatus(name, crawl, "", "absent", 0, 0, {})
    if manifest is None:
        parts = stage.sidecars()
        state = "unfinished" if parts else "absent"
        return StageStatus(name, crawl, stage.label, state, len(parts), sum(p["rows"] for p in parts.values()), {})
    counts = manifest.get("counts", {})
    return StageStatus(name, crawl, stage.label, "finished", len(manifest["parts"]), manifest["rows"], counts)


# ---------------------------------------------------------------------------------------------------------
# One document


def trace(corpus: Corpus, wanted: str) -> list[tuple[str, str]]:
    """(stage, what happened there) of a document, by its id in hex, a unique beginning of it, or its URL."""
    crawl, part, row, document = _found(corpus, wanted)
    if document is None:
        return [("documents", f"rejected in {crawl}: {row['reason']} ({row['url']}, byte {row['offset']} of {part})")]
    told = [("documents", f"{crawl}, byte {document['offset']} of {_file(corpus, crawl, part)}: {document['url']}")]
    told.append(
        ("", f"{document['num_bytes']} bytes of text, {document['charset'] or 'as text'}, from {document['date']}")
    )
    for name in CRAWL_STAGES[1:]:
        stage = _address(corpus, name, crawl)
        if stage is None or not stage.has(part):
            told.append((name, "not there yet"))
            continue
        told.append((name, _told(corpus, name, stage.read(part).slice(row, 1).to_pylist()[0])))
        if name in ("verdicts", "duplicates") and told[-1][1].startswith("dropped"):
            break
    return told


def _found(corpus: Corpus, wanted: str) -> tuple[str, str, Any, dict[str, Any] | None]:
    """(crawl, part, row number, document) or, for a reject, (crawl, file, reject, None)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    by_id = all(character in "0123456789abcdef" for character in wanted) and 6 <= len(wanted) <= 32
    columns = ["id", "url"]
    hits: list[tuple[str, str, Any, dict[str, Any] | None]] = []
    for crawl in corpus.crawls:
        stage = lineage.documents(corpus, crawl.name)
        for part, sidecar in stage.sidecars().items():
            for beside in ("", "rejects"):
                table = stage.read(part, columns, beside=beside)
                if by_id:
                    low, high = (bytes.fromhex(wanted.ljust(32, digit)) for digit in "0f")
                    ids = table["id"].cast(pa.binary())
                    mask = pc.and_(pc.greater_equal(ids, low), pc.less_equal(ids, high))
                else:
                    mask = pc.equal(table["url"], wanted)
                for row in pc.indices_nonzero(mask.combine_chunks()).to_pylist():
                    found = stage.read(part, beside=beside).slice(row, 1).to_pylist()[0]
                    hits.append(
                        (crawl.name, sidecar["file"], found, None) if beside else (crawl.name, part, row, found)
                    )
    if not hits:
        raise InputError(f"no document or reject {wanted!r}; give an id in hex (6 to 32 digits) or a whole URL")
    if len(hits) > 1 and by_id and len(wanted) < 32:
        raise InputError(f"{wanted!r} is the beginning of {len(hits)} ids; give more digits")
    return hits[0]


def _file(corpus: Corpus, crawl: str, part: str) -> str:
    return str(lineage.documents(corpus, crawl).sidecar(part)["file"])


def _told(corpus: Corpus, name: str, row: dict[str, Any]) -> str:
    if name == "edits":
        spans = row["edits"] or []
        return f"{len(spans)} spans cut: {', '.join(sorted({span['reason'] for span in spans}))}" if spans else "none"
    if name == "signals":
        return f"{row['language']} ({row['language_score']:.2f}), {row['num_words']} words"
    if name == "verdicts":
        return f"dropped: {row['reason']}" if row["reason"] else "kept"
    if name == "signatures":
        return f"{row['num_shingles']} shingles"
    if name == "duplicates":
        keeper = row["duplicate_of"]
        return f"dropped: {row['method']} duplicate of {keeper.hex()}" if keeper else "kept"
    if name == "embeddings":
        return "embedded" if row["embedded"] else "not embedded: behind the coarse gate"
    if name == "tokens":
        return f"{row['num_tokens']} tokens"
    return _cluster(corpus, row["cluster"])


def _cluster(corpus: Corpus, fine: int) -> str:
    from pipelines.fitting import read_clusters

    if fine < 0:
        return "in no cluster, since it was not embedded"
    try:
        table, merged = read_clusters(corpus)
    except StoreError:
        return f"fine cluster {fine}"
    number = int(merged[fine])
    return f"fine cluster {fine}, " + (f"cluster {number}: {table['name'][number]}" if number >= 0 else "pruned")


# ---------------------------------------------------------------------------------------------------------
# What nothing needs


def unneeded(corpus: Corpus) -> list[tuple[str, int]]:
    """(label, bytes) of stage folders that neither the current settings nor a dataset refer to."""
    workspace = corpus.workspace
    needed = {stage.label for _, _, stage in stages(corpus) if stage}
    needed |= set(_search_labels(corpus))
    for name in workspace.names("dataset"):
        for version in workspace.names("dataset", name):
            place = ("dataset", name, version, "manifest.json")
            if workspace.exists(*place):
                needed |= set(workspace.read_json(*place).get("inputs", {}))
    found: list[tuple[str, int]] = []
    for name in (*CORPUS_STAGES, "mixture", "comparison"):
        labels = [f"{name}/{digest}" for digest in workspace.names(name)]
        found += [(label, 0) for label in labels if label not in needed]
    for name in (*CRAWL_STAGES, "search"):  # searches lie under their names, as the others under their crawls
        for crawl in workspace.names(name):
            labels = [f"{name}/{crawl}/{digest}" for digest in workspace.names(name, crawl)]
            found += [(label, 0) for label in labels if label not in needed]
    return [(label, workspace.size(*label.split("/"))) for label, _ in found]


def _search_labels(corpus: Corpus) -> Iterator[str]:
    from mixer import lineage as mixing

    for function in (mixing.search, mixing.mixture, mixing.comparison):
        try:
            yield function(corpus).label
        except (StoreError, SettingsError):
            continue
