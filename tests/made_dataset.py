"""Whole small datasets for the tests of shards, card and verify, made as the export makes them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mixer.export import manifest as manifests
from mixer.export.card import card
from mixer.export.manifest import Manifest
from mixer.export.selection import SelectionReport, select
from mixer.export.shards import COLUMNS, Layout, ShardFile, hex_ids, local_put, plan_shards, write_shard

WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu")


def documents(num: int, *, clusters: int = 3, name: str = "d") -> pa.Table:
    """Documents of 5 to 60 words, with every column; no two texts are equal."""
    random = np.random.default_rng(num)
    texts = [f"{name} {k}: " + " ".join(random.choice(WORDS, 5 + k % 56)) + " ." for k in range(num)]
    ids = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
    values = {
        "id": hex_ids(pa.array(ids, pa.binary(16))),
        "text": texts,
        "token_count": [len(text.split()) for text in texts],
        "cluster_id": [k % clusters for k in range(num)],
        "url": [f"http://{name}.example/{k}" for k in range(num)],
        "source": [f"{name}{k % 2}.example" for k in range(num)],
        "licence": ["CC BY-SA 4.0" if k % 2 else "" for k in range(num)],
        "licence_id": ["CC-BY-SA-4.0" if k % 2 else "" for k in range(num)],
        "language": ["en" if k % 3 else "fr" for k in range(num)],
    }
    return pa.table(values, schema=COLUMNS)


def raw_ids(table: pa.Table) -> np.ndarray:
    return np.frombuffer(bytes.fromhex("".join(table["id"].to_pylist())), dtype=np.uint8).reshape(-1, 16)


def make(
    folder: Path,
    layout: Layout,
    *,
    num: int = 600,
    weights: Sequence[float] = (0.6, 0.3, 0.1),
    budget: int = 0,
    max_epochs: float = 2.0,
    shard_size: int = 20_000,
    train: pa.Table | None = None,
    validation: pa.Table | None = None,
    **said: Any,
) -> Manifest:
    """A dataset in the folder, and its manifest; `said` goes into the manifest."""
    train = documents(num, clusters=len(weights)) if train is None else train
    validation = documents(30, clusters=len(weights), name="v") if validation is None else validation
    selection = select(
        raw_ids(train),
        train["cluster_id"].to_numpy(),
        train["token_count"].to_numpy(),
        weights,
        budget=budget,
        max_epochs=max_epochs,
        seed=7,
    )
    files = _written(folder, layout, train.take(pa.array(selection.rows)), validation, shard_size)
    return finished(folder, layout, files, selection.report, **said)


def finished(folder: Path, layout: Layout, files: list[ShardFile], report: SelectionReport, **said: Any) -> Manifest:
    manifest = manifests.build(name="mix", version="v1", layout=layout, files=files, selection=report, **said)
    store(folder, manifest)
    return manifest


def store(folder: Path, manifest: Manifest) -> None:
    put = local_put(folder)
    put(manifests.NAME, memoryview(manifests.written(manifest)))
    put(manifests.CARD, memoryview(card(manifest).encode()))


def _written(folder: Path, layout: Layout, train: pa.Table, validation: pa.Table, shard_size: int) -> list[ShardFile]:
    files: list[ShardFile] = []
    num_before = 0
    for split, table in (("train", train), ("validation", validation)):
        sizes = np.array([len(text) for text in table["text"].to_pylist()], dtype=np.int64)
        plan = plan_shards(layout, split, sizes, table["cluster_id"].to_numpy(), shard_size, num_before=num_before)
        num_before = len(plan.names)
        for shard, name in enumerate(plan.names):
            rows = table.take(pa.array(np.flatnonzero(plan.shards == shard)))
            files += write_shard(folder, name, split, rows, layout)
    return files
