"""Presets of rules over signals, from files, to verdicts: the first rule that a document breaks.

`presets/NAME.toml`:

    version = 1                 # raised when a limit, a signal or the order changes
    source = "..."              # paper or repository with its version, and what differs from it
    include = ["other", ...]    # presets whose rules come first, in this order
    without = ["reason", ...]   # of the included rules
    [limits]                    # other limits for included rules
    reason = 0.3

    [[rules]]                   # in the order in which they judge, after the included ones
    reason = "gopher_short_doc" # what is written beside a dropped document; an included rule of that name is replaced
    signal = "num_words"        # a column of the stage `signals`
    min = 50                    # or max: a document is kept if min <= signal, or signal <= max
    strict = true               # the limit itself is dropped, too
    spaced = true               # only languages that put spaces between words
    absent = -1                 # the signal's value where a document has none; the rule passes it

    [languages.fr]              # limits for documents of one language
    gopher_short_doc = 40

The settings lay `limits`, `limits_of` a language and `without` over the preset in the same way. Before a preset's
rules come `language` and `language_score`; after them comes `empty`, so that no preset keeps a text without words.
"""

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import InputError, SettingsError
from pipelines.text.stopwords import UNSPACED_LANGUAGES

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from pipelines.settings import Quality

PRESETS = Path(__file__).parent / "presets"

_KEYS = frozenset({"version", "source", "include", "without", "limits", "rules", "languages"})
_RULE_KEYS = frozenset({"reason", "signal", "min", "max", "strict", "spaced", "absent"})


@dataclass(frozen=True)
class Rule:
    """A limit on one signal: kept if the value is at least (`least`) or at most the limit."""

    reason: str
    signal: str
    limit: float
    least: bool
    strict: bool = False
    spaced: bool = False
    absent: float | None = None
    languages: tuple[tuple[str, float], ...] = ()  # limits that hold for a language instead

    def broken(self) -> "pl.Expr":
        """Whether a row breaks the rule."""
        import polars as pl

        value, limit = pl.col(self.signal).cast(pl.Float64), self.limits()
        if self.least:
            broken = (value <= limit) if self.strict else (value < limit)
        else:
            broken = (value >= limit) if self.strict else (value > limit)
        return broken & self.asked()

    def asked(self) -> "pl.Expr":
        """Whether the rule is for a row's language and the row has the signal."""
        import polars as pl

        asked = pl.lit(True)
        if self.spaced:
            asked &= ~_language().is_in(sorted(UNSPACED_LANGUAGES))
        if self.absent is not None:
            asked &= pl.col(self.signal).cast(pl.Float64) != self.absent
        return asked

    def limits(self) -> "pl.Expr":
        """The limit that holds for a row."""
        import polars as pl

        if not self.languages:
            return pl.lit(self.limit, pl.Float64)
        codes, limits = zip(*self.languages, strict=True)
        return _language().replace_strict(codes, limits, default=self.limit, return_dtype=pl.Float64)

    @property
    def columns(self) -> tuple[str, ...]:
        return ("language", self.signal) if self.spaced or self.languages else (self.signal,)


@dataclass(frozen=True)
class Preset:
    """A preset's file with what it includes, all limits in place."""

    name: str
    version: int
    source: str
    rules: tuple[Rule, ...]
    languages: Mapping[str, Mapping[str, float]]  # of `language_score` too, which is no rule of a preset


EMPTY = Rule("empty", "edited_num_words", 1, least=True)


