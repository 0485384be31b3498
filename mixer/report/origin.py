"""The section on how to make it again: commands, settings, digests, versions."""

import json
from collections.abc import Mapping
from typing import Any

from mixer.report.markup import section, table, text

COMMANDS = """\
sirdar settings show -w WORKSPACE
sirdar mix search -w WORKSPACE
sirdar mix comparison -w WORKSPACE"""


def how(told: Mapping[str, Any]) -> str:
    """Everything that the result follows from, beside the crawl itself."""
    made = told["made"]
    settings = [
        ("", [f"<code>{name}.{text(key)}</code>", f"<code>{text(json.dumps(value))}</code>"])
        for name, values in (("search", made["settings"]), ("proxy", made["proxy"]))
        for key, value in values.items()
    ]
    digests = [("search", made["folder"]), ("data", made["data"]), *made["inputs"].items()]
    known = [("", [text(name), f"<code>{text(value)}</code>"]) for name, value in digests]
    known += [("", [text(name), text(value)]) for name, value in made["versions"].items()]
    known.append(("", ["machine", text(made["machine"])]))
    return section(
        "How to make it again",
        f"<pre>{COMMANDS}</pre>",
        _folded("Settings of search and proxy", table([("setting", ""), ("value", "")], settings)),
        _folded("Digests and versions", table([("what", ""), ("", "")], known)),
        note="The same crawl, settings and versions give the same trials; on the same machine, the same"
        " losses to the bit.",
    )


def _folded(title: str, body: str) -> str:
    return f'<details><summary><strong>{text(title)}</strong></summary><div class="inside">{body}</div></details>'
