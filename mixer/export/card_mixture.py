"""Sections of the card: the mixture that was asked for and the one that is here, its phases, the evidence for it."""

from mixer.export.markdown import MISSING, Values, loss_of, numeral, percent, plain, table, whole

SHOWN_BASELINES = ("natural", "uniform", "nearest")


def mixture(manifest: Values) -> str:
    clusters, baselines = manifest["clusters"], manifest.get("baselines") or {}
    shown = [name for name in SHOWN_BASELINES if name in baselines]
    shown += sorted(name for name in baselines if name not in SHOWN_BASELINES)
    rows = [
        (
            cluster["id"],
            plain(cluster["name"]) or MISSING.format("name"),
            percent(cluster["weight_requested"]),
            percent(cluster["weight"]),
            *(percent(baselines[name][position]) for name in shown),
            whole(cluster["tokens"]),
            whole(cluster["documents"]),
            f"{cluster['epochs']:.2f}",
            "yes" if cluster["capped"] else "",
        )
        for position, cluster in enumerate(clusters)
    ]
    head = (
        "cluster",
        "name",
        "asked for",
        "here",
        *map(plain, shown),
        "tokens",
        "documents",
        "epochs",
        "capped",
    )
    budget = manifest["budget"]
    lines = ["## Mixture", "", *table(head, rows), ""]
    lacking = [name for name in SHOWN_BASELINES if name not in baselines]
    if lacking:
        lines += [MISSING.format("the weights of " + ", ".join(lacking)), ""]
    capped = [str(cluster["id"]) for cluster in clusters if cluster["capped"]]
    lines.append(
        f"No cluster is repeated more than {numeral(budget['max_epochs'])} times. "
        + (
            f"Clusters {', '.join(capped)} would have been; the others got the rest of their share. "
            if capped
            else "None would have been. "
        )
        + f"Weights differ from those asked for by {percent(budget['displaced'])} of the tokens in all; "
        f"seed {budget['seed']}."
    )
    return "\n".join(lines)


def phases(manifest: Values) -> str:
    """What to read first, and what next."""
    listed = manifest["phases"]
    asked = [f"phase {number} asked for" for number in range(1, len(listed) + 1)]
    here = [f"phase {number} here" for number in range(1, len(listed) + 1)]
    lines = [
        "## Phases",
        "",
        "The mixture changes in the course of training: files are to be read in the order of their names, and are not "
        "to be shuffled over phases. Within a phase rows stand shuffled; no file is of two phases.",
        "",
        *table(
            ("phase", "asked for", "here", "rows", "tokens", "files"),
            [
                (
                    number,
                    percent(phase["share_requested"]),
                    percent(phase["share"]),
                    whole(phase["rows"]),
                    whole(phase["tokens"]),
                    " to ".join(f"`{path}`" for path in dict.fromkeys((*phase["files"][:1], *phase["files"][-1:]))),
                )
                for number, phase in enumerate(listed, 1)
            ],
        ),
        "",
        *table(
            ("cluster", *(name for pair in zip(asked, here, strict=True) for name in pair)),
            [
                (
                    cluster["id"],
                    *(percent(phase[key][at]) for phase in listed for key in ("weights_requested", "weights")),
                )
                for at, cluster in enumerate(manifest["clusters"])
            ],
        ),
    ]
    return "\n".join(lines)


def evidence(manifest: Values) -> str:
    comparison = manifest.get("comparison")
    if not comparison or not comparison.get("mixtures"):
        return "## Evidence\n\n" + MISSING.format("a final comparison of models trained on each mixture")
    told = [
        f"{label} {plain(comparison[key])}"
        for key, label in (
            ("target", "target"),
            ("metric", "metric"),
            ("tokens", "tokens a run:"),
            ("seeds", "seeds:"),
        )
        if comparison.get(key) is not None
    ]
    rows = [
        (
            plain(row["name"]),
            loss_of(row.get("mean")),
            loss_of(row.get("spread")),
            ", ".join(loss_of(loss) for loss in row.get("losses") or ()) or MISSING.format("runs"),
        )
        for row in comparison["mixtures"]
    ]
    verdict = comparison.get("verdict")
    return "\n".join(
        [
            "## Evidence",
            "",
            f"Models trained on each mixture; {'; '.join(told)}. Lower is better.",
            "",
            *table(("mixture", "mean", "spread", "each seed"), rows),
            "",
            plain(verdict) if verdict else MISSING.format("a verdict"),
        ]
    )
