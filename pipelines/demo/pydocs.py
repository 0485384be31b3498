"""The documentation of the standard library and of installed scientific packages, as pages for the demo.

`pydoc` imports what it documents, so a child process does it (`python -m pipelines.demo.pydocs OUT`), with hash
randomisation off: sets in signatures then print alike, and what a module prints or sets stays there. What
differs from machine to machine never reaches a page: values of module variables (os.environ is one),
object addresses, file paths.
"""

import contextlib
import importlib
import inspect
import io
import json
import os
import pydoc
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from types import ModuleType
from typing import Any

from pipelines.errors import InputError

LICENCES = {
    "python": "https://spdx.org/licenses/PSF-2.0.html",
    "numpy": "https://spdx.org/licenses/BSD-3-Clause.html",
    "pandas": "https://spdx.org/licenses/BSD-3-Clause.html",
    "scipy": "https://spdx.org/licenses/BSD-3-Clause.html",
    "sklearn": "https://spdx.org/licenses/BSD-3-Clause.html",
    "sympy": "https://spdx.org/licenses/BSD-3-Clause.html",
}
MODULES = """
numpy numpy.fft numpy.linalg numpy.ma numpy.polynomial numpy.random
pandas
scipy.cluster.hierarchy scipy.fft scipy.integrate scipy.interpolate scipy.linalg scipy.ndimage scipy.optimize
scipy.signal scipy.sparse scipy.sparse.csgraph scipy.sparse.linalg scipy.spatial scipy.spatial.distance
scipy.special scipy.stats
sklearn.cluster sklearn.covariance sklearn.datasets sklearn.decomposition sklearn.ensemble
sklearn.feature_extraction.text sklearn.feature_selection sklearn.gaussian_process sklearn.linear_model
sklearn.manifold sklearn.metrics sklearn.mixture sklearn.model_selection sklearn.naive_bayes sklearn.neighbors
sklearn.neural_network sklearn.preprocessing sklearn.svm sklearn.tree
sympy.combinatorics sympy.concrete sympy.functions sympy.geometry sympy.integrals sympy.logic sympy.matrices
sympy.ntheory sympy.polys sympy.series sympy.sets sympy.simplify sympy.solvers sympy.stats
"""
# antigravity opens a browser; the others have windows, tests or nothing to read.
_NOT_RENDERED = {"antigravity", "idlelib", "lib2to3", "test", "this", "tkinter", "turtle", "turtledemo"}
_MAX_MODULE_CHARS = 40_000  # of HTML
_MAX_MEMBER_CHARS = 16_000
_MIN_DOC_CHARS = 200
_MAX_SECONDS = 300  # rendering takes about 10 s; an import that hangs would hang the demo
_ADDRESS = re.compile(r"(?<= at )0x[0-9a-fA-F]+")
_UNDERLINE = re.compile(r"[-=~^*`#+]{3,}")
_TYPED = re.compile(r"^(\*{0,2}\w+(?:, \*{0,2}\w+)*) : ")  # numpydoc's `name : type`
_MIN_WRAPPED_CHARS = 55  # a shorter line ends its paragraph
_FILE_LINK = re.compile(r'<a href="file:[^"]*">[^<]*</a>(?:<br>)?|\(built-in\)')


@dataclass(frozen=True, slots=True)
class DocPage:
    package: str  # "python" is the standard library
    name: str
    licence: str
    html: str


def render_pages(modules: Sequence[str] = ()) -> tuple[list[DocPage], dict[str, int]]:
    """Pages in order of (package, name), of all modules or the given ones; and what was left out, by reason.

    Raises InputError when the child fails or takes longer than five minutes.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "pages.jsonl")
        command = [sys.executable, "-W", "ignore", "-m", "pipelines.demo.pydocs", str(out), *modules]
        try:
            done = subprocess.run(
                command, env=_child_environment(), cwd=folder, capture_output=True, timeout=_MAX_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise InputError(f"documentation took over {_MAX_SECONDS} s: {' '.join(command)}") from None
        if done.returncode:
            last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise InputError(f"rendering documentation failed ({last}); see it with: {' '.join(command)}")
        *pages, skipped = out.read_text(encoding="utf-8").splitlines()
    return [DocPage(**json.loads(line)) for line in pages], json.loads(skipped)


def module_page(module: ModuleType, skipped: Counter[str]) -> Iterator[DocPage]:
    """A module of the standard library as one page, where it is not too long."""
    contents = _contents(module, module.__name__, _MAX_MODULE_CHARS, skipped)
    if contents is not None:
        yield _page("python", module.__name__, contents)


def member_pages(module: ModuleType, skipped: Counter[str], seen: set[int]) -> Iterator[DocPage]:
    """A page for each public class and function: whole packages would give a few pages of megabytes.

    `seen` holds the ids of what has a page, since packages export the same function from several modules.
    """
    package = module.__name__.partition(".")[0]
    for name in sorted({*map(str, getattr(module, "__all__", dir(module)))}):
        thing = _member(module, name)
        home = str(getattr(thing, "__module__", None) or package)
        if not (inspect.isclass(thing) or inspect.isroutine(thing)) or home.partition(".")[0] != package:
            skipped["no_class_or_function_of_the_package"] += 1
        elif id(thing) in seen:
            skipped["seen_elsewhere"] += 1
        elif len(inspect.getdoc(thing) or "") < _MIN_DOC_CHARS:
            skipped["little_text"] += 1
        else:
            seen.add(id(thing))
            contents = _contents(thing, name, _MAX_MEMBER_CHARS, skipped)
            if contents is not None:
                yield _page(package, f"{module.__name__}.{name}", contents)


class _Renderer(pydoc.HTMLDoc):
    """pydoc's own HTML, but docstrings as paragraphs, and without the values of variables."""

    def markup(self, text: str, escape: Any = None, *names: Any, **more: Any) -> str:
        whole = "\n".join(_paragraphs(text)) if escape == self.preformat else text
        return super().markup(whole, escape, *names, **more)

    def preformat(self, text: str) -> str:
        return self.escape(text).replace("\n", "<br>\n")

    def docother(self, object: Any, name: str | None = None, mod: Any = None, *ignored: Any) -> str:
        return f"<strong>{escape(name)}</strong> ({escape(type(object).__name__)})" if name else ""

    def docdata(self, object: Any, name: str | None = None, mod: Any = None, cl: Any = None, *ignored: Any) -> str:
        return self.docother(object, name, mod)


