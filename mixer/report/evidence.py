"""Sections on what is shown: the final comparison, the predictor, the search beside random search, leaders."""

from collections.abc import Mapping
from typing import Any

from mixer.report import series, svg
from mixer.report.markup import figure, loss, number, section, share, signed, table, text
from mixer.stages import metric_of

LEADERS = 10
SHOWN_RULES = 4

Told = Mapping[str, Any]


def comparison(told: Told) -> str:
    """Paired runs on documents that no search saw: every seed, and each difference with its interval."""
    judged = told["comparison"]
    if judged is None:
        return ""
    found = {_named(name): one for name, one in judged["mixtures"].items()}
    ranked = sorted(found, key=lambda name: (found[name]["mean"] is None, found[name]["mean"]))
    finite = {name: [value for value in found[name]["losses"] if value is not None] for name in ranked}
    verdicts = {one["other"]: one for one in judged["verdicts"]}
    rows = []
    for name in ranked:
        one, verdict = found[name], verdicts.get(name)
        cells = [text(name), loss(one["mean"]), loss(one["spread"])]
        if verdict is None:
            cells += ["", "", ""]
        else:
            low, high = verdict["interval"]
            interval = f"{signed(low, 3)} to {signed(high, 3)}"
            difference = signed(verdict["difference"])
            cells += [difference, interval, text(_outcome(verdict["outcome"]))]
        rows.append(("strong" if name == "found" else "", cells))
    noise = judged["noise"]["std"]
    varies = f" One run varies by {noise:.4f} {told['unit']} from seed to seed." if noise is not None else ""
    every = ""
    if any(finite.values()):
        drawn = svg.dots(finite, across=f"loss on the final split, {metric_of(told)}", strong="found")
        every = f'<div class="pair">{figure("Every run", "a dot for each seed, a bar at their mean", drawn)}</div>'
    head = [("mixture", ""), ("mean", "n"), ("spread", "n"), ("found is better by", "n"), ("interval", "n"), ("", "w")]
    return section(
        "Final comparison",
        every,
        table(head, rows),
        note=f"Models trained on each mixture with {len(judged['seeds'])} paired seeds and {number(judged['tokens'])}"
        f" tokens each, on documents of {told['target']} that no search saw. Intervals hold together at 95 %.{varies}",
    )


def strategies(told: Told) -> str:
    """Several strategies under one budget and the rules, by their final loss."""
    made = told["strategies"]
    if made is None:
        return ""
    found, verdicts = made["mixtures"], {one["name"]: one for one in made["verdicts"]}
    rows = []
    for name in sorted(found, key=lambda name: (found[name]["mean"] is None, found[name]["mean"])):
        cost, verdict = made["cost"].get(name, {"num_runs": 0, "tokens": 0}), verdicts.get(name)
        cells = [text(name), loss(found[name]["mean"]), loss(found[name]["spread"])]
        cells += [number(cost["num_runs"]), number(cost["tokens"])]
        if verdict is None:
            cells += ["", "", ""]
        else:
            low, high = verdict["interval"]
            cells += [signed(verdict["difference"]), f"{signed(low, 3)} to {signed(high, 3)}", text(verdict["outcome"])]
        rows.append(("", cells))
    head = [("mixture of", ""), ("mean", "n"), ("spread", "n"), ("proxies", "n"), ("tokens", "n")]
    head += [(f"better than {made['best_rule']} by", "n"), ("interval", "n"), ("", "w")]
    return section(
        "Strategies",
        table(head, rows),
        note=f"Each searched with the same candidates, caps and budget; what they found, and the rules, trained with"
        f" {len(made['seeds'])} paired seeds. Costs are of each search alone. {made['best_rule']} is the best of the"
        " rules by these runs. Intervals hold together at 95 %.",
    )


