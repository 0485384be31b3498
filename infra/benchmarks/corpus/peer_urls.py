"""The same addresses through datatrove's URLFilter: `peer_urls.py URLS LISTS DECISIONS`."""

import sys
import time
from pathlib import Path

from bench import timed
from datatrove.data import Document
from datatrove.pipeline.filters import URLFilter
from tldextract import TLDExtract

NAMES = {"domain": "domain", "subdomain": "domain", "url": "url", "hard_blacklisted": "hard",
         "soft_blacklisted": "soft", "blacklisted_subword": "subword"}  # fmt: skip


def main() -> None:
    documents = [
        Document(text="x", id="0", metadata={"url": url})
        for url in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    ]
    folder = Path(sys.argv[2])
    domains, urls, hard, soft, sub = (
        (folder / f"{kind}.txt").read_text(encoding="utf-8").splitlines()
        for kind in ("domains", "urls", "hard_words", "soft_words", "subwords")
    )
    began = time.perf_counter()
    asked = URLFilter(
        extra_domains=domains, extra_urls=urls, banned_words=hard, soft_banned_words=soft, banned_subwords=sub,
        use_integrated_lists=False,
    )  # fmt: skip
    asked.tldextractor = TLDExtract(suffix_list_urls=())  # its own snapshot, without asking the network
    load_seconds = time.perf_counter() - began

    def decided(document: Document) -> str:
        verdict = asked.filter(document)
        return "" if verdict is True else NAMES[verdict[1]]

    Path(sys.argv[3]).write_text("\n".join(map(decided, documents)), encoding="utf-8")
    timed(
        lambda: sum(asked.filter(document) is not None for _ in range(5) for document in documents),
        load_seconds=load_seconds,
    )


if __name__ == "__main__":
    main()