def _scrubbed(html: str) -> str:
    html = _ADDRESS.sub("0x...", _FILE_LINK.sub("", html))
    places = {sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), sys.executable, os.getcwd()}
    places |= {str(Path.home())}
    for root in sorted(places - {"/"}, key=len, reverse=True):
        html = html.replace(escape(root), "...")
    return html


def _paragraphs(text: str) -> list[str]:
    """A docstring's lines as a web page shows them: joined to paragraphs, without underlines and sessions.

    With those, no page in a hundred has 80 % of words with a letter, which the usual quality rules ask for.
    """
    lines: list[str] = []
    in_session, indent = False, 0
    for line in text.expandtabs().splitlines():
        bare = line.strip()
        in_session = bool(bare) and (in_session or bare.startswith(">>>"))
        if in_session or _UNDERLINE.fullmatch(bare):
            continue
        bare = _TYPED.sub(r"\1: ", bare)
        before, indent = indent, len(line) - len(line.lstrip())
        if bare and lines and len(lines[-1]) > _MIN_WRAPPED_CHARS and indent == before:
            lines[-1] += f" {bare}"
        else:
            lines.append(bare)
    return lines


def _contents(thing: object, name: str, max_chars: int, skipped: Counter[str]) -> str | None:
    try:
        contents = _scrubbed(_Renderer().document(thing, name))
    except Exception as error:  # docstrings and signatures are whatever a package made of them
        skipped[f"failed_{type(error).__name__}"] += 1
        return None
    if len(contents) > max_chars:
        skipped["too_long"] += 1
        return None
    return contents


def _page(package: str, title: str, contents: str) -> DocPage:
    licence = LICENCES[package]
    html = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<title>Python: {escape(title)}</title>\n<link rel="license" href="{licence}">\n</head>\n<body>\n'
        '<nav><a href="/">Index</a> | <a href="/topics">Topics</a> | <a href="/search">Search</a></nav>\n'
        f"<main>\n<h1>{escape(title)}</h1>\n{contents}\n</main>\n"
        f'<footer>From {package}, by pydoc. <a rel="license" href="{licence}">Licence</a></footer>\n'
        "</body>\n</html>\n"
    )
    return DocPage(package, title, licence, html)


def _member(module: ModuleType, name: str) -> object:
    with contextlib.suppress(Exception):  # lazy attributes import what may be missing, and say so in their own way
        return getattr(module, name)
    return None


def _belongs(thing: object, package: str, module: ModuleType) -> bool:
    root = module.__name__ if package == "python" else package
    home = str(getattr(thing, "__module__", None) or module.__name__)
    return home == root or home.startswith(f"{root}.") or (package == "python" and home == f"_{root}")


def _child_environment() -> dict[str, str]:
    """Ours, with one hash seed and this source tree on the path."""
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": path}


def _imported(name: str, skipped: Counter[str]) -> ModuleType | None:
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return importlib.import_module(name)
    except (ImportError, OSError, RuntimeError):  # not on this platform, or not installed
        skipped["not_importable"] += 1
        return None


def _write_all(out: Path, modules: Sequence[str]) -> None:
    os.environ.clear()  # signatures show it: that of cgi.parse does
    os.environ["OMP_NUM_THREADS"] = "1"
    pages: list[DocPage] = []
    skipped: Counter[str] = Counter()
    seen: set[int] = set()
    for name in modules or [*_standard_modules(), *MODULES.split()]:
        module = _imported(name, skipped)
        if module and name in sys.stdlib_module_names:
            pages.extend(module_page(module, skipped))
        elif module:
            pages.extend(member_pages(module, skipped, seen))
    pages.sort(key=lambda page: (page.package, page.name))
    lines = [json.dumps(asdict(page)) for page in pages]
    out.write_text("\n".join([*lines, json.dumps(dict(sorted(skipped.items())))]) + "\n", encoding="utf-8")


def _standard_modules() -> list[str]:
    return sorted(name for name in sys.stdlib_module_names - _NOT_RENDERED if not name.startswith("_"))


if __name__ == "__main__":
    _write_all(Path(sys.argv[1]), sys.argv[2:])
