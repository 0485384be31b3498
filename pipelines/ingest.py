"""Crawl files to documents: the one stage that reads the outside, so that every byte of it is accounted for."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import fsspec

from pipelines import lineage
from pipelines.corpus import Corpus, Report, added, forget_peak, peak_memory
from pipelines.errors import AccountingError, InputError
from pipelines.store import Stage, part_name


def run_documents(corpus: Corpus, crawl: str) -> Report:
    """Read the crawl's files: documents, rejects beside them, and every byte accounted for."""
    started = time.monotonic()
    stage = lineage.documents(corpus, crawl)
    files = corpus.crawl(crawl).files
    with stage.lease():
        before = _by_file(stage.sidecars())
        # Not by its last part alone: where the sidecar of a damaged part was deleted, the file is read again.
        todo = [relative for relative, (_, size) in files.items() if not _is_tiled(before.get(relative, []), size)]
        corpus.progress.begin("documents", crawl, total=len(files), done=len(files) - len(todo))
        peaks = [0]

        def landed(_: str, told: tuple[int, int]) -> None:
            peaks.append(told[1])
            corpus.progress.advance(1, told[0])

        corpus.map(_Ingest(stage, crawl, dict(files), corpus.settings.ingest), todo, landed)
        sidecars = {part: side for part, side in stage.sidecars().items() if side["file"] in files}
        _check_accounts(files, sidecars)
        manifest = stage.seal(list(sidecars), counts=added([side["counts"] for side in sidecars.values()]))
    return corpus.report(stage, manifest, started, parts=len(files), todo=len(todo), peak_bytes=max(peaks))


@dataclass(frozen=True)
class _Ingest:
    """Reads one file from its first missing part on; parts after that, should they be there, come out the same."""

    stage: Stage
    crawl: str
    files: dict[str, tuple[str, int]]
    settings: Any

    def __call__(self, relative: str) -> tuple[int, int]:
        from pipelines.reading.documents import read_parts

        forget_peak()
        location, size = self.files[relative]
        _must_be_unchanged(location, relative, size)
        k, offset, rows = 0, 0, 0
        while self.stage.has(part_name(relative, k)):
            side = self.stage.sidecar(part_name(relative, k))
            k, offset, rows = k + 1, side["next_offset"], rows + side["rows"]
            if side["end"]:
                return rows, peak_memory()
        try:
            opened = partial(_open, location)
            for part in read_parts(
                opened, relative=relative, size=size, crawl=self.crawl, settings=self.settings, offset=offset
            ):
                counts = {
                    "read": part.counts.read,
                    "kept": part.counts.kept,
                    "dropped": dict(part.counts.dropped),
                    "errors": dict(part.counts.errors),
                    "bytes_read": part.bytes_read,
                    "bytes_lost": part.bytes_lost,
                }
                self.stage.commit(
                    part_name(relative, k),
                    part.documents,
                    beside={"rejects": part.rejects},
                    counts=counts,
                    file=relative,
                    file_bytes=size,
                    first_offset=part.first_offset,
                    next_offset=part.next_offset,
                    end=part.end,
                )
                k, rows = k + 1, rows + part.documents.num_rows
        except FileNotFoundError:
            raise InputError(f"{location} is gone before it was read to its end; put it back and run again") from None
        return rows, peak_memory()


def _must_be_unchanged(location: str, relative: str, size: int) -> None:
    filesystem, path = fsspec.core.url_to_fs(location)
    try:
        now = filesystem.size(path)
    except FileNotFoundError:
        raise InputError(f"{location} is gone; put it back and run again") from None
    if now != size:
        raise InputError(
            f"{relative} has {now} bytes now and had {size} when its crawl was registered; crawl files must not "
            "change: put it back, or give the new one another name, or another crawl"
        )


def _open(location: str) -> Any:
    return fsspec.open(location, "rb").open()


def _by_file(sidecars: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for side in sidecars.values():
        found.setdefault(side["file"], []).append(side)
    return found


def _bytes_told(sides: Sequence[Mapping[str, Any]]) -> int:
    return sum(side["counts"]["bytes_read"] + side["counts"]["bytes_lost"] for side in sides)


def _is_tiled(sides: Sequence[Mapping[str, Any]], size: int) -> bool:
    """Whether a file's parts reach its end and account for every byte before it."""
    return any(side["end"] for side in sides) and _bytes_told(sides) == size


def _check_accounts(files: Mapping[str, tuple[str, int]], sidecars: Mapping[str, Mapping[str, Any]]) -> None:
    """Invariant 1: bytes read + lost = size of each file; records read = kept + dropped + errors."""
    by_file = _by_file(sidecars)
    for relative, (_, size) in files.items():
        sides = by_file.get(relative, [])
        if not _is_tiled(sides, size):
            raise AccountingError(f"{relative}: {_bytes_told(sides)} bytes accounted for, the file has {size}")
        for side in sides:
            counts = side["counts"]
            out = counts["kept"] + sum(counts["dropped"].values()) + sum(counts["errors"].values())
            if counts["read"] != out or counts["kept"] != side["rows"]:
                raise AccountingError(f"{side['part']} of {relative}: {counts['read']} records read, {out} came out")
