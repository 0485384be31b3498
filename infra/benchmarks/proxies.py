"""How fast proxies train on one core, and which batch size and learning rate suit a budget of 200,000 tokens.

    python infra/benchmarks/proxies.py [--data ../shared/data] [--quick]

Texts are English encyclopedia leads, or the documentation of the standard library where there is no such folder.
Prints tokens a CPU second by batch size, then the held-out loss of the default proxy by batch size and learning
rate, several trainings at a time, one thread each; then what a longer warmup does to runs of half that budget, whose
luck differs most. Writes proxies.json beside this file, unless --quick.
"""

import argparse
import gzip
import inspect
import json
import math
import os
import platform
import pydoc
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from mixer.proxies.data import Evaluation
from mixer.proxies.size import num_parameters
from mixer.proxies.train import train
from mixer.proxies.trainer import ProcessTrainer
from mixer.trial import Result, Schedule, Trial
from pipelines.search_settings import Proxy
from pipelines.tokens import encode, load_tokenizer, train_bpe

HERE = Path(__file__).parent
VOCABULARY = 2048
TOKENS = 200_000
TEXT_BYTES = 3_000_000  # so that no token is trained on twice
SPEED_BATCHES = (1, 2, 4, 8, 16, 32)
SPEED_TOKENS = 50_000
GRID = [(batch, rate) for batch in (2, 4, 8, 16) for rate in (4e-3, 8e-3, 1.6e-2)]
SEEDS = (1, 2)
WARMUPS = (0.05, 0.1, 0.2, 0.3)
WARMUP_SEEDS = (1, 2, 3, 4)

Label = tuple[tuple[str, float], ...]  # what differs from the default proxy


def texts(data: Path) -> tuple[str, list[str]]:
    """(name, documents), about TEXT_BYTES of them."""
    path = data / "domains" / "encyclopedia_en.jsonl.gz"
    if path.exists():
        with gzip.open(path, "rt", encoding="utf-8") as file:
            return "encyclopedia leads", _until(json.loads(line)["text"] for line in file)
    return "standard library documentation", _until(_documentation())


def _documentation() -> Iterator[str]:
    for name in sorted(sys.stdlib_module_names):
        if name.startswith("_") or name in ("antigravity", "this", "idlelib", "lib2to3"):
            continue
        try:
            module = import_module(name)
        except Exception:  # modules of other systems
            continue
        for _, member in sorted(inspect.getmembers(module, callable)):
            if text := pydoc.plain(pydoc.render_doc(member)):
                yield text


def _until(found: Iterator[str]) -> list[str]:
    kept, size = [], 0
    for text in found:
        kept.append(text)
        size += len(text.encode())
        if size > TEXT_BYTES:
            break
    return kept


def tokenised(documents: list[str]) -> tuple[np.ndarray, Evaluation]:
    """(training tokens, one document in twenty held out)."""
    tokenizer = load_tokenizer(train_bpe(iter(documents[:3000]), vocabulary=VOCABULARY))
    held = documents[::20]
    training = [text for number, text in enumerate(documents) if number % 20]
    target = Evaluation(np.asarray(encode(tokenizer, held).flatten()), sum(len(text.encode()) for text in held))
    return np.asarray(encode(tokenizer, training).flatten()), target


def trial(proxy: Proxy, tokens: int, seed: int) -> Trial:
    return Trial(Schedule.static([1.0], tokens), proxy, seed, "benchmark", 0, 0)


def speeds(pool: np.ndarray, num_tokens: int) -> list[dict[str, float]]:
    """Training tokens a CPU second of one thread."""
    rows = []
    for batch in SPEED_BATCHES:
        asked = trial(Proxy(batch=batch), num_tokens, 0)
        train(trial(asked.proxy, 2000, 0), pools=[pool], evaluations={}, vocabulary=VOCABULARY)  # warm
        started = time.process_time()
        train(asked, pools=[pool], evaluations={}, vocabulary=VOCABULARY)
        rows.append({"batch": batch, "tokens_per_cpu_second": round(num_tokens / (time.process_time() - started))})
        print(f"batch {batch:3}  {rows[-1]['tokens_per_cpu_second']:7,} tokens/CPU s", flush=True)
    return rows


def losses(
    trainer: ProcessTrainer, proxies: Mapping[Label, Proxy], num_tokens: int, seeds: Sequence[int]
) -> list[dict[str, Any]]:
    """Held-out nats of each proxy, seed by seed, and their mean and spread."""
    asked = {(label, seed): trial(proxy, num_tokens, seed) for label, proxy in proxies.items() for seed in seeds}
    found: dict[str, float] = {}

    def landed(result: Result) -> None:
        found[result.key] = math.nan if result.failed else result.losses["target"].nats

    trainer.train(list(asked.values()), landed)
    rows = []
    for label in proxies:
        nats = [found[asked[label, seed].key] for seed in seeds]
        rows.append({**dict(label), "nats": nats, "mean": statistics.fmean(nats), "spread": statistics.stdev(nats)})
        named = "  ".join(f"{name} {value:<6g}" for name, value in label)
        print(f"{named}  {rows[-1]['mean']:.4f} +- {rows[-1]['spread']:.4f} nats", flush=True)
    return rows


def commit() -> str:
    """Of the program measured, marked where files differ from it."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=HERE.parents[2] / "shared" / "data")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the tokens, and no file written")
    arguments = parser.parse_args()
    shrink = 20 if arguments.quick else 1
    name, documents = texts(arguments.data)
    pool, target = tokenised(documents)
    print(f"{name}: {len(documents):,} documents, {len(pool):,} training tokens", flush=True)
    started = time.monotonic()
    speed = speeds(pool, SPEED_TOKENS // shrink)
    with ProcessTrainer([pool], {"target": target}, vocabulary=VOCABULARY, device="cpu") as trainer:
        by_rate = {
            (("batch", batch), ("learning_rate", rate)): Proxy(batch=batch, learning_rate=rate) for batch, rate in GRID
        }
        rates = losses(trainer, by_rate, TOKENS // shrink, SEEDS)
        by_warmup = {(("warmup", warmup),): Proxy(warmup=warmup) for warmup in WARMUPS}
        warmups = losses(trainer, by_warmup, TOKENS // 2 // shrink, WARMUP_SEEDS)
    defaults = Proxy()
    best = min(rates, key=lambda row: row["mean"])
    mine = next(
        row for row in rates if (row["batch"], row["learning_rate"]) == (defaults.batch, defaults.learning_rate)
    )
    print(f"batch and rate of the defaults: {mine['mean'] - best['mean']:.4f} nats behind the best")
    if not arguments.quick:
        about = {
            "date": datetime.now(UTC).date().isoformat(),
            "commit": commit(),
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, one thread a training",
            "seconds": round(time.monotonic() - started),
            "texts": name,
            "tokens": TOKENS,
            "vocabulary": VOCABULARY,
            "proxy": defaults.model_dump(mode="json"),
            "parameters": num_parameters(defaults, VOCABULARY),
            "speed": speed,
            "batch_and_rate": rates,
            "warmup_at_half_the_tokens": warmups,
            "defaults_behind_best_nats": mine["mean"] - best["mean"],
        }
        (HERE / "proxies.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
