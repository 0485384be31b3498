"""Does the search say "beats" where there is nothing to gain? Real trainings of tiny proxies, no planted losses.

    python infra/benchmarks/honesty.py [--flat 20] [--quick]

Documents are sentences of five made-up languages, each with words and habits of its own. Three corpora:

    topics     a cluster is a language, the target is one of them: the search must gain over `natural`
    shuffled   the same with its labels dealt out again, so that sizes stay: the gain must vanish
    flat       documents dealt at random into equal clusters, the target is all languages: nothing to gain

`flat` and `shuffled` are repeated with other documents and seeds. Of all their comparisons together, each of
which is right with 95 % for all its verdicts, one in forty may say "beats". Writes honesty.json beside this file.
"""

import argparse
import json
import os
import platform
import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from mixer.comparison import Comparison, compare
from mixer.proxies.data import Evaluation
from mixer.proxies.trainer import ProcessTrainer
from mixer.runs import loss_on
from mixer.search import MixtureSearch
from mixer.strategy import Target
from pipelines.search_settings import Proxy, Search
from pipelines.token_pools import PoolBatch, write_pool
from pipelines.tokens import encode, load_tokenizer, train_bpe

HERE = Path(__file__).parent
LANGUAGES = 5
WANTED = (1,)  # languages of the narrow target
DOCUMENTS = 12_000  # one sentence each, 14 tokens: short, so that clusters dealt at random hardly differ
HELD_OUT = 640  # documents of each half of the target
COMMON = ("ka", "lo", "mi", "sen", "tor", "vu", "ras", "eli", "pona", "duk")
LETTERS = "bcdfghjklmnprstvwxz"
PROXY = Proxy(layers=1, width=32, heads=2, sequence=64, warmup=0.2)  # 0.05 leaves some runs on a plateau
VOCABULARY = 512
SEARCH = Search(
    rounds=(8, 4),
    tokens=20_000,
    candidates=5000,
    final_seeds=4,
    final_mixtures=("natural", "uniform", "nearest"),
)


@dataclass(frozen=True)
class Corpus:
    """Token ids of documents with the cluster of each, and the target's two halves."""

    documents: list[np.ndarray]
    num_bytes: list[int]
    clusters: np.ndarray
    target: dict[str, Evaluation]
    nearest: list[float]  # documents of the target's search half in each cluster

    def relabelled(self, clusters: np.ndarray) -> "Corpus":
        """The same documents in other clusters; the target's documents fall by the clusters' sizes."""
        nearest = np.bincount(clusters, minlength=LANGUAGES).astype(float)
        return Corpus(self.documents, self.num_bytes, clusters, self.target, nearest.tolist())


# ---------------------------------------------------------------------------------------------------------
# Texts


class Language:
    """Words that no other language has, each with three that like to follow it."""

    def __init__(self, number: int, chance: random.Random) -> None:
        onsets, vowels = chance.sample(LETTERS, 6), chance.sample("aeiou", 3)
        syllables = [onset + vowel for onset in onsets for vowel in vowels]
        pairs = chance.sample([first + second for first in syllables for second in syllables], 120)
        self.words = [pair + "aeiou"[number] for pair in pairs]
        self.weights = [1 / (rank + 3) for rank in range(len(self.words))]
        self.follow = {word: chance.sample(self.words, 3) for word in self.words}

    def document(self, chance: random.Random) -> str:
        word = self._any(chance)
        said = [word]
        for _ in range(chance.randint(3, 8)):
            if chance.random() < 0.25:
                said.append(chance.choice(COMMON))
            word = chance.choice(self.follow[word]) if chance.random() < 0.7 else self._any(chance)
            said.append(word)
        return " ".join(said).capitalize() + "."

    def _any(self, chance: random.Random) -> str:
        return chance.choices(self.words, self.weights)[0]


