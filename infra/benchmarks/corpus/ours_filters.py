"""Line edits, signals and verdicts of FineWeb's rules on the first N texts: `ours_filters.py TEXTS.parquet N [later]`.

With `later`, the other texts are read before, as by a worker that has done earlier parts of a crawl.
"""

import sys

import pyarrow as pa
import pyarrow.parquet as pq
from bench import timed

from pipelines.edits import c4, spans
from pipelines.quality import rules
from pipelines.quality.signals import signals
from pipelines.settings import Edits, Quality

QUALITY = Quality(languages=(), without=("language_score",))


def filtered(texts: pa.Array) -> pa.Array:
    """The reason to drop each text, null for those that stay."""
    languages = ["en"] * len(texts)
    edited = spans.edited(texts, c4.line_edits(texts, Edits()))
    found = signals(texts, languages, edited).append_column("language", pa.array(languages))
    return rules.verdicts(found, QUALITY)


def main() -> None:
    every, count = pq.read_table(sys.argv[1])["text"].combine_chunks(), int(sys.argv[2])
    texts = every.slice(0, count)
    filtered(every.slice(count) if sys.argv[3:] == ["later"] else texts.slice(0, 20))
    timed(lambda: len(filtered(texts)), bytes=texts.nbytes)


if __name__ == "__main__":
    main()
