"""How fast proxies train on one core, and which batch size and learning rate suit a budget of 200,000 tokens.

    python infra/benchmarks/proxies.py [--data ../shared/data] [--quick]

Texts are English encyclopedia leads, or the documentation of the standard library where there is no such folder.
Prints tokens a CPU second by batch size, then the held-out loss of the default proxy by batch size and learning
rate, several trainings at a time, one thread each. Writes proxies.json beside this file, unless --quick.
"""

import argparse
import gzip
import inspect
import json
import os
import platform
import pydoc
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from mixer.data import Evaluation
from mixer.model import num_parameters
from mixer.train import train
from mixer.trainer import ProcessTrainer
from mixer.trial import Result, Schedule, Trial
from pipelines.settings import Proxy
from pipelines.tokens import encode, load_tokenizer, train_bpe

HERE = Path(__file__).parent
VOCABULARY = 2048
TOKENS = 200_000
TEXT_BYTES = 3_000_000  # so that no token is trained on twice
SPEED_BATCHES = (1, 2, 4, 8, 16, 32)
SPEED_TOKENS = 50_000
GRID = [(batch, rate) for batch in (2, 4, 8, 16) for rate in (4e-3, 8e-3, 1.6e-2)]
SEEDS = (1, 2)
CLOSE = 0.03  # nats, of means over the seeds


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


def losses(pool: np.ndarray, target: Evaluation, num_tokens: int) -> list[dict[str, float]]:
    """Held-out nats by batch size and learning rate."""
    trials = {
        trial(Proxy(batch=batch, learning_rate=rate), num_tokens, seed).key: (batch, rate, seed)
        for batch, rate in GRID
        for seed in SEEDS
    }
    rows: list[dict[str, float]] = []

    def landed(result: Result) -> None:
        batch, rate, seed = trials[result.key]
        loss = result.losses["target"].nats if not result.failed else float("nan")
        rows.append({"batch": batch, "learning_rate": rate, "seed": seed, "nats": round(loss, 4)})
        print(f"batch {batch:3}  rate {rate:<6g}  {loss:.4f} nats", flush=True)

    with ProcessTrainer([pool], {"target": target}, vocabulary=VOCABULARY, device="cpu") as trainer:
        asked = [
            trial(Proxy(batch=batch, learning_rate=rate), num_tokens, seed) for batch, rate, seed in trials.values()
        ]
        trainer.train(asked, landed)
    return sorted(rows, key=lambda row: (row["batch"], row["learning_rate"], row["seed"]))


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
    rows = losses(pool, target, TOKENS // shrink)
    means = {
        pair: float(np.mean([row["nats"] for row in rows if (row["batch"], row["learning_rate"]) == pair]))
        for pair in GRID
    }
    best = min(GRID, key=lambda pair: means[pair])
    defaults = Proxy()
    behind = means[defaults.batch, defaults.learning_rate] - means[best]
    print(f"best: batch {best[0]}, rate {best[1]:g}, {means[best]:.4f} nats; the defaults are {behind:.4f} behind")
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
            "losses": rows,
            "best": {"batch": best[0], "learning_rate": best[1], "nats": round(means[best], 4)},
            "default_behind_best_nats": round(behind, 4),
            "default_is_close": behind <= CLOSE,
        }
        (HERE / "proxies.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
