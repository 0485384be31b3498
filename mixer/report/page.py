"""The report of a search as one HTML file: no network, no scripts, light and dark.

Whatever the corpus wrote (names, terms, texts, addresses) is escaped; an address is a link only where it is plain
http or https. The file's own policy forbids everything but its own style.
"""

from collections.abc import Mapping
from html import escape
from typing import Any

from mixer.report import cost, evidence, mixture, origin
from mixer.report.headline import headline
from mixer.report.markup import flops, number, seconds, text
from mixer.report.style import CSS
from mixer.stages import metric_of

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def html(told: Mapping[str, Any]) -> str:
    """The whole page from what `gathered` tells."""
    sections = (
        evidence.comparison,
        evidence.strategies,
        mixture.weights,
        mixture.tiers,
        mixture.phases,
        evidence.predictor,
        evidence.search,
        mixture.over_rounds,
        cost.cost,
        cost.plan,
        evidence.leaderboard,
        mixture.clusters,
        origin.how,
    )
    said = headline(told)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY, quote=True)}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{text(told['name'])}: mixture search for {text(told['target'])}</title>"
        f"<style>{CSS}</style></head><body><main>"
        f"{_head(told, said)}"
        + "".join(section(told) for section in sections)
        + f"<footer>Written by sirdar {text(told['made']['versions']['sirdar'])}. Losses: {text(metric_of(told))};"
        " lower is better.</footer></main></body></html>\n"
    )


def _head(told: Mapping[str, Any], said: str) -> str:
    lines = [
        f'<header><div class="over">Mixture search, target {text(told["target"])}</div>',
        f"<h1>{text(said)}</h1>",
        f'<p class="lead">{_lead(told)}</p>',
    ]
    if told["missing"]:
        listed = "".join(
            f"<p>Not there yet: {text(what)}. <code>{text(command)}</code></p>" for what, command in told["missing"]
        )
        lines.append(f'<div class="aside">{listed}</div>')
    return "".join([*lines, _figures(told), "</header>"])


def _lead(told: Mapping[str, Any]) -> str:
    size, tokens = told["num_parameters"], told["made"]["settings"]["tokens"]
    proxies = f"proxies of {number(size)} parameters" if size else "models of one's own program"
    return (
        f"{text(told['strategy'])} over {len(told['clusters'])} clusters, with {proxies}"
        f" trained on {number(tokens)} tokens each. What holds for them need not hold for a large model."
    )


def _figures(told: Mapping[str, Any]) -> str:
    parts = told["cost"].values()
    shown = []
    judged = told["comparison"]
    if judged is not None:
        means = {name: one["mean"] for name, one in judged["mixtures"].items() if one["mean"] is not None}
        if "search" in means:
            shown.append(("Final loss, found", f"{means['search']:.3f}", f"{len(judged['seeds'])} paired seeds"))
        others = {name: mean for name, mean in means.items() if name != "search"}
        if others:
            best = min(others, key=lambda name: others[name])
            shown.append(("Best of the others", f"{others[best]:.3f}", best))
    num_taken = sum(one["num_taken"] for one in parts)
    beside = f"; {number(num_taken)} taken over" if num_taken else ""
    trained = number(sum(one["num_runs"] for one in parts))
    shown.append(("Proxies trained", trained, f"for search, rules and random{beside}"))
    shown.append(("Tokens trained on", number(sum(one["tokens"] for one in parts)), ""))
    spent, operations = sum(one["seconds"] for one in parts), sum(one["flops"] for one in parts)
    work = f"; {flops(operations)}" if operations else ""
    shown.append(("Training time", seconds(spent), f"of one process{work}"))
    cells = "".join(
        f"<div><dt>{text(name)}</dt><dd>{text(value)}{f'<small>{text(beside)}</small>' if beside else ''}</dd></div>"
        for name, value, beside in shown
    )
    return f'<dl class="figures">{cells}</dl>'
