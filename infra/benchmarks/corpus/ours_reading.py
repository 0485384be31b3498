"""A crawl file to Arrow parts, as the stage `documents` reads it: `ours_reading.py FILE WARM_FILE EXTRACTOR`."""

import sys
from functools import partial
from pathlib import Path

from bench import timed

from pipelines.reading.documents import read_parts
from pipelines.settings import Ingest


def read(path: Path, settings: Ingest) -> int:
    """How many responses and resources were judged; requests and metadata are no pages."""
    pages = 0
    opened = partial(path.open, "rb")
    for part in read_parts(opened, relative=path.name, size=path.stat().st_size, crawl="c", settings=settings):
        other = sum(count for reason, count in part.counts.dropped.items() if reason.startswith("type_"))
        pages += part.counts.read - other
    return pages


if __name__ == "__main__":
    path, warm, settings = Path(sys.argv[1]), Path(sys.argv[2]), Ingest(extractor=sys.argv[3])
    read(warm, settings)
    timed(lambda: read(path, settings))
