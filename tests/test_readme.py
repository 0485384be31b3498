"""The README's commands exist, with the options that it gives them; its links point at files."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from mixer.command import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = [line.strip() for line in README.splitlines() if line.startswith("    ")]
COMMANDS = [line.split("  ")[0] for line in LINES if line.startswith("sirdar ")]
TARGETS = sorted({line.split()[1] for line in LINES if line.startswith("make ")})


def _options(words: list[str]) -> set[str]:
    """Every option of the command that the words name."""
    command = typer.main.get_command(app)
    for word in words:
        nested = getattr(command, "commands", {}).get(word)
        if nested is None:
            break
        command = nested
    assert not getattr(command, "commands", {}), f"no such command: {words}"
    return {option for parameter in command.params for option in parameter.opts}


def test_the_readme_gives_commands() -> None:
    assert len(COMMANDS) >= 5
    assert {"demo", "ui", "test", "check"} <= set(TARGETS)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_takes_the_options_that_the_readme_gives_it(line: str) -> None:
    words = shlex.split(line)[1:]
    options = _options([word for word in words if not word.startswith("-")])
    assert {word for word in words if word.startswith("--")} <= options


@pytest.mark.parametrize("target", TARGETS)
def test_make_has_the_target(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_a_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_the_presets_and_settings_that_the_readme_names_exist() -> None:
    from pipelines import configuration

    known = {key for key, _, _ in configuration.explained(configuration.load())}
    for key in re.findall(r"`(?:--set )?((?:quality|embeddings|engine)\.[a-z_]+)", README):
        assert key in known
    for preset in ("demo", "laptop", "climb"):
        assert f"`{preset}`" in README
        assert preset in configuration.presets()
