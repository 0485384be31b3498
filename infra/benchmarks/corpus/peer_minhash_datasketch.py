"""datasketch's bulk MinHash of word 5-grams, 14 x 8 functions: `peer_minhash_datasketch.py PARQUET PAGES STEP HASH`.

`sha1` is datasketch's own hash function, `xxhash` the fastest that its users give it.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import xxhash
from bench import timed
from datasketch import MinHash

WARM_UP = 20
NGRAM = 5
WORD = re.compile(r"\w+")


def shingles(text: str) -> list[bytes]:
    words = WORD.findall(text.lower())
    return list({" ".join(words[i : i + NGRAM]).encode() for i in range(max(1, len(words) - NGRAM + 1))})


def sketches(texts: list[str], options: dict[str, object]) -> Iterator[MinHash]:
    return MinHash.generator(map(shingles, texts), num_perm=14 * 8, **options)


def main(path: Path, pages: int, step: int, name: str) -> None:
    texts = pq.read_table(path, columns=["text"])["text"][:pages].to_pylist()[::step]
    options: dict[str, object] = {"hashfunc": xxhash.xxh32_intdigest} if name == "xxhash" else {}
    list(sketches(texts[:WARM_UP], options))
    timed(lambda: sum(1 for _ in sketches(texts, options)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
