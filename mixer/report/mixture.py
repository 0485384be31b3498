"""Sections on the mixture: the weights beside the rules', how they came about, and what the clusters hold."""

from collections.abc import Mapping, Sequence
from typing import Any

from mixer.report.markup import link, number, section, share, table, text

RULES = ("natural", "uniform", "nearest")
MEANINGS = {"natural": "the crawl's own shares", "uniform": "equal shares", "nearest": "the target's own shares"}
SHOWN_TERMS = 5
MAX_ROWS = 40  # of clusters in tables; the rest is one line

Told = Mapping[str, Any]


def weights(told: Told) -> str:
    """A bar for what was found, marks for the rules, numbers, and how often the dataset repeats each cluster."""
    mixtures, clusters = told["mixtures"], told["clusters"]
    main = "found" if "found" in mixtures else "natural"
    order = _largest_first(mixtures[main])
    most = max(max(mixtures[name]) for name in (main, *RULES))
    rows = []
    for one in order[:MAX_ROWS]:
        terms = f'<span class="terms">{text(", ".join(clusters[one]["terms"][:SHOWN_TERMS]))}</span>'
        marks = "".join(
            f'<b class="{name}" style="left:{100 * mixtures[name][one] / most:.2f}%"></b>'
            for name in RULES
            if name != main
        )
        bar = f'<i style="width:{100 * mixtures[main][one] / most:.2f}%"></i>'
        shares = [f"<strong>{share(mixtures[main][one])}</strong>"] if main == "found" else []
        shares += [share(mixtures[name][one]) for name in RULES]
        epochs = [f"{told['epochs'][one]:.2f}"] if told["epochs"] else []
        rows.append(
            ("", [text(clusters[one]["name"]) + terms, f'<div class="track">{bar}{marks}</div>', *shares, *epochs])
        )
    head = [("cluster", "name"), ("", "bar"), *([("found", "n")] if main == "found" else [])]
    head += [(name, "n wide") for name in RULES] + ([("epochs", "n")] if told["epochs"] else [])
    keys = [f"<li><i></i>{main}</li>"] + [
        f'<li><b class="{name}"></b>{name}: {text(MEANINGS[name])}</li>' for name in RULES if name != main
    ]
    said = told["recommended"]
    note = "Share of the training tokens, largest first. Epochs: how often the dataset repeats each cluster."
    if said is not None and not said["final"]:
        note += " The search is not finished: this is what it would recommend now."
    more = f'<p class="small">and {len(order) - MAX_ROWS} smaller ones</p>' if len(order) > MAX_ROWS else ""
    return section("The mixture", f'<ul class="key">{"".join(keys)}</ul>', table(head, rows), more, note=note)


def tiers(told: Told) -> str:
    """Where clusters have tiers of quality: the share of each tier over all clusters, of what was found and by rule."""
    of = [cluster["tier"] for cluster in told["clusters"]]
    if max(of) == 1:
        return ""
    shown = [name for name in ("found", *RULES) if name in told["mixtures"]]
    rows = []
    for tier in range(max(of), 0, -1):
        mine = [one for one, other in enumerate(of) if other == tier]
        cells = [share(sum(told["mixtures"][name][one] for one in mine)) for name in shown]
        rows.append(("", [f"q{tier}, of {len(mine)} clusters", *cells]))
    note = (
        "Best tiers first; a cluster of few documents or scores lacks some. The target's own shares say nothing of"
        " them."
    )
    return section("Tiers of quality", table([("tier", "name"), *((name, "n") for name in shown)], rows), note=note)


def phases(told: Told) -> str:
    """Where the mixture found has phases: a bar for each cluster in each of them, all on one scale."""
    said = told["recommended"]
    parts = said.get("phases", []) if said is not None else []
    if not parts:
        return ""
    most = max(max(part["weights"]) for part in parts)
    rows = []
    for one in _largest_first(said["weights"])[:MAX_ROWS]:
        cells = [text(told["clusters"][one]["name"])]
        for part in parts:
            width = 100 * part["weights"][one] / most
            cells += [f'<div class="track"><i style="width:{width:.2f}%"></i></div>', share(part["weights"][one])]
        rows.append(("", cells))
    head = [("cluster", "name")]
    for place, part in enumerate(parts, 1):
        head += [(f"phase {place}: {share(part['share'])} of the tokens", "bar"), ("", "n")]
    note = "What is trained on one after the other. The shares above are those of all tokens, which the caps hold for."
    return section("Phases of the mixture", table(head, rows), note=note)


def over_rounds(told: Told) -> str:
    """What each round tried on average, and what was recommended after it."""
    fits, mixtures = told["rounds"], told["mixtures"]
    if not fits:
        return ""
    columns = {"natural": mixtures["natural"]}
    for fit in fits:
        columns[f"tried {fit['round']}"] = fit["mean_weights"]
        columns[f"after {fit['round']}"] = fit["recommended"]
    order = _largest_first(fits[-1]["recommended"])
    rows = [
        ("", [text(told["clusters"][one]["name"]), *(_cell(row[one]) for row in columns.values())])
        for one in order[:MAX_ROWS]
    ]
    head = [("cluster", "name"), *((name, "n") for name in columns)]
    return section(
        "Weights over rounds",
        table(head, rows, css="heat"),
        note="“tried”: mean of a round's proposals. “after”: what would have been recommended once it was fitted.",
    )


def clusters(told: Told) -> str:
    """What each cluster holds: terms, sizes, scores, and documents with their addresses."""
    mixtures = told["mixtures"]
    main = mixtures.get("found", mixtures["natural"])
    shown = []
    for one in _largest_first(main):
        cluster = told["clusters"][one]
        score = f", score {cluster['score']:.2f}" if cluster["score"] is not None else ""
        quotes = "".join(
            f"<blockquote><p>{text(example['text'])}</p>"
            + (f'<p class="small">{link(example["url"])}</p>' if example["url"] else "")
            + "</blockquote>"
            for example in cluster["examples"]
        )
        shown.append(
            f"<details><summary><strong>{text(cluster['name'])}</strong><span>{share(main[one])} of the mixture,"
            f" {number(cluster['tokens'])} tokens, {number(cluster['documents'])} documents{score}</span></summary>"
            f'<div class="inside"><p class="note">{text(", ".join(cluster["terms"]))}</p>{quotes}</div></details>'
        )
    note = "Terms that set each cluster apart, and a few of its documents, taken by id and not by how well they fit."
    return section("The clusters", *shown, note=note)


def _largest_first(row: Sequence[float]) -> list[int]:
    return sorted(range(len(row)), key=lambda one: -row[one])


def _cell(weight: float) -> str:
    """A share on a ground as strong as it is large."""
    return f'<div style="--w:{100 * weight:.1f}">{share(weight)}</div>'
