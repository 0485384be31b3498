"""A page's own word about its licence: where it may stand, what it is called, and what declares nothing."""

import time

import pyarrow as pa
import pytest

from pipelines.reading.licence_ids import licence_id, tier, tiers
from pipelines.reading.licences import of_link_header, of_page
from pipelines.reading.markup import Markup

CC = "https://creativecommons.org/licenses/by-sa/4.0/"
OTHER = "http://creativecommons.org/licenses/by/3.0/"


def said(page: str) -> str:
    return of_page(Markup(page.encode()))


@pytest.mark.parametrize(
    ("header", "licence"),
    [
        (f'<{CC}>; rel="license"', CC),
        (f'</style.css>; rel=preload; as=style, <{CC}>; title="x"; rel=license', CC),
        (f'<{CC}>; rel="canonical"', ""),
        (f'<{CC}>; rel="license-not"', CC),  # a hyphen ends a word; harmless, since it is still a licence relation
        ("", ""),
        ("nonsense rel=license", ""),
    ],
)
def test_a_link_header_names_the_licence(header: str, licence: str) -> None:
    assert of_link_header(header) == licence


@pytest.mark.parametrize(
    ("page", "licence"),
    [
        (f'<head><link rel="license" href="{CC}"></head>', CC),
        (f"<p>Text is <a href='{CC}' rel='external license'>free</a>", CC),
        (f"<LINK HREF={CC} REL=LICENSE>", CC),
        ('<a rel="license" href="/l?a=1&amp;b=2">', "/l?a=1&b=2"),
        ('<a rel="license">no address</a>', ""),
        (f'<a rel="license" href="{"x" * 400}">', ""),
        (f'<a title="1 > 0" rel="license" href="{CC}">x</a>', CC),
        (f'<meta name="DCTERMS.license" content="{CC}">', CC),
        (f'<meta name="dc.rights" content="{CC}">', CC),
        ('<meta name="dc.rights" content="All rights reserved, license on request">', ""),
        (f'<span property="cc:license" resource="{CC}">', CC),
        (f'<script type="application/ld+json">{{"@type": "Article", "license": "{CC}"}}</script>', CC),
        ('<script type="application/ld+json">{"@graph": [{"@type": ["Book"], "license": {"@id": "'
         + CC + '"}}]}</script>', CC),
        (f"<p>This work is licensed under a <a href='{CC}'>Creative Commons licence</a>.", CC),
        ("<footer>Content is licensed under <b>CC BY-SA 4.0</b> unless otherwise noted", "CC-BY-SA-4.0"),
        ("<p>Permission is granted to copy, distribute and/or modify this document under the terms of the\n"
         "<a href=x>GNU Free Documentation License</a>, Version 1.3", "GFDL-1.3"),
    ],
)  # fmt: skip
def test_a_page_names_its_licence(page: str, licence: str) -> None:
    assert said(page) == licence


@pytest.mark.parametrize(
    "page",
    [
        f'<a href="{CC}">our license</a>',  # a bare link
        f'<!-- <link rel="license" href="{CC}"> -->',
        f'<script>write(\'<a rel="license" href="{CC}">\')</script>',
        f'<textarea><a rel="license" href="{CC}"></textarea>',
        f'<pre>&lt;a rel="license" href="{CC}"&gt;</pre>',
        f'<p title="x">rel="license" href="{CC}"</p>',
        f'<script type="application/ld+json">{{"@type": "ImageObject", "license": "{CC}"}}</script>',
        '<script type="application/ld+json">{"@type": "Article", "license": </script>',
        f'<p>This program is licensed under the <a href="{CC}">Creative Commons licence</a>.',
        "<p>Photos on this page are licensed under CC BY 2.0.",
        "<p>This page is not licensed under CC BY 4.0.",
        "<p>If this document is licensed under the GNU Free Documentation License, you may copy it.",
        "<p>The GNU Free Documentation License is a license for manuals.",
        "<pre>Copyright (c) YEAR YOUR NAME. Permission is granted to copy, distribute and/or modify this document "
        "under the terms of the GNU Free Documentation License",
        "<p>This page is licensed under CC BY 4.0.<p>This page is licensed under CC BY-NC 4.0.",  # which one?
        "<h1>License</h1><p>This software comes without warranty.",
    ],
)
def test_what_is_not_clearly_about_the_page_declares_nothing(page: str) -> None:
    assert said(page) == ""


