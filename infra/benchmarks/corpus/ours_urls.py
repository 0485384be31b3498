"""Addresses against block lists: `ours_urls.py URLS LISTS DECISIONS`; LISTS is a folder, decisions go to a file."""

import sys
from pathlib import Path

import pyarrow as pa
from bench import timed

from pipelines.reading.block_lists import load, url_reasons
from pipelines.settings import Urls

NAMES = {"url_domain": "domain", "url_exact": "url", "url_hard_word": "hard", "url_soft_words": "soft",
         "url_subword": "subword", None: ""}  # fmt: skip


def main() -> None:
    urls = pa.array(Path(sys.argv[1]).read_text(encoding="utf-8").splitlines())
    folder = Path(sys.argv[2])
    lists = load(
        Urls(
            **{
                kind: (str(folder / f"{kind}.txt"),)
                for kind in ("domains", "urls", "hard_words", "soft_words", "subwords")
            }
        )
    )
    decisions = url_reasons(urls, lists).to_pylist()
    Path(sys.argv[3]).write_text("\n".join(NAMES[reason] for reason in decisions), encoding="utf-8")
    timed(lambda: sum(len(url_reasons(urls, lists)) for _ in range(5)), entries=len(lists.hosts))


if __name__ == "__main__":
    main()
