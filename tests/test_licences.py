"""A page's own word about its licence."""

import time

import pytest

from pipelines.reading.licences import of_link_header, of_page

CC = "https://creativecommons.org/licenses/by-sa/4.0/"


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
        (f'<a href="{CC}">our license</a>', ""),
        ('<a rel="license">no address</a>', ""),
        (f'<a rel="license" href="{"x" * 400}">', ""),
    ],
)
def test_a_page_names_its_licence(page: str, licence: str) -> None:
    assert of_page(page) == licence


def test_hostile_markup_costs_linear_time() -> None:
    started = time.perf_counter()
    of_page("license" + "<a " * 300_000)
    of_page("license" + '<a rel="' + "license " * 100_000)
    assert time.perf_counter() - started < 5
