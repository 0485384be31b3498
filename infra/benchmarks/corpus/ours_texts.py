"""Texts that the benchmark's sections share, written once as Parquet: `ours_texts.py DATA FOLDER`.

`warc.parquet`: the pages of warc/part-00, in the order of the file. `mixed.parquet`: every third of them and as many
documents of every domain, of at most MAX_CHARS characters, so that slow peers end.
"""

import gzip
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.reading.documents import read_parts
from pipelines.settings import Ingest

MAX_CHARS = 12_000
PER_DOMAIN = 350


def main(data: Path, folder: Path) -> None:
    pages = warc_texts(data / "warc" / "part-00.warc.gz")
    _write(folder / "warc.parquet", pages)
    _write(folder / "mixed.parquet", [*short(pages)[::2], *domain_texts(data / "domains")])


def warc_texts(path: Path) -> list[str]:
    """The text of every page that is kept, whatever its language."""
    texts: list[str] = []
    size = path.stat().st_size
    for part in read_parts(
        lambda: path.open("rb"), relative=path.name, size=size, crawl="bench", settings=Ingest()
    ):  # fmt: skip
        texts += part.documents["text"].to_pylist()
    return texts


def domain_texts(folder: Path) -> list[str]:
    """Short documents of each domain, spread over its whole file."""
    texts: list[str] = []
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            found = short([json.loads(line)["text"] for line in file])
        texts += found[:: max(1, len(found) // PER_DOMAIN)][:PER_DOMAIN]
    return texts


def short(texts: list[str]) -> list[str]:
    return [text for text in texts if 0 < len(text) <= MAX_CHARS]


def _write(path: Path, texts: list[str]) -> None:
    pq.write_table(pa.table({"text": pa.array(texts, pa.large_string())}), path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
