"""The few tags of a page that declare something about it, found in its bytes without parsing the page.

Parsing costs a quarter of the extraction; nearly all pages declare nothing. So a word that such a tag must hold is
searched for, and only the tag around it is read. Tags in comments, scripts and form fields declare nothing. Work is
bounded: at most MAX_HITS occurrences of a word, MAX_TAG_BYTES around each.
"""

import html
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

MAX_HITS = 200
MAX_TAG_BYTES = 4096
LOOK_BACK_BYTES = 256 << 10  # for what a tag may be hidden in
HIDDEN = ((b"<!--", b"-->"), (b"<script", b"</script"), (b"<style", b"</style"), (b"<textarea", b"</textarea"))

_NAME = re.compile(rb"<([a-z][a-z0-9]*)(?=[\s/])")
_ATTRIBUTE = re.compile(rb"""[\s"'/]([a-z][a-z0-9:_-]*)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.I)


@dataclass(frozen=True, slots=True)
class Tag:
    """A start tag of a page; `start` and `end` are where it lies in the page's bytes."""

    name: bytes
    start: int
    end: int
    attributes: dict[bytes, str]

    def get(self, name: bytes) -> str:
        return self.attributes.get(name, "")


class Markup:
    """A page's bytes in a charset that agrees with ASCII, and the same with A-Z in lower case."""

    __slots__ = ("charset", "head_bytes", "lower", "raw")

    def __init__(self, raw: bytes, charset: str = "utf-8") -> None:
        self.raw = raw
        self.lower = raw.lower()
        self.charset = charset
        self.head_bytes = (self.lower.find(b"</head") + 1 or self.lower.find(b"<body") + 1 or len(raw) + 1) - 1

    def places(self, word: bytes, end: int | None = None) -> Iterator[int]:
        """Where the word (lower case) occurs before `end`, the first MAX_HITS times."""
        at = self.lower.find(word, 0, end)
        for _ in range(MAX_HITS):
            if at < 0:
                return
            yield at
            at = self.lower.find(word, at + len(word), end)

    def metas(self, word: bytes) -> Iterator[Tag]:
        """The <meta> tags in the page's head that hold the word; each once, in the page's order."""
        last = -1
        for at in self.places(word, self.head_bytes):
            tag = self.tag_around(at, (b"meta",))
            if tag and tag.start != last:
                last = tag.start
                yield tag

    def is_hidden(self, at: int) -> bool:
        """Whether the place is inside a comment, script, style or form field."""
        earliest = max(0, at - LOOK_BACK_BYTES)
        return any(
            (opened := self.lower.rfind(opener, earliest, at)) >= 0 and self.lower.find(closer, opened, at) < 0
            for opener, closer in HIDDEN
        )

    def text(self, start: int, end: int) -> str:
        return self.raw[max(start, 0) : end].decode(self.charset, "replace")

    def tag_around(self, at: int, names: Collection[bytes] = ()) -> Tag | None:
        """The start tag, of one of these names or of any, that covers the place; None where there is none."""
        start = self.lower.rfind(b"<", max(0, at - MAX_TAG_BYTES), at)
        end = self.lower.find(b">", at, at + MAX_TAG_BYTES)
        if start < 0 or end < 0:
            return None
        name = _NAME.match(self.lower, start)
        if name is None or (names and name[1] not in names):
            return None
        attributes: dict[bytes, str] = {}
        value_end = name.end()
        for found in _ATTRIBUTE.finditer(self.raw, name.end(), end + 1):
            value = next(group for group in found.groups()[1:] if group is not None)
            attributes.setdefault(found[1].lower(), html.unescape(value.decode(self.charset, "replace")))
            value_end = found.end()
        closed = self.lower.find(b">", value_end, at) >= 0  # the tag ended before the word
        return None if closed or self.is_hidden(start) else Tag(name[1], start, end, attributes)
