"""The list of what must not be in a later dataset."""

from pathlib import Path

import pyarrow as pa
import pytest

from pipelines import takedown
from pipelines.errors import InputError
from pipelines.records import ID, document_id
from pipelines.store import Workspace
from pipelines.takedown import Entry

IDS = pa.array([document_id("c", str(number)) for number in range(6)], ID)
URLS = pa.array(
    ["https://www.a.example/p?utm_source=x", "http://b.example/", "http://x.c.example/1", "http://xc.example", "", "no"]
)


def entry(kind: str, value: str, *, date: str = "2026-01-31", reason: str = "asked") -> Entry:
    return Entry(kind, value, date, reason)  # type: ignore[arg-type]


def test_each_kind_takes_out_what_it_names(tmp_path: Path) -> None:
    workspace = Workspace(str(tmp_path))
    assert takedown.read(workspace).matches(IDS, URLS).to_pylist() == [False] * 6
    for kind, value, hit in (
        ("url", "http://A.example:80/p#top", 0),  # another scheme, www., tracking, fragment: the same page
        ("domain", "C.example.", 2),  # and all below it, but not xc.example
        ("id", IDS[5].as_py().hex().upper(), 5),
    ):
        assert takedown.add(workspace, [entry(kind, value)]) == 1
        assert takedown.read(workspace).matches(IDS, URLS)[hit].as_py()
    assert takedown.read(workspace).matches(IDS, URLS).to_pylist() == [True, False, True, False, False, True]
    chunked = pa.chunked_array([IDS[:2], IDS[2:]])
    assert takedown.read(workspace).matches(chunked, URLS).to_pylist() == [True, False, True, False, False, True]


def test_the_list_only_grows_and_its_digest_is_of_what_it_takes_out(tmp_path: Path) -> None:
    one, other = Workspace(str(tmp_path / "1")), Workspace(str(tmp_path / "2"))
    empty = takedown.read(one).digest()
    entries = [entry("domain", "a.example"), entry("url", "http://b.example/x"), entry("domain", "A.example")]
    assert takedown.add(one, entries) == 2
    first = (tmp_path / "1" / "takedown" / "list.jsonl").read_bytes()
    assert takedown.add(one, entries) == 0
    assert takedown.add(one, [entry("domain", "z.example")]) == 1
    assert (tmp_path / "1" / "takedown" / "list.jsonl").read_bytes().startswith(first)
    for value in ("z.example", "a.example"):
        takedown.add(other, [entry("domain", value, date="2025-12-01", reason="other words")])
    takedown.add(other, [entry("url", "https://www.b.example/x#y")])
    assert takedown.read(one).digest() == takedown.read(other).digest() != empty
    assert len(takedown.read(one)) == 3


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (entry("page", "http://a.example/"), "choose one of url, domain, id"),
        (entry("url", "a.example/x"), "no whole address"),
        (entry("domain", "http://a.example"), "no host name"),
        (entry("domain", "example"), "no host name"),
        (entry("id", "abc"), "32 hexadecimal digits"),
        (entry("id", "g" * 32), "32 hexadecimal digits"),
        (entry("url", "http://a.example/", date="soon"), "is not like 2026-01-31"),
        (entry("url", "http://a.example/", reason=" "), "give a reason"),
    ],
)
def test_an_entry_that_could_match_nothing_is_refused(tmp_path: Path, bad: Entry, told: str) -> None:
    workspace = Workspace(str(tmp_path))
    with pytest.raises(InputError, match=told):
        takedown.add(workspace, [entry("domain", "fine.example"), bad])
    assert len(takedown.read(workspace)) == 0


def test_addresses_without_a_scheme_are_found(tmp_path: Path) -> None:
    workspace = Workspace(str(tmp_path))
    takedown.add(workspace, [entry("domain", "one.example"), entry("url", "http://two.example/p")])
    urls = [
        "one.example/p",
        "//a.one.example",
        "one.example:80/?u=http://x.example",
        "two.example/p",
        "x/one.example",
        "",
    ]
    found = takedown.read(workspace).matches(IDS, pa.array(urls)).to_pylist()
    assert found == [True, True, True, True, False, False]


@pytest.mark.parametrize("suffix", ["co.uk", "CO.uk.", "com.au"])
def test_a_whole_public_suffix_is_refused(tmp_path: Path, suffix: str) -> None:
    workspace = Workspace(str(tmp_path))
    with pytest.raises(InputError, match="is a public suffix"):
        takedown.add(workspace, [entry("domain", suffix)])
    assert takedown.add(workspace, [entry("domain", f"shop.{suffix}"), entry("domain", "81.2.69.142")]) == 2


@pytest.mark.parametrize("line", ["{", "[]", '{"kind": "url"}', '{"kind": "id", "value": 3, "date": "", "reason": ""}'])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    workspace = Workspace(str(tmp_path))
    takedown.add(workspace, [entry("domain", "a.example")])
    with (tmp_path / "takedown" / "list.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(InputError, match=r"list\.jsonl, line 2"):
        takedown.read(workspace)
