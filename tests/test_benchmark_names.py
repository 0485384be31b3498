"""What the scripts below infra/ take from the packages exists: they run for hours, and seldom."""

import ast
import importlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

INFRA = Path(__file__).resolve().parents[1] / "infra"
PACKAGES = ("pipelines", "mixer", "assets")


def _taken(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """(line, module, name) of every name that is imported from a package, or asked of a module of one."""
    modules = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {one.asname: one.name for one in node.names if one.asname and _is_ours(one.name)}
        elif isinstance(node, ast.ImportFrom) and _is_ours(node.module or ""):
            for one in node.names:
                yield node.lineno, str(node.module), one.name
                modules[one.asname or one.name] = f"{node.module}.{one.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            yield node.lineno, modules[node.value.id], node.attr


def _is_ours(module: str) -> bool:
    return module.split(".")[0] in PACKAGES


def _lacking(tree: ast.Module) -> list[str]:
    """The names of `_taken` that are not there; of a class or function that is imported no attribute is asked."""
    return [f"{line}: {module}.{name}" for line, module, name in _taken(tree) if not _exists(module, name)]


def _exists(module: str, name: str) -> bool:
    if _is_module(module):
        return hasattr(importlib.import_module(module), name) or _is_module(f"{module}.{name}")
    above, _, last = module.rpartition(".")
    return _is_module(above) and hasattr(importlib.import_module(above), last)


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # of what is below something that is no package
        return False


@pytest.mark.parametrize("script", sorted(INFRA.rglob("*.py")), ids=lambda path: str(path.relative_to(INFRA)))
def test_every_name_that_a_script_takes_from_the_packages_is_there(script: Path) -> None:
    assert _lacking(ast.parse(script.read_text())) == []


def test_a_name_that_is_gone_is_found() -> None:
    script = """
from pipelines import settings, nothing
from pipelines.store import Workspace, gone
import mixer.trial as trials
settings.resolved, settings.Settings, trials.Trial, trials.Trials, Workspace.whatever
"""
    assert _lacking(ast.parse(script)) == [
        "2: pipelines.nothing",
        "3: pipelines.store.gone",
        "5: pipelines.settings.resolved",
        "5: mixer.trial.Trials",
    ]
