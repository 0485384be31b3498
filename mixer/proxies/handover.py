"""What a user's own trainer is given: token pools, held-out texts, tasks and the tokeniser, as files of plain formats.

    context.json      the object below; each trial brings the same one as its `context`
    tokenizer.json    for the `tokenizers` library
    evaluations/      ids of the held-out texts, one .npy (uint16 or uint32) for each group of each target
    tasks/            the items of each task, one JSON object a line

    {"split": "search",                       or "final": the texts of the last comparison
     "objective": ["search/maths"],           the losses that an answer must have
     "dtype": "<u2", "vocabulary": 32000, "end_of_text": 0, "tokenizer": "/.../tokenizer.json",
     "pools": [{"name": "stars", "train": "/.../bucket-000.train.bin", "train_tokens": 91022,
                "validation": "/.../bucket-000.validation.bin", "validation_tokens": 1803}, ...],
     "evaluations": {"search/maths": [{"group": "", "path": "/.../0-0.npy", "tokens": 5120, "num_bytes": 20010}]},
     "tasks": {"search/arc": {"metric": "accuracy", "path": "/.../0.jsonl", "items": 299}},
     "checkpoints": "/.../checkpoints"}       a folder to keep unfinished trainings in, by the trial's `key`

Pools are in the order of a trial's weights: flat files of ids of type `dtype`, documents one after the other, each
ending in `end_of_text`; np.memmap(path, dtype) reads one, but an empty one. The loss of an evaluation of several
groups is the mean of theirs. An item is a question with its choices, the place of the right one, and of each choice
the ids of its context and of its answer, and the answer's length in characters and bytes:

    {"id": "Mercury_7", "right": 2, "choices": [{"context": [5, 9], "answer": [7], "chars": 4, "num_bytes": 4}, ...]}

A task is answered like a text, by means over the right answers (nats per token, bits per byte), with `accuracy` or
`accuracy_norm` beside them where that is its metric; choices.py says how ours are counted. What of a trial's
`proxy` a trainer of other models follows is its own choice.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mixer.journal import write_whole
from mixer.proxies.data import Evaluation
from pipelines.token_pools import Pool
from pipelines.tokens import load_tokenizer


def write_context(
    folder: Path,
    *,
    split: str,
    objective: tuple[str, ...],
    pool: Pool,
    names: list[str],
    tokenizer: bytes,
    evaluations: Mapping[str, tuple[tuple[str, Evaluation], ...]],
    tasks: Mapping[str, tuple[str, pa.Table]],
) -> dict[str, Any]:
    """Write the folder, which may be there already; the object that trials bring.

    evaluations: (group, ids) by name; tasks: (metric, rows of the schema of pipelines/tasks.py) by name.
    """
    write_whole(folder / "tokenizer.json", tokenizer)
    told: dict[str, list[dict[str, Any]]] = {}
    for number, (name, groups) in enumerate(evaluations.items()):
        told[name] = []
        for index, (group, evaluation) in enumerate(groups):
            path = folder / "evaluations" / f"{number}-{index}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, np.asarray(evaluation.tokens).astype(pool.dtype))
            told[name].append(
                {
                    "group": group,
                    "path": str(path.absolute()),
                    "tokens": len(evaluation.tokens),
                    "num_bytes": evaluation.num_bytes,
                }
            )
    context = {
        "split": split,
        "objective": list(objective),
        "dtype": pool.dtype.str,
        "vocabulary": pool.vocabulary,
        "end_of_text": load_tokenizer(tokenizer).end_of_text,
        "tokenizer": str((folder / "tokenizer.json").absolute()),
        "pools": [_pool(pool, bucket, name) for bucket, name in enumerate(names)],
        "evaluations": told,
        "tasks": {
            name: _task(folder / "tasks" / f"{number}.jsonl", metric, rows)
            for number, (name, (metric, rows)) in enumerate(tasks.items())
        },
        "checkpoints": str((folder.parent / "checkpoints").absolute()),
    }
    write_whole(folder / "context.json", json.dumps(context, indent=1).encode() + b"\n")
    return context


def _task(path: Path, metric: str, rows: pa.Table) -> dict[str, Any]:
    """Write a task's items; what is told of them."""
    items: dict[int, dict[str, Any]] = {}
    for row in rows.to_pylist():
        item = items.setdefault(row["number"], {"id": row["item"], "right": 0, "choices": []})
        if row["right"]:
            item["right"] = len(item["choices"])
        item["choices"].append({name: row[name] for name in ("context", "answer", "chars", "num_bytes")})
    write_whole(path, "".join(json.dumps(item) + "\n" for item in items.values()).encode())
    return {"metric": metric, "path": str(path.absolute()), "items": len(items)}


def _pool(pool: Pool, bucket: int, name: str) -> dict[str, Any]:
    files: dict[str, Any] = {"name": name}
    for split in ("train", "validation"):
        files[split] = str(pool.path(bucket, split).absolute())
        files[f"{split}_tokens"] = int(pool.num_tokens[split][bucket])
    return files
