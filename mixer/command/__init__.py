"""The command `sirdar`: one subcommand per stage, and the few that look at or end the whole.

Imports are light here and heavy inside the functions: help must not load torch.
"""

import sys

import typer
from rich.markup import escape

from mixer.command import build, corpus, demo, domains, export, looking, mix, planning  # noqa: F401  planning adds to mix
from mixer.command.options import console
from pipelines.errors import SirdarError

INTERRUPTED = 130  # the exit code that typer gives to Ctrl-C

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__.splitlines()[0])
mix.app.command("domains")(domains.mix_domains)
for _commands in (build.app, looking.app, demo.app):
    app.add_typer(_commands)
for _name, _group in {
    "settings": looking.settings_app,
    "corpus": corpus.app,
    "takedown": corpus.takedown_app,
    "mix": mix.app,
    "export": export.app,
}.items():
    app.add_typer(_group, name=_name)


def main() -> None:
    """Run the command; an error is one line, with its traceback only after --debug."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    try:
        app(standalone_mode=True)
    except SirdarError as error:
        if debug:
            raise
        console.print(f"[red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            console.print("stopped; run the same command again to go on from here")
        raise
