"""manifest.json of a dataset: what it is, what is in it, and where it comes from; card and `verify` read it.

Nothing of it depends on times, hosts or worker counts. Keys (null or [] where a piece is missing; the card
then says so):

    manifest        1, the version of this schema
    name, version   of the dataset, <name>/<version> in the workspace
    layout          parquet | clusters | nanochat (mixer/export/shards.py)
    files           [{path, split, role, rows, row_groups, tokens, bytes, sha256, content, columns}], by path.
                    role: `data`; `columns`: beside nanochat's shards, with the same rows and tokens again
    splits          {train, validation: {files: [path], rows, tokens, bytes}} over the files of role `data`
    budget          {requested, tokens, reached, max_epochs, seed, displaced}
    clusters        [{id, name, weight_requested, weight, tokens, documents, draws, epochs, pool_tokens,
                    pool_documents, capped}]: of training; documents are distinct, draws are rows
    phases          [{rows, tokens, share_requested, share, weights_requested, weights, files}], of a mixture that
                    changes in the course of training: what is read first, then next; weights in the order of
                    `clusters`, files in the order of reading. No such key where there is one phase
    baselines       {natural | uniform | nearest | ...: [weight of each cluster, in the order of `clusters`]}
    funnel          [{stage, read, kept, dropped: {reason: n}, errors: {reason: n}}], in order
    settings        all settings; settings_digest: sha256 of them
    inputs          {stage address: digest}
    models          {encoder, cluster_scores, tokenizer, language, ...: one line each}
    comparison      {target, metric, tokens, seeds, mixtures: [{name, losses, mean, spread}], verdict}
    licences        [{source, licence, rows, tokens, attribution}], most tokens first; `licence` is the id of one that
                    is known, else what was declared
    tiers           {1 | 2 | 3: {rows, tokens}}: what the licences allow (pipelines/reading/licence_ids.py)
    languages       {code: rows}
    takedown        {entries, digest, documents}: of the list of what had to be taken out; {} where there is none
    notes           [one sentence]
    digest          sha256 of all the rest, as pipelines.digest.digest_of makes it
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from mixer.export.phase_order import PhaseDraw
from mixer.export.selection import SelectionReport
from mixer.export.shards import Layout, ShardFile
from pipelines.digest import digest_of
from pipelines.errors import InputError
from pipelines.reading.licence_ids import tier

VERSION = 1
NAME = "manifest.json"
CARD = "README.md"
SPLITS = ("train", "validation")
MAX_SOURCES = 10_000  # listed one by one

Manifest = dict[str, Any]


def build(
    *,
    name: str,
    version: str,
    layout: Layout,
    files: Iterable[ShardFile],
    selection: SelectionReport,
    phases: Sequence[PhaseDraw] = (),
    cluster_names: Mapping[int, str] | None = None,
    baselines: Mapping[str, Sequence[float]] | None = None,
    funnel: Sequence[Mapping[str, Any]] = (),
    settings: Mapping[str, Any] | None = None,
    inputs: Mapping[str, str] | None = None,
    models: Mapping[str, str] | None = None,
    comparison: Mapping[str, Any] | None = None,
    licences: Sequence[Mapping[str, Any]] = (),
    tiers: Mapping[str, Mapping[str, int]] | None = None,
    languages: Mapping[str, int] | None = None,
    takedown: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> Manifest:
    """The manifest of a written dataset, as plain JSON values."""
    listed = [asdict(file) | {"columns": list(file.columns)} for file in sorted(files, key=lambda f: f.path)]
    manifest: Manifest = {
        "manifest": VERSION,
        "name": name,
        "version": version,
        "layout": layout,
        "files": listed,
        "splits": {split: _split(listed, split) for split in SPLITS},
        "budget": {
            "requested": selection.budget_requested,
            "tokens": selection.budget,
            "reached": selection.reached,
            "max_epochs": selection.max_epochs,
            "seed": selection.seed,
            "displaced": selection.displaced,
        },
        "clusters": _clusters(selection, cluster_names or {}),
        **({"phases": _phases(phases, listed)} if phases else {}),
        "baselines": {kind: list(weights) for kind, weights in (baselines or {}).items()},
        "funnel": [dict(row) for row in funnel],
        "settings": dict(settings) if settings is not None else None,
        "settings_digest": digest_of(dict(settings)) if settings is not None else None,
        "inputs": dict(inputs or {}),
        "models": dict(models or {}),
        "comparison": dict(comparison) if comparison is not None else None,
        "licences": [dict(row) for row in licences],
        "tiers": {tier: dict(sums) for tier, sums in (tiers or {}).items()},
        "languages": dict(languages or {}),
        "takedown": dict(takedown or {}),
        "notes": list(notes),
    }
    return manifest | {"digest": own_digest(manifest)}


def own_digest(manifest: Mapping[str, Any]) -> str:
    """Of everything in the manifest but the digest itself."""
    return digest_of({key: value for key, value in manifest.items() if key != "digest"})


def written(manifest: Mapping[str, Any]) -> bytes:
    """The bytes of manifest.json."""
    return (json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read(data: bytes) -> Manifest:
    """The manifest from its bytes; InputError where they are none of this version."""
    try:
        manifest = json.loads(data)
    except ValueError as error:
        raise InputError(f"{NAME} is not JSON: {error}") from None
    if not isinstance(manifest, dict) or manifest.get("manifest") != VERSION:
        raise InputError(f"{NAME} is no manifest of version {VERSION}")
    return manifest


def tallied(tables: Iterable[pa.Table], attributions: Mapping[str, str] | None = None) -> dict[str, Any]:
    """`licences`, `tiers` and `languages` of shards; `attributions` holds a line for a source that asks for one.

    Reads the columns source, licence, licence_id, language and token_count. Beyond MAX_SOURCES rows, sources without an
    attribution are summed by licence, so that a manifest of the whole web can still be read.
    """
    sources: Counter[tuple[str, str]] = Counter()
    tokens: Counter[tuple[str, str]] = Counter()
    languages: Counter[str] = Counter()
    tiers: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for table in tables:
        grouped = table.group_by(["source", "licence", "licence_id"])
        for row in grouped.aggregate([("token_count", "sum"), ([], "count_all")]).to_pylist():
            key = row["source"], row["licence_id"] or row["licence"]
            sources[key] += row["count_all"]
            tokens[key] += row["token_count_sum"]
            tiers[tier(row["licence_id"])].update(rows=row["count_all"], tokens=row["token_count_sum"])
        for row in table.group_by("language").aggregate([([], "count_all")]).to_pylist():
            languages[row["language"]] += row["count_all"]
    ranked = sorted(sources, key=lambda key: (-tokens[key], key))
    named = {key for key in ranked if (attributions or {}).get(key[0])} | set(ranked[:MAX_SOURCES])
    rest: Counter[str] = Counter(licence for source, licence in ranked if (source, licence) not in named)
    rows = [(key, sources[key], tokens[key]) for key in ranked if key in named]
    for licence, count in sorted(rest.items()):
        left = [key for key in ranked if key not in named and key[1] == licence]
        key = f"({count} more sources)", licence
        rows.append((key, sum(sources[k] for k in left), sum(tokens[k] for k in left)))
    return {
        "licences": [
            {"source": source, "licence": licence, "rows": num_rows, "tokens": num_tokens}
            | {"attribution": (attributions or {}).get(source, "")}
            for (source, licence), num_rows, num_tokens in rows
        ],
        "tiers": {str(number): dict(tiers[number]) for number in sorted(tiers)},
        "languages": dict(sorted(languages.items(), key=lambda pair: (-pair[1], pair[0]))),
    }


def _split(files: Sequence[Mapping[str, Any]], split: str) -> dict[str, Any]:
    data = [file for file in files if file["split"] == split and file["role"] == "data"]
    return {
        "files": [file["path"] for file in data],
        **{key: sum(file[key] for file in data) for key in ("rows", "tokens", "bytes")},
    }


def _phases(phases: Sequence[PhaseDraw], files: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each with its files: no file is of two, and their rows add up to the phase's."""
    left = [file for file in files if file["split"] == "train" and file["role"] == "data"]
    found = []
    for phase in phases:
        mine, rows = [], 0
        while rows < phase.rows:
            mine.append(left[0]["path"])
            rows += left.pop(0)["rows"]
        values = asdict(phase)
        weights = {name: list(values[name]) for name in ("weights_requested", "weights")}
        found.append({**values, **weights, "files": mine})
    return found


def _clusters(selection: SelectionReport, names: Mapping[int, str]) -> list[dict[str, Any]]:
    rows = []
    for draw in selection.clusters:
        values = asdict(draw)
        rows.append({"id": values.pop("cluster"), "name": names.get(draw.cluster, ""), **values})
    return rows
