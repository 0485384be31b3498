"""Targets: held-out documents that the mixture should serve, with signatures like a crawl's.

A target is split by its texts, not by their ids: the same text is never both searched on and compared on.
"""

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa

from pipelines import lineage
from pipelines.corpus import Corpus, Report
from pipelines.duplicates import minhash
from pipelines.duplicates.schemes import scheme_of
from pipelines.errors import InputError
from pipelines.records import ID, document_id
from pipelines.store import part_name


def run_targets(corpus: Corpus) -> Report:
    """The targets' documents with their signatures; half of each, by text, is only for the final comparison."""
    stage = lineage.targets(corpus)
    by_part = {part_name(f"target:{target.name}", 0): target for target in corpus.settings.targets}

    def write(part: str) -> tuple[int, int]:
        target = by_part[part]
        table, counts = _target_table(target.name, Path(target.path), corpus.settings.duplicates)
        stage.commit(part, table, counts=counts)
        return table.num_rows, 0

    return corpus.run(stage, list(by_part), write, on_driver=True)


def _target_table(name: str, path: Path, settings: Any) -> tuple[pa.Table, dict[str, Any]]:
    """(rows, what to count): every text once, as it came first."""
    rows: dict[bytes, tuple[bytes, str, str]] = {}  # content hash -> id, text, group
    read, dropped = 0, {"duplicate": 0, "empty": 0}
    for number, line in _lines(name, path):
        try:
            identity, text, group = _parsed(name, json.loads(line))
            content = minhash.content_hash(text)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(
                f"{path}:{number}: a target's line is JSON with `text` (and `id`, `group`): {error!r:.200}"
            ) from None
        read += 1
        if not text.strip():
            dropped["empty"] += 1
        elif content in rows:
            dropped["duplicate"] += 1
        else:
            rows[content] = (identity, text, group)
    if len(rows) < 2:
        raise InputError(
            f"{path}: target {name!r} has {len(rows)} different documents; it needs at least two, to be split"
        )
    split = ["search" if content[0] < 128 else "final" for content in rows]
    if len(set(split)) < 2:
        raise InputError(
            f"{path}: all {len(rows)} documents of target {name!r} fall, by text, into its {split[0]} half; add some"
        )
    ids, texts, groups = zip(*rows.values(), strict=True)
    scheme = scheme_of(settings)
    table = minhash.signatures(pa.array(texts, pa.large_string()), scheme)
    for column, values in (("text", texts), ("group", groups), ("split", split)):
        table = table.append_column(column, pa.array(values, pa.string()))
    table = table.append_column("target", pa.array([name] * len(rows), pa.string()))
    table = table.add_column(0, pa.field("id", ID, nullable=False), pa.array(ids, ID))
    return table, {"read": read, "kept": len(rows), "dropped": dropped}


def _lines(name: str, path: Path) -> Iterator[tuple[int, str]]:
    """(line number, line) of those that are not blank; InputError where the file cannot be read to its end."""
    try:
        with fsspec.open(str(path), "rt", encoding="utf-8-sig", compression="infer") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise InputError(f"target {name!r}: {path} cannot be read to its end: {error}") from None


def _parsed(name: str, record: Any) -> tuple[bytes, str, str]:
    """(id, text, group) of a target's line. An `id` may come again, in another group or with another text."""
    text, identity, group = record["text"], record.get("id"), record.get("group")
    if not isinstance(text, str):
        raise TypeError(f"`text` is {text!r:.40}, no string")
    group = "" if group is None else str(group)
    return document_id("target", name, group, "" if identity is None else str(identity), text), text, group
