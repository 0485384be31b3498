"""Ctrl-C for a child process, however the tests themselves were started."""

import signal


def interruptible() -> None:
    """As `preexec_fn`: a shell that runs the tests in its background has them and their children ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