def predictor(told: Told) -> str:
    """Predicted beside measured, rank correlations over the rounds, and a warning where they are chance."""
    fits, trials = told["rounds"], told["trials"]
    pairs = series.predicted_and_measured(trials)
    tested, proposed = series.rank_correlations(fits)
    figures = []
    if pairs:
        groups = {f"round {number}": points for number, points in pairs.items()}
        drawn = svg.scatter(groups, across=f"predicted before training, {metric_of(told)}", up="measured")
        figures.append(
            figure(
                "Predicted and measured", "every proposed mixture; later rounds are darker; on the line, equal", drawn
            )
        )
    if tested or proposed:
        shown = [svg.Line("cross-validated", tested, "found", dots=True)] if tested else []
        shown += [svg.Line("of proposals", proposed, "thin", dots=True)] if proposed else []
        drawn = svg.lines(shown, across="round", up="rank correlation", whole=True, at_least=(0.0, 1.0))
        figures.append(
            figure(
                "Rank correlation over rounds",
                "of all runs so far by cross-validation, and of what each round proposed",
                drawn,
            )
        )
    chance = series.not_better_than_chance(fits)
    aside = ""
    if chance and fits and chance[-1] == fits[-1]["round"]:
        aside = _aside(
            "After the last round the predictor ranks mixtures no better than chance. What it recommends is a guess:"
            " trust the comparison alone."
        )
    elif proposed and proposed[-1][1] < 0.2:
        aside = _aside(
            f"Among the mixtures of round {proposed[-1][0]:.0f}, all of them chosen as good, the predictor's order and"
            f" the measured one hardly agree ({signed(proposed[-1][1], 2)}). Differences between good mixtures are near"
            " the noise of one run."
        )
    note = text(fits[-1]["predictor"]) if fits and fits[-1].get("predictor") else ""
    body = f'<div class="pair">{"".join(figures)}</div>' if figures else ""
    return section("What the predictor is worth", body, aside, note=note)


def search(told: Told) -> str:
    """Best loss so far by trial, random search beside it, and the rules' losses as levels."""
    num_rounds = len(told["made"]["settings"]["rounds"])
    mine = series.best_so_far(series.of_search(told["trials"], num_rounds))
    if not mine:
        return ""
    random = series.best_so_far(series.of_random(told["trials"], num_rounds))
    shown = [svg.Line("random", random, "other", steps=True)] if random else []
    shown.append(svg.Line(told["strategy"], mine, "found", steps=True))
    levels = dict(list(series.rules(told["trials"]).items())[:SHOWN_RULES])
    drawn = svg.lines(shown, across="trial", up="lowest loss so far", levels=levels, whole=True)
    caption = (
        "lowest loss so far by trial, on the search's half of the target; rules, which train nothing, as dashed lines"
    )
    return section(
        "How the search went",
        f'<div class="pair">{figure("Best so far", caption, drawn)}</div>',
        note="The lowest of many noisy losses is lower than its mixture deserves: luck of one seed counts in it. The"
        " final comparison has seeds of its own.",
    )


def leaderboard(told: Told) -> str:
    """The proxies with the lowest losses and their largest clusters."""
    names = [cluster["name"] for cluster in told["clusters"]]
    num_rounds = len(told["made"]["settings"]["rounds"])
    each = {trial["key"]: trial for trial in reversed(series.whole(told["trials"])) if trial["loss"] is not None}
    ranked = sorted(each.values(), key=lambda trial: trial["loss"])
    rows = []
    for rank, trial in enumerate(ranked[:LEADERS], 1):
        largest = sorted(zip(trial["weights"], names, strict=False), reverse=True)[:3]
        mixture = ", ".join(f"{text(name)} {share(weight)}" for weight, name in largest if weight > 0)
        where = f"round {trial['round']}" if 1 <= trial["round"] <= num_rounds else trial["name"]
        rows.append(("", [f"{rank}", text(where), loss(trial["loss"]), loss(trial["predicted"]), mixture]))
    head = [("", ""), ("from", "w"), ("loss", "n"), ("predicted", "n"), ("largest clusters", "list")]
    return (
        section("Leaderboard", table(head, rows), note=f"{_each(told['made']['settings']['seeds'])}.") if rows else ""
    )


def _each(seeds: int) -> str:
    return "One seed each" if seeds == 1 else f"Means of {seeds} seeds each"


def _named(name: str) -> str:
    return "found" if name == "search" else name


def _outcome(outcome: str) -> str:
    return {"beats": "found is better", "worse": "found is worse"}.get(outcome, outcome)


def _aside(said: str) -> str:
    return f'<div class="aside"><p>{text(said)}</p></div>'
