"""The mixture for a narrow scientific target, judged by this project's trainer and by a plain one.

The target is English documentation of astronomy, data science and mathematics that is not in the crawl files:
a subject that a third of the crawl's English pages are about and that the preset's quality rules thin out most,
so that the crawl's own shares are a poor mixture for it, and no single cluster is the answer.
"""

import gzip
import hashlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from mixer import lineage as mixing
from mixer.comparison import judged
from mixer.export.dataset import write_dataset
from mixer.stages import read_comparison, read_mixture
from pipelines import configuration, lineage
from pipelines.corpus import Corpus
from pipelines.pooling import open_pool, read_evaluations

GROUPS = ("docs_astronomy", "docs_data_science", "docs_mathematics")
PER_GROUP = 100
BESIDE = ("natural", "uniform", "nearest")
FINAL = "final"  # the half of the target that no search saw


def write_target(data: Path, path: Path) -> None:
    """JSONL of the target: of each domain the English documents whose hashed ids come first."""
    lines = []
    for group in GROUPS:
        with gzip.open(data / "domains" / f"{group}.jsonl.gz", "rt", encoding="utf-8") as file:
            rows = [row for row in map(json.loads, file) if row["lang"] == "en"]
        rows.sort(key=lambda row: hashlib.sha1(row["id"].encode()).digest())
        lines += [{"id": row["id"], "text": row["text"], "group": group} for row in rows[:PER_GROUP]]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def found(corpus: Corpus) -> dict[str, Any]:
    """The mixture and the final comparison of the job itself."""
    mixture, compared = read_mixture(corpus), read_comparison(corpus)
    pool = open_pool(corpus)
    _, shares = read_evaluations(corpus)
    counts = [lineage.duplicates(corpus, crawl.name).finished()["counts"] for crawl in corpus.crawls]
    names = ("found", *BESIDE)
    weights = {"found": mixture["weights"], **mixture["others"]}
    return {
        "target": {
            "documents": lineage.targets(corpus).finished()["rows"],
            "groups": list(GROUPS),
            "near_duplicates_removed_from_the_crawl": sum(one["dropped"].get("duplicate_target", 0) for one in counts),
        },
        "train_tokens": int(pool.num_tokens["train"].sum()),
        "clusters": [
            {
                "name": name,
                "tokens": int(pool.num_tokens["train"][row]),
                "target_documents": shares[mixture["objective"]][row],
                **{which: round(weights[which][row], 4) for which in names},
            }
            for row, name in enumerate(mixture["clusters"])
        ],
        "comparison": _renamed(compared),
        "search": {"rounds": list(corpus.settings.search.rounds), "tokens": corpus.settings.search.tokens},
    }


def by_plain_training(corpus: Corpus, script: Path) -> dict[str, Any]:
    """Datasets of the found mixture and of each other, trained on by a script that imports nothing of ours."""
    mixture = read_mixture(corpus)
    weights = {"found": mixture["weights"], **{name: mixture["others"][name] for name in BESIDE}}
    folders = {name: _exported(corpus, mixture, name, mine) for name, mine in weights.items()}
    evaluation = corpus.workspace.local("final.jsonl")
    _write_final(corpus, mixture["objective"], evaluation)
    seeds = read_comparison(corpus)["seeds"]
    # Whole documents fill a dataset to within its largest ones: all are read as far as the smallest goes.
    tokens = min(_manifest(folder)["splits"]["train"]["tokens"] for folder in folders.values())
    commands = {
        name: [*_command(corpus, script, folder, evaluation, seeds), "--tokens", str(tokens)]
        for name, folder in folders.items()
    }
    with ThreadPoolExecutor(max(1, (os.cpu_count() or 1))) as pool:
        told = dict(zip(commands, pool.map(_ran, commands.values()), strict=True))
    result = judged({name: one["losses"] for name, one in told.items()}, seeds=seeds, tokens=tokens)
    return {
        "trainer": "transformers LlamaForCausalLM, fresh; AdamW, cosine schedule; plain_training.py",
        "parameters": told["found"]["parameters"],
        "evaluated_tokens": told["found"]["evaluated_tokens"],
        "datasets": {name: _dataset(folders[name], one) for name, one in told.items()},
        "comparison": result.to_json(),
    }


def _exported(corpus: Corpus, mixture: Mapping[str, Any], name: str, weights: Sequence[float]) -> Path:
    """The job's own dataset for the found mixture; one more, of its own name, for every other."""
    if name == "found":
        return Path(corpus.workspace.path(*mixing.dataset(corpus).steps))
    plain = configuration.dumped(corpus.settings)
    named = replace(
        corpus, settings=configuration.validated({**plain, "dataset": {**plain["dataset"], "name": f"mix-{name}"}})
    )
    write_dataset(named, {**mixture, "weights": list(weights)}, None)
    return Path(corpus.workspace.path(*mixing.dataset(named).steps))


def _write_final(corpus: Corpus, target: str, path: Path) -> None:
    stage = lineage.targets(corpus)
    lines = []
    for part in stage.finished()["parts"]:
        table = stage.read(part["part"], ("text", "group", "split", "target"))
        mine = table.filter(pc.and_(pc.equal(table["split"], FINAL), pc.equal(table["target"], target)))
        lines += mine.select(["text", "group"]).to_pylist()
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def _command(corpus: Corpus, script: Path, folder: Path, evaluation: Path, seeds: Sequence[int]) -> list[str]:
    from mixer.proxies.size import hidden_size

    shards = folder / Path(_manifest(folder)["splits"]["train"]["files"][0]).parent
    tokenizer = corpus.workspace.path(*lineage.tokenizer(corpus).steps, "tokenizer.json")
    proxy = corpus.settings.proxy
    sizes = {"layers": proxy.layers, "width": proxy.width, "hidden": hidden_size(proxy), "heads": proxy.heads}
    sizes |= {"sequence": proxy.sequence, "batch": proxy.batch}
    command = [sys.executable, str(script), "--shards", str(shards), "--tokenizer", str(tokenizer)]
    command += ["--evaluation", str(evaluation), "--seeds", *map(str, seeds)]
    return command + [word for name, value in sizes.items() for word in (f"--{name}", str(value))]


def _ran(command: Sequence[str]) -> dict[str, Any]:
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=alone)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _manifest(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "manifest.json").read_text(encoding="utf-8")))


def _dataset(folder: Path, told: Mapping[str, Any]) -> dict[str, Any]:
    manifest = _manifest(folder)
    return {
        "documents": manifest["splits"]["train"]["rows"],
        "tokens": manifest["splits"]["train"]["tokens"],
        "most_epochs": round(max(one["epochs"] for one in manifest["clusters"]), 2),
        "mean": round(statistics.fmean(told["losses"]), 4),
        "seconds": told["seconds"],
    }


def _renamed(compared: Mapping[str, Any]) -> dict[str, Any]:
    """The job calls its own mixture `search`; here it is `found` beside the others."""
    mixtures = {("found" if name == "search" else name): one for name, one in compared["mixtures"].items()}
    return {**compared, "mixtures": mixtures}
