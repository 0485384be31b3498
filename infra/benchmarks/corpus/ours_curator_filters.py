"""All signals of NeMo Curator's English heuristics, and verdicts: `ours_curator_filters.py TEXTS.parquet COUNT`."""

import sys

import pyarrow as pa
import pyarrow.parquet as pq
from bench import timed

from pipelines.quality import dialects, rules
from pipelines.settings import Quality

QUALITY = Quality(preset="curator", languages=(), without=("language_score", "empty"))


def filtered(texts: pa.Array) -> pa.Array:
    """The reason to drop each text, null for those that stay."""
    return rules.verdicts(dialects.signals(texts, ["curator"]), QUALITY)


def main() -> None:
    texts = pq.read_table(sys.argv[1])["text"].combine_chunks().slice(0, int(sys.argv[2]))
    filtered(texts.slice(0, 20))
    kept = filtered(texts).null_count
    timed(lambda: len(filtered(texts)), bytes=texts.nbytes, kept=kept)


if __name__ == "__main__":
    main()
