"""Reading crawl files against the bare loop of the libraries it is made of, and block lists against datatrove's."""

import random
import sys
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pyarrow.parquet as pq
from bench import Bench, Row

from pipelines.reading.warc import read_warc

RESPONSES = 2000
TRAFILATURA_RESPONSES = 250  # a page takes 40 ms
LISTED = 2_000_000
ALLOWED = 1 / 1.15  # at most 15 % slower a page


def measure(bench: Bench) -> Iterator[Row]:
    first, whole = beginning(bench, int(RESPONSES * bench.scale)), bench.data / "warc" / "part-00.warc.gz"
    for name, path in (("first_2000", first), ("whole_file", whole)):
        for charset in ("detected", "declared"):
            yield reading(bench, f"ingest_overhead.{name}.{charset}", path, "resiliparse", charset, ALLOWED)
    few = beginning(bench, int(TRAFILATURA_RESPONSES * bench.scale))
    yield reading(bench, "ingest_overhead.trafilatura", few, "trafilatura", "detected", 0.9)
    yield urls(bench)


def reading(bench: Bench, name: str, path: Path, extractor: str, charset: str, must: float) -> Row:
    warm = beginning(bench, 20)
    pairs = bench.in_turn(
        lambda: bench.run(sys.executable, "ours_reading.py", path, warm, extractor),
        lambda: bench.run(sys.executable, "peer_bare_reading.py", path, warm, extractor, charset),
    )
    return pairs.row(name, "pages/s", must, peer="bare loop of fastwarc and the extractor", charset=charset)


def beginning(bench: Bench, responses: int) -> Path:
    """The first crawl file up to and with its n-th response."""
    path = bench.work / f"first-{responses}.warc.gz"
    if not path.exists():
        data = (bench.data / "warc" / "part-00.warc.gz").read_bytes()
        count = end = 0
        for item in read_warc(BytesIO(data), size=len(data), compressed=True, max_record_bytes=64 << 20):
            count += getattr(item, "record_type", "") == "response"
            end = item.next_offset
            if count >= responses:
                break
        path.write_bytes(data[:end])
    return path


def urls(bench: Bench) -> Row:
    """Real addresses of the crawl and made ones, a third of them listed, against LISTED hosts."""
    folder = bench.work / "urls"
    folder.mkdir(parents=True, exist_ok=True)
    write_lists(folder, int(LISTED * bench.scale))
    (folder / "asked.txt").write_text("\n".join(addresses(bench)), encoding="utf-8")
    places = [folder / name for name in ("asked.txt", ".", "ours.txt", "peer.txt")]
    pairs = bench.in_turn(
        lambda: bench.run(sys.executable, "ours_urls.py", places[0], places[1], places[2]),
        lambda: bench.run(bench.peer("datatrove"), "peer_urls.py", places[0], places[1], places[3]),
    )
    asked, ours, peer = (place.read_text(encoding="utf-8").split("\n") for place in (places[0], places[2], places[3]))
    pairs_of = Counter(f"ours {a or 'kept'}, peer {b or 'kept'}" for a, b in zip(ours, peer, strict=True) if a != b)
    examples: dict[str, str] = {}
    for url, a, b in zip(asked, ours, peer, strict=True):
        if a != b:
            examples.setdefault(f"ours {a or 'kept'}, peer {b or 'kept'}", url)
    agree = sum(a == b for a, b in zip(ours, peer, strict=True)) / len(ours)
    notes = {"entries": LISTED, "agree": agree, "differences": dict(pairs_of), "examples": examples}
    return pairs.row("urls.block_lists", "urls/s", 1.0, **notes)


def write_lists(folder: Path, count: int) -> None:
    draw = random.Random(1)
    ends = ("com", "net", "org", "de", "co.uk", "example")
    hosts = [f"{draw.choice(('', 'www.', 'm.'))}h{number}.{ends[number % len(ends)]}" for number in range(count)]
    (folder / "domains.txt").write_text("\n".join(hosts), encoding="utf-8")
    (folder / "urls.txt").write_text("\n".join(f"http://u{n}.example/page" for n in range(1000)), encoding="utf-8")
    words = {"hard_words": "casino poker", "soft_words": "hot girl teen free", "subwords": "viagra slotmachine"}
    for kind, listed in words.items():
        (folder / f"{kind}.txt").write_text(listed.replace(" ", "\n"), encoding="utf-8")


def addresses(bench: Bench) -> list[str]:
    draw = random.Random(2)
    real = pq.read_table(bench.data / "warc" / "labels.parquet", columns=["url"])["url"].to_pylist()
    forms = (
        "http://{host}/", "https://{host}/a/b?c=d", "http://sub.{host}/", "http://{upper}/x", "http://{host}:8080/",
        "http://{host}./", "http://ok.org/?u={host}", "http://user@{host}/", "http://ok.org/casino", "http://ok.org/CASINO",
        "http://ok.org/hot-teen", "http://ok.org/Hot/Teen", "http://ok.org/c%61sino", "http://ok.org/via-gra",
        "http://u7.example/page", "http://u7.example/page#top", "https://www.u7.example:443/page", "http://ok.org/pokers",
    )  # fmt: skip
    made = []
    for _ in range(len(real) // 2):
        number = draw.randrange(LISTED * 2)
        host = f"h{number}.{('com', 'net', 'org', 'de', 'co.uk', 'example')[number % 6]}"
        made.append(draw.choice(forms).format(host=host, upper=host.upper()))
    return [url for url in real if url] + made