def presets() -> list[str]:
    """The names of all presets."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


@cache
def preset(name: str) -> Preset:
    """Read a preset and what it includes; SettingsError for an unknown name or a file that breaks the format."""
    if name not in presets():
        raise SettingsError(f"no rules named {name!r}{_near(name, presets())}")
    values = tomllib.loads((PRESETS / f"{name}.toml").read_text(encoding="utf-8"))
    where = f"presets/{name}.toml"
    _known(values, _KEYS, where)
    included = [preset(other) for other in values.get("include", ())]
    rules = _unique([*(rule for other in included for rule in other.rules)], where)
    rules = _without(_limited(rules, values.get("limits", {}), where), values.get("without", ()), where)
    rules = _laid_over(rules, _unique([_rule(one, where) for one in values.get("rules", ())], where))
    languages: dict[str, dict[str, float]] = {}
    for other in included:
        for language, limits in other.languages.items():
            languages.setdefault(language, {}).update(limits)
    for language, limits in values.get("languages", {}).items():
        languages.setdefault(language, {}).update(limits)
        _limited([*rules, _language_score(0)], limits, f"{where}, languages.{language}")
    return Preset(name, int(values["version"]), str(values["source"]), tuple(rules), languages)


def rules(settings: "Quality") -> tuple[Rule, ...]:
    """All rules that the settings ask for, in the order in which they judge.

    Raises SettingsError for a preset, a reason or a value that does not exist, with the nearest that does.
    """
    chosen = preset(settings.preset)
    found = [_language_score(settings.min_language_score), *chosen.rules]
    found = _unique([*found, EMPTY], settings.preset) if _all_reasons(found).isdisjoint({"empty"}) else found
    found = _limited(found, settings.limits, "quality.limits")
    by_language = {language: dict(limits) for language, limits in chosen.languages.items()}
    for language, limits in settings.limits_of.items():
        _limited(found, limits, f"quality.limits_of.{language}")
        by_language.setdefault(language, {}).update(limits)
    found = [replace(rule, languages=_of_languages(rule, by_language, settings)) for rule in found]
    return tuple(_without(found, settings.without, "quality.without"))


def described(settings: "Quality") -> dict[str, Any]:
    """Everything that verdicts depend on, as plain values: for the digest of a stage."""
    judged = [asdict(rule) for rule in rules(settings)]
    version = preset(settings.preset).version
    unspaced = sorted(UNSPACED_LANGUAGES)
    return {"languages": list(settings.languages), "version": version, "rules": judged, "unspaced": unspaced}


def columns(settings: "Quality") -> tuple[str, ...]:
    """The columns of `signals` that `verdicts` reads, in order."""
    first = ("language",) if settings.languages else ()
    return tuple(dict.fromkeys([*first, *(name for rule in rules(settings) for name in rule.columns)]))


def reasons(settings: "Quality") -> list[str]:
    """Every reason that `verdicts` can give, in the order in which the rules are asked."""
    return ["language"] * bool(settings.languages) + [rule.reason for rule in rules(settings)]


def verdicts(signals: "pa.Table", settings: "Quality") -> "pa.Array":
    """The reason why each row goes, null for rows that stay: the first broken rule.

    Reads `columns(settings)`. A row whose language is null has none of `languages`. Raises InputError for signals
    without a column that a rule reads.
    """
    import polars as pl
    import pyarrow as pa

    _there(signals.column_names, settings)
    if not signals.num_columns:
        return pa.nulls(signals.num_rows, pa.string())
    verdict = pl.lit(None, dtype=pl.String)
    for reason, broken in reversed(judgements(settings)):
        verdict = pl.when(broken).then(pl.lit(reason)).otherwise(verdict)
    table = pl.from_arrow(signals.select(columns(settings)))
    assert isinstance(table, pl.DataFrame)
    return table.select(reason=verdict)["reason"].to_arrow().cast(pa.string())


def judgements(settings: "Quality") -> list[tuple[str, "pl.Expr"]]:
    """(reason, whether a row breaks the rule) of every rule, each as if it were alone."""
    found = [(rule.reason, rule.broken()) for rule in rules(settings)]
    return [("language", ~_language().is_in(settings.languages)), *found] if settings.languages else found


# ---------------------------------------------------------------------------------------------------------


def _language() -> "pl.Expr":
    import polars as pl

    return pl.col("language").fill_null("")


def _language_score(limit: float) -> Rule:
    return Rule("language_score", "language_score", limit, least=True)


def _rule(values: Mapping[str, Any], where: str) -> Rule:
    reason = str(values.get("reason", ""))
    _known(values, _RULE_KEYS, f"{where}, rule {reason!r}")
    bounds = [key for key in ("min", "max") if key in values]
    if not reason or "signal" not in values or len(bounds) != 1:
        raise SettingsError(f"{where}, rule {reason!r}: a rule has a reason, a signal, and either min or max")
    flags = {key: values[key] for key in ("strict", "spaced", "absent") if key in values}
    return Rule(reason, values["signal"], float(values[bounds[0]]), bounds == ["min"], **flags)


def _limited(found: Sequence[Rule], limits: Mapping[str, float], where: str) -> list[Rule]:
    _exist(limits, found, where)
    return [replace(rule, limit=float(limits.get(rule.reason, rule.limit))) for rule in found]


def _without(found: Sequence[Rule], off: Iterable[str], where: str) -> list[Rule]:
    off = tuple(off)
    _exist(off, found, where)
    return [rule for rule in found if rule.reason not in off]


def _of_languages(
    rule: Rule, by_language: Mapping[str, Mapping[str, float]], settings: "Quality"
) -> tuple[tuple[str, float], ...]:
    """A rule's limits by language; a limit that the settings give for all languages beats the preset's for one."""
    found = by_language.items()
    if rule.reason in settings.limits:
        found = settings.limits_of.items()
    return tuple((code, float(limits[rule.reason])) for code, limits in sorted(found) if rule.reason in limits)


def _laid_over(below: Sequence[Rule], above: Sequence[Rule]) -> list[Rule]:
    """Both, a rule above in the place of one of its reason below."""
    by_reason = {rule.reason: rule for rule in above}
    return list({rule.reason: by_reason.get(rule.reason, rule) for rule in [*below, *above]}.values())


def _unique(found: Sequence[Rule], where: str) -> list[Rule]:
    """Without rules that come again; two that differ cannot share a reason."""
    unique: dict[str, Rule] = {}
    for rule in found:
        if unique.setdefault(rule.reason, rule) != rule:
            raise SettingsError(f"{where}: two rules have the reason {rule.reason!r}")
    return list(unique.values())


def _all_reasons(found: Iterable[Rule]) -> set[str]:
    return {rule.reason for rule in found}


def _exist(asked: Iterable[str], found: Sequence[Rule], where: str) -> None:
    there = sorted(_all_reasons(found))
    for reason in asked:
        if reason not in there:
            raise SettingsError(f"{where}: no rule {reason!r}{_near(reason, there)}")


def _known(values: Mapping[str, Any], keys: frozenset[str], where: str) -> None:
    for key in values:
        if key not in keys:
            raise SettingsError(f"{where}: unknown key {key!r}{_near(key, sorted(keys))}")


def _near(name: str, there: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, there, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(there)}"


def _there(there: Sequence[str], settings: "Quality") -> None:
    missing = [name for name in columns(settings) if name not in there]
    if missing:
        raise InputError(
            f"the signals have no {', '.join(missing)}, which the rules {settings.preset!r} read; "
            "compute the stage signals with the module that has them, or choose other rules (quality.preset)"
        )
