"""The one settings file: a preset and what differs from it, to checked settings.

Unknown keys are refused with the nearest known one; errors name the key, the value and the rule.
"""

import copy
import difflib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from pipelines.errors import SettingsError
from pipelines.section import Section
from pipelines.settings import Quality, Settings

PRESETS = Path(__file__).parent / "presets"


def presets() -> list[str]:
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def load(path: Path | None = None, *, preset: str | None = None, changes: Sequence[str] = ()) -> Settings:
    """Settings from a TOML file, on top of its preset, with `section.key=value` changes on top of both."""
    return resolved(given(path, preset=preset, changes=changes))


def given(
    path: Path | None = None,
    *,
    preset: str | None = None,
    changes: Sequence[str] = (),
    kept: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What a person chose, as a settings file holds it: the preset's name and what differs from it."""
    values = _toml(path) if path else dict(kept or {})
    for change in changes:
        values = _merge(values, _parsed(change))
    return {**values, "preset": preset or values.get("preset") or "laptop"}


def laid_over(below: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """What a person chose, on top of other differences from the preset."""
    return _merge(below, chosen)


def resolved(values: Mapping[str, Any]) -> Settings:
    """Settings of a preset's name and what differs from it."""
    name = values.get("preset", "laptop")
    if name not in presets():
        raise SettingsError(f"no preset {name!r}; there are: {', '.join(presets())}")
    return validated({**_merge(_toml(PRESETS / f"{name}.toml"), values), "preset": name})


def validated(values: Mapping[str, Any]) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError("; ".join(_told(problem) for problem in error.errors())) from None


S = TypeVar("S", bound=Section)


def changed(section: S, changes: Sequence[str]) -> S:
    """A section with `key=value` changes; SettingsError for an unknown key or a value that does not fit."""
    values = section.model_dump()
    for change in changes:
        values = _merge(values, _parsed(change))
    try:
        return type(section).model_validate(values)
    except ValidationError as error:
        raise SettingsError("; ".join(_told(problem) for problem in error.errors())) from None


def dumped(settings: Settings) -> dict[str, Any]:
    """Plain values, as they travel with every output."""
    return settings.model_dump(mode="json")


def explained(settings: Settings) -> Iterator[tuple[str, Any, str]]:
    """(key, value, meaning) of every setting."""
    for name, info in Settings.model_fields.items():
        section = getattr(settings, name)
        if isinstance(section, Section):
            for key, field in type(section).model_fields.items():
                yield f"{name}.{key}", getattr(section, key), field.description or key.replace("_", " ")
            if isinstance(section, Quality):
                yield from _limits(section)
        elif name in ("targets", "tasks", "scores"):
            for one in section:
                yield f"{name}.{one.name}", one.path, (type(one).__doc__ or "").strip()
        else:
            yield name, section, info.description or ""


def _limits(quality: Quality) -> Iterator[tuple[str, Any, str]]:
    from pipelines.quality.rules import rules

    for rule in rules(quality):
        if rule.reason != "language_score":
            side = "at least" if rule.least else "at most"
            yield f"quality.limits.{rule.reason}", rule.limit, f"{rule.signal}, {side}"


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"settings file {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"settings file {path} is not TOML: {error}") from None


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        if value and isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):  # {} takes all away
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def _parsed(change: str) -> dict[str, Any]:
    """`a.b=1` as {"a": {"b": 1}}; the value is TOML where it parses, else a plain string."""
    key, equals, text = change.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path):
        raise SettingsError(f"--set {change!r}: write section.key=value, e.g. --set quality.limits.gopher_short_doc=20")
    try:
        value: Any = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    for name in reversed(path):
        value = {name: value}
    return dict(value)


def _told(problem: Any) -> str:
    place = ".".join(str(step) for step in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = [key for key, _, _ in explained(Settings())] + [*Settings.model_fields]
        near = difflib.get_close_matches(place, known, n=1, cutoff=0.5)
        return f"unknown setting {place!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    if problem["type"] == "value_error":  # of a rule over several settings, which names them
        return str(problem["msg"]).removeprefix("Value error, ")
    return f"{place or 'settings'} = {problem['input']!r}: {problem['msg']}"


# ---------------------------------------------------------------------------------------------------------
# Files that settings name


FILES = ("clusters.scores", "urls.domains", "urls.urls", "urls.hard_words", "urls.soft_words", "urls.subwords")
FILES_OR_NAMES = ("language.model", "tokens.tokenizer", "embeddings.model", "search.early")
FILES_OF = {"scores": "path", "tasks": "path", "targets": "path", "decontamination.sets": "path"}
FILES_OF |= {"search.frozen": "mixture"}


def anchored(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Settings whose files, where they are there below `folder`, are named by whole paths: whoever reads the settings
    later stands elsewhere. What is no file stays as it is, as does a name that has no mark of a path.
    """
    found: dict[str, Any] = copy.deepcopy(dict(values))
    for key in (*FILES, *FILES_OR_NAMES):
        section, name = key.split(".")
        below = found.get(section)
        if not isinstance(below, dict) or name not in below:
            continue
        given = below[name]
        if isinstance(given, (list, tuple)):
            below[name] = [_whole(one, folder) for one in given]
        elif key in FILES or (isinstance(given, str) and ("/" in given or "." in given)):
            below[name] = _whole(given, folder)
    for key, name in FILES_OF.items():
        section, _, last = key.rpartition(".")
        below = found.get(section) if section else found
        rows = below.get(last) if isinstance(below, dict) else None
        for row in rows if isinstance(rows, (list, tuple)) else ():
            if isinstance(row, dict) and name in row:
                row[name] = _whole(row[name], folder)
    return found


def _whole(value: Any, folder: Path) -> Any:
    known = isinstance(value, str) and value and not value.startswith("~") and (folder / value).exists()
    return str((folder / value).resolve()) if known else value
