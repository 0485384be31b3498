"""Leases: only one process writes a stage's folder, and a dead one's lease ends with it.

On a local disk that is a lock, which the kernel lets go of; on an object store, which has no locks, an object that is
renewed while its holder lives.
"""

import fcntl
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.errors import LeaseError

if TYPE_CHECKING:
    from pipelines.store import Workspace

LEASE_SECONDS = 300  # a lease on an object store that is not renewed for this long is abandoned


@contextmanager
def local_lease(folder: Path, label: str) -> Iterator[None]:
    """A lock on a file of the folder; LeaseError where another process holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lease").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise LeaseError(f"{label} is being written by {holder}; wait for it or stop it") from None
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield  # the lock goes with the descriptor, also when the process is killed


@contextmanager
def remote_lease(workspace: "Workspace", steps: tuple[str, ...]) -> Iterator[None]:
    """An object that says until when, renewed in the meantime; LeaseError where another's still stands."""
    place = (*steps, "lease.json")
    holder = f"process {os.getpid()} on {socket.gethostname()}"
    if workspace.exists(*place):
        held = workspace.read_json(*place)
        if held["until"] > time.time():
            raise LeaseError(f"{'/'.join(steps)} is being written by {held['holder']}; wait for it or stop it")
    ended = threading.Event()

    def hold() -> None:
        workspace.write_json({"holder": holder, "until": time.time() + LEASE_SECONDS}, *place)

    def renew() -> None:
        while not ended.wait(LEASE_SECONDS / 3):
            hold()

    hold()
    renewing = threading.Thread(target=renew, daemon=True)
    renewing.start()
    try:
        yield
    finally:
        ended.set()
        renewing.join()
        if workspace.exists(*place):  # not where the holder deleted the folder
            workspace.delete(*place)
