"""NeMo Curator's scores and verdicts, each filter alone: `peer_curator_scores.py TEXTS OUT SHARD SHARDS SEED [NAME]`.

Runs in Curator's own environment. Filters, their limits and their order come from the English pipeline's own file; only
those whose names begin with NAME are asked. A row of OUT holds its number and, for each filter, `NAME` (its score) and
`NAME_kept`: null where the filter raised. SEED is Python's seed for the hashes of strings, on which Curator's choice
among several commonest n-grams depends.
"""

import json
import os
import sys
from importlib import import_module
from pathlib import Path

import nemo_curator
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

PIPELINE = Path(nemo_curator.__file__).parent / "config" / "text" / "heuristic_filter_english_pipeline.yaml"


def filters():
    """Name -> filter, in the order of the pipeline."""
    found = {}
    for stage in yaml.safe_load(PIPELINE.read_text())["stages"]:
        if "filter_obj" in stage:
            values = dict(stage["filter_obj"])
            module, _, name = values.pop("_target_").rpartition(".")
            one = getattr(import_module(module), name)(**values)
            found[one._name] = one
    return found


def judged(one, text):
    """(score, whether it stays); None where the filter divides by zero or the like."""
    try:
        score = one.score_document(text)
    except (ZeroDivisionError, ValueError):
        return None, None
    return float(score), bool(one.keep_document(score))


def main(source, target, shard, shards, only=""):
    chosen = {name: one for name, one in filters().items() if name.startswith(only)}
    texts = pq.read_table(source, columns=["text"])["text"].to_pylist()
    columns = {"row": list(range(shard, len(texts), shards))}
    for name, one in chosen.items():
        columns[name], columns[f"{name}_kept"] = zip(*(judged(one, text) for text in texts[shard::shards]), strict=True)
    types = {"row": pa.int64()} | {f"{name}_kept": pa.bool_() for name in chosen}
    pq.write_table(pa.table({name: pa.array(v, types.get(name, pa.float64())) for name, v in columns.items()}), target)


if __name__ == "__main__":
    source, target, shard, shards, seed, *only = sys.argv[1:]
    if os.environ.get("PYTHONHASHSEED") != seed:
        os.environ["PYTHONHASHSEED"] = seed
        os.execv(sys.executable, [sys.executable, *sys.argv])
    main(source, target, int(shard), int(shards), *only)
    print(json.dumps({"seed": seed}))
