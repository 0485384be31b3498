"""Targets: held-out documents that the mixture should serve, with signatures like a crawl's."""

import json
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa

from pipelines import lineage, minhash
from pipelines.corpus import Corpus, Report
from pipelines.errors import InputError
from pipelines.records import ID, document_id
from pipelines.store import part_name


def run_targets(corpus: Corpus) -> Report:
    """The targets' documents with their signatures; half of each, by id, is only for the final comparison."""
    stage = lineage.targets(corpus)
    by_part = {part_name(f"target:{target.name}", 0): target for target in corpus.settings.targets}

    def write(part: str) -> tuple[int, int]:
        target = by_part[part]
        table = _target_table(target.name, Path(target.path), corpus.settings.duplicates)
        stage.commit(part, table, counts={"read": table.num_rows, "kept": table.num_rows})
        return table.num_rows, 0

    return corpus.run(stage, list(by_part), write, on_driver=True)


def _target_table(name: str, path: Path, settings: Any) -> pa.Table:
    rows: dict[bytes, tuple[str, str]] = {}
    with fsspec.open(str(path), "rt", encoding="utf-8", compression="infer") as file:
        for number, line in enumerate(file, 1):
            try:
                record = json.loads(line)
                text, group = record["text"], str(record.get("group", ""))
                identity = document_id("target", str(record.get("id") or text))
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"{path}:{number}: a target's line is JSON with `text` (and `id`, `group`): {error}"
                ) from None
            if text.strip():
                rows[identity] = (text, group)
    if len(rows) < 2:
        raise InputError(f"{path}: target {name!r} has {len(rows)} documents; it needs at least two, to be split")
    texts = [text for text, _ in rows.values()]
    split = ["search" if identity[0] < 128 else "final" for identity in rows]
    if len(set(split)) < 2:
        raise InputError(
            f"{path}: all {len(rows)} documents of target {name!r} fall, by id, into its {split[0]} half; add some"
        )
    table = minhash.signatures(texts, settings)
    for column, values in (("text", texts), ("group", [group for _, group in rows.values()]), ("split", split)):
        table = table.append_column(column, pa.array(values, pa.string()))
    table = table.append_column("target", pa.array([name] * len(rows), pa.string()))
    return table.add_column(0, pa.field("id", ID, nullable=False), pa.array(list(rows), ID))
