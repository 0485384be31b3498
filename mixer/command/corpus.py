"""`sirdar corpus`: what filters would keep, classifiers, takedowns."""

import typer

app = typer.Typer(no_args_is_help=True, help="Preview filters, train classifiers, take documents down.")