def topics(seed: int, wanted: Sequence[int] = WANTED) -> Corpus:
    """Every cluster a language, the largest twice the smallest; the target a few languages, each alike."""
    chance = random.Random(seed)
    languages = [Language(number, chance) for number in range(LANGUAGES)]
    sizes = np.linspace(1, 2, LANGUAGES)[[2, 0, 4, 1, 3]]
    clusters = np.repeat(np.arange(LANGUAGES), np.round(sizes / sizes.sum() * DOCUMENTS).astype(int))
    texts = [languages[number].document(chance) for number in clusters]
    held = {
        split: [languages[number].document(chance) for number in wanted for _ in range(HELD_OUT // len(wanted))]
        for split in ("search", "final")
    }
    tokenizer = load_tokenizer(train_bpe(iter(texts[::10]), vocabulary=VOCABULARY))
    target = {
        split: Evaluation(np.asarray(encode(tokenizer, mine).flatten()), sum(map(len, mine)))
        for split, mine in held.items()
    }
    documents = [np.asarray(row.values) for row in encode(tokenizer, texts)]
    nearest = [float(number in wanted) for number in range(LANGUAGES)]
    return Corpus(documents, [len(text) for text in texts], clusters, target, nearest)


def shuffled(corpus: Corpus, seed: int) -> Corpus:
    """The labels dealt out again: every cluster keeps its number of documents."""
    return corpus.relabelled(np.random.default_rng(seed).permutation(corpus.clusters))


def flat(seed: int) -> Corpus:
    """Documents dealt at random into clusters of equal size, and a target of all languages."""
    corpus = topics(seed, range(LANGUAGES))
    return shuffled(corpus.relabelled(np.arange(len(corpus.documents)) % LANGUAGES), seed)


# ---------------------------------------------------------------------------------------------------------
# Search and comparison


def judged(corpus: Corpus, folder: Path, *, seed: int = 42, settings: Search = SEARCH, workers: int = 0) -> Comparison:
    """A whole search on the corpus, its mixture against the rules, on the half that the search did not see."""
    batch = PoolBatch(
        tokens=pa.array(corpus.documents, pa.list_(pa.uint16())),
        bucket=corpus.clusters,
        validation=np.zeros(len(corpus.documents), bool),
        num_bytes=np.array(corpus.num_bytes),
    )
    pool = write_pool(folder / "pool", [batch], num_buckets=LANGUAGES, vocabulary=VOCABULARY, tokenizer_digest="made")
    settings = settings.model_copy(update={"seed": seed})
    pools = [pool.tokens(bucket, "train") for bucket in range(LANGUAGES)]
    with ProcessTrainer(pools, corpus.target, vocabulary=VOCABULARY, workers=workers, device="cpu") as trainer:
        found = MixtureSearch(
            folder=folder / "search",
            token_counts=tuple(pool.num_tokens["train"].tolist()),
            target=Target.of_counts(corpus.nearest),
            proxy=PROXY,
            settings=settings,
            data=pool.digest,
            objective=loss_on("search"),
        ).run(trainer)
        others = {name: found.others[name] for name in settings.final_mixtures}
        return compare(
            folder / "comparison",
            {"search": found.schedule, **others},
            proxy=PROXY,
            settings=settings,
            data=pool.digest,
            trainer=trainer,
            objective=loss_on("final"),
        )


def told(name: str, seed: int, found: Comparison) -> dict[str, object]:
    return {
        "corpus": name,
        "seed": seed,
        "noise": found.noise.std,
        "losses": found.losses,
        "verdicts": {
            one.other: {"outcome": one.outcome, "difference": one.difference, "interval": one.interval}
            for one in found.verdicts
        },
    }


def summary(rows: Sequence[dict[str, object]]) -> dict[str, object]:
    """How often a comparison says something of corpora where there is nothing to say."""
    outcomes = [Counter(one["outcome"] for one in row["verdicts"].values()) for row in rows]  # type: ignore[attr-defined]
    return {
        "comparisons": len(rows),
        "with_beats": sum(found["beats"] > 0 for found in outcomes),
        "with_worse": sum(found["worse"] > 0 for found in outcomes),
        "verdicts": dict(sum(outcomes, Counter())),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--flat", type=int, default=20, help="repetitions of the two corpora without a gain, together")
    parser.add_argument("--quick", action="store_true", help="two repetitions, and no file written")
    arguments = parser.parse_args()
    num_flat = 2 if arguments.quick else arguments.flat
    plan = [("topics", seed) for seed in range(1 if arguments.quick else 3)]
    plan += [(("flat", "shuffled")[seed % 2], seed) for seed in range(num_flat)]
    rows, started = [], time.monotonic()
    for name, seed in plan:
        corpus = flat(seed) if name == "flat" else topics(seed)
        if name == "shuffled":
            corpus = shuffled(corpus, seed)
        with tempfile.TemporaryDirectory(prefix="sirdar-") as folder:
            found = judged(corpus, Path(folder), seed=42 + seed)
        rows.append(told(name, seed, found))
        print(f"{name} {seed}\n{found.text}", flush=True)
    without = [row for row in rows if row["corpus"] != "topics"]
    about = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "seconds": round(time.monotonic() - started),
        "proxy": PROXY.model_dump(mode="json"),
        "search": SEARCH.model_dump(mode="json"),
        "without_gain": summary(without),
        "with_gain": summary([row for row in rows if row["corpus"] == "topics"]),
        "runs": rows,
    }
    print(json.dumps({key: about[key] for key in ("without_gain", "with_gain", "seconds")}, indent=1))
    if not arguments.quick:
        (HERE / "honesty.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