def test_which_of_several_counts() -> None:
    link, meta = f'<link rel=license href="{OTHER}">', f'<meta name="dcterms.license" content="{CC}">'
    text = "<p>This page is licensed under CC BY-NC 4.0."
    assert said(text + meta + link) == OTHER
    assert said(text + meta) == CC
    assert said(link + f'<a rel=license href="{CC}">') == OTHER
    named = said("<p>This page is licensed under CC BY-SA.<p>This work is licensed under CC BY-SA 4.0.")
    assert licence_id(named) == "CC-BY-SA-4.0"  # agree, and one says more


@pytest.mark.parametrize(
    ("declared", "called", "step"),
    [
        (CC, "CC-BY-SA-4.0", 2),
        ("http://creativecommons.org/licenses/by/3.0/de/deed.en", "CC-BY-3.0-DE", 1),
        ("//creativecommons.org/licenses/by/4.0", "CC-BY-4.0", 1),
        ("HTTPS://CreativeCommons.org/Licenses/BY-NC-ND/4.0/LegalCode", "CC-BY-NC-ND-4.0", 3),
        ("http://creativecommons.org/licenses/by-nd-nc/1.0/", "CC-BY-NC-ND-1.0", 3),
        ("https://creativecommons.org/licenses/by-sa/3.0/igo/", "CC-BY-SA-3.0-IGO", 2),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0", 1),
        ("https://creativecommons.org/publicdomain/mark/1.0/deed.fr", "CC-PDM-1.0", 1),
        ("http://creativecommons.org/licenses/sampling+/1.0/", "", 3),
        ("https://creativecommons.org/licenses/by-nd-sa/4.0/", "", 3),  # there is none
        ("https://evil.example/?u=https://creativecommons.org/licenses/by/4.0/", "", 3),
        ("Creative Commons Attribution-ShareAlike 4.0 International License", "CC-BY-SA-4.0", 2),
        ("Creative Commons Attribution Non-Commercial Share Alike 3.0 Unported", "CC-BY-NC-SA-3.0", 3),
        ("Creative Commons Attribution 4.0 International (CC BY 4.0)", "CC-BY-4.0", 1),
        ("Creative Commons Attribution – Pas d'Utilisation Commerciale 4.0", "", 3),  # not understood is not permissive
        ("cc-by-nc 4.0", "CC-BY-NC-4.0", 3),
        ("CC0", "CC0-1.0", 1),
        ("the GNU Free Documentation License, Version 1.3 or any later version", "GFDL-1.3", 2),
        ("http://www.gnu.org/copyleft/fdl.html", "GFDL", 2),
        ("https://www.gnu.org/licenses/gpl-3.0.en.html", "GPL-3.0", 2),
        ("GPL-3.0-or-later", "GPL-3.0-or-later", 2),
        ("https://opensource.org/license/mit/", "MIT", 1),
        ("https://spdx.org/licenses/BSD-3-Clause.html", "BSD-3-Clause", 1),
        ("Apache License, Version 2.0", "Apache-2.0", 1),
        ("http://www.nationalarchives.gov.uk/doc/open-government-licence/version/3/", "OGL-UK-3.0", 1),
        ("Open Government Licence v3.0", "OGL-UK-3.0", 1),
        ("https://www.usa.gov/government-works", "US-Government-Work", 1),
        ("https://opendatacommons.org/licenses/odbl/1-0/", "ODbL-1.0", 2),
        ("All rights reserved", "", 3),
        ("", "", 3),
        ("x" * 10_000, "", 3),
    ],
)
def test_ids_and_tiers(declared: str, called: str, step: int) -> None:
    assert licence_id(declared) == called
    assert tier(declared) == step
    assert called == "" or licence_id(called) == called or called.startswith(("CC-BY-3.0-", "CC-BY-SA-3.0-", "US-"))
    assert tiers(pa.chunked_array([[called, called]])).to_pylist() == [step, step]


def test_hostile_markup_costs_linear_time() -> None:
    started = time.perf_counter()
    for page in (
        "license" + "<a " * 300_000,
        "license" + '<a rel="' + "license " * 100_000,
        "licensed under the creative commons " * 30_000,
        "<!--" * 100_000 + '<a rel="license" href="x">' * 10_000,
        "this page is licensed under" + " the terms of" * 100_000 + " gfdl license",
        '"license"' + '<script type="application/ld+json">' * 50_000,
        '<script type="application/ld+json">{"license":' + "[" * 200_000 + "</script>",
    ):
        said(page)
    licence_id("creative commons attribution" + " -" * 290)
    assert time.perf_counter() - started < 5
