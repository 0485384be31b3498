"""What other quality settings would keep and drop, from the signals alone: seconds, and nothing is written.

`preview` looks at one part at a time and adds up, so that a corpus of any size can be asked. The samples are the
documents whose fate hangs on a changed rule by the least: all other new rules keep them, and their value is nearest
to the limit on either side. They are named by part and row; whoever shows them fetches the texts.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING

from pipelines.quality import rules
from pipelines.quality.rules import Rule

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from pipelines.settings import Quality

SAMPLES = 5
KEPT = ""  # in the place of a reason


@dataclass(frozen=True, order=True)
class Sample:
    """A document beside a limit: how far its value is from the limit that holds for it, and where it lies."""

    distance: float
    part: str
    row: int
    value: float


@dataclass(frozen=True)
class Change:
    """A rule that is not the same in both settings; the one that is not asked is None."""

    before: Rule | None
    after: Rule | None
    kept: tuple[Sample, ...]  # nearest to the limit that holds after (before, of a rule that goes), kept by it
    dropped: tuple[Sample, ...]

    @property
    def rule(self) -> Rule:
        found = self.after or self.before
        assert found
        return found


@dataclass(frozen=True)
class Preview:
    """Rows by verdict, `KEPT` or a reason, under the old settings and under the new ones."""

    rows: int
    verdicts: Mapping[tuple[str, str], int]  # (before, after) -> rows
    reasons: tuple[str, ...]  # of both, in the order of the new rules
    changes: tuple[Change, ...]

    @property
    def before(self) -> dict[str, int]:
        return self._by(0)

    @property
    def after(self) -> dict[str, int]:
        return self._by(1)

    def _by(self, side: int) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for verdict, count in self.verdicts.items():
            counts[verdict[side]] += count
        return {reason: counts[reason] for reason in (KEPT, *self.reasons) if counts[reason]}

    def table(self) -> list[tuple[str, int, int]]:
        """(verdict, rows before, rows after), what is kept first, of every verdict that either side gives."""
        before, after = self.before, self.after
        order = [reason for reason in (KEPT, *self.reasons) if reason in before or reason in after]
        return [(reason, before.get(reason, 0), after.get(reason, 0)) for reason in order]

    def moved(self) -> list[tuple[str, str, int]]:
        """(verdict before, verdict after, rows) of rows whose verdict changes, most first."""
        found = [(old, new, count) for (old, new), count in self.verdicts.items() if old != new]
        return sorted(found, key=lambda one: (-one[2], one[0], one[1]))


def columns(old: "Quality", new: "Quality") -> tuple[str, ...]:
    """The columns of `signals` that a preview reads."""
    return tuple(dict.fromkeys([*rules.columns(old), *rules.columns(new)]))


def preview(parts: Iterable[tuple[str, "pa.Table"]], old: "Quality", new: "Quality", samples: int = SAMPLES) -> Preview:
    """The new settings against the old ones, over (part, its signals), in any order of the parts."""
    nothing = Preview(0, {}, _reasons(old, new), tuple(Change(b, a, (), ()) for b, a in _changed(old, new)))
    return reduce(
        lambda one, other: merged(one, other, samples), (_of_part(*p, old, new, samples) for p in parts), nothing
    )


def merged(one: Preview, other: Preview, samples: int = SAMPLES) -> Preview:
    """Two previews of the same settings as one."""
    changes = tuple(
        replace(a, kept=_nearest([*a.kept, *b.kept], samples), dropped=_nearest([*a.dropped, *b.dropped], samples))
        for a, b in zip(one.changes, other.changes, strict=True)
    )
    verdicts = Counter(one.verdicts)
    verdicts.update(other.verdicts)
    return Preview(one.rows + other.rows, dict(verdicts), one.reasons, changes)


# ---------------------------------------------------------------------------------------------------------


def _of_part(part: str, signals: "pa.Table", old: "Quality", new: "Quality", samples: int) -> Preview:
    before, after = (rules.verdicts(signals, settings).to_pylist() for settings in (old, new))
    verdicts = Counter((one or KEPT, other or KEPT) for one, other in zip(before, after, strict=True))
    changes = tuple(_sampled(part, signals, change, new, samples) for change in _changed(old, new))
    return Preview(signals.num_rows, dict(verdicts), _reasons(old, new), changes)


def _sampled(
    part: str, signals: "pa.Table", change: tuple[Rule | None, Rule | None], new: "Quality", samples: int
) -> Change:
    import polars as pl

    rule = change[1] or change[0]
    assert rule
    others = [broken for reason, broken in rules.judgements(new) if reason != rule.reason]
    value = pl.col(rule.signal).cast(pl.Float64)
    table = pl.from_arrow(signals)
    assert isinstance(table, pl.DataFrame)
    rows = table.select(
        row=pl.int_range(pl.len()),
        value=value,
        distance=(value - rule.limits()).abs(),
        broken=rule.broken(),
        alone=~pl.any_horizontal(pl.lit(False), *others),
        asked=rule.asked(),
    ).filter("alone", "asked")
    return Change(*change, *(_rows(part, rows.filter(pl.col("broken") == side), samples) for side in (False, True)))


def _rows(part: str, rows: "pl.DataFrame", samples: int) -> tuple[Sample, ...]:
    found = rows.sort("distance", "row").head(samples)
    return tuple(Sample(one["distance"], part, one["row"], one["value"]) for one in found.to_dicts())


def _nearest(found: Iterable[Sample], samples: int) -> tuple[Sample, ...]:
    return tuple(sorted(found)[:samples])


def _changed(old: "Quality", new: "Quality") -> list[tuple[Rule | None, Rule | None]]:
    """Rules that differ or stand on one side only, in the order of the new ones."""
    before = {rule.reason: rule for rule in rules.rules(old)}
    after = {rule.reason: rule for rule in rules.rules(new)}
    pairs = [(before.get(reason), after.get(reason)) for reason in dict.fromkeys([*after, *before])]
    return [(one, other) for one, other in pairs if one != other]


def _reasons(old: "Quality", new: "Quality") -> tuple[str, ...]:
    return tuple(dict.fromkeys([*rules.reasons(new), *rules.reasons(old)]))
