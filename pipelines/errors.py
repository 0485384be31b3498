"""Errors, named by what they cost: the run, one retry, or one record."""


class SirdarError(Exception):
    """Anything this program raises on purpose; the command prints it as one line."""


class SettingsError(SirdarError):
    """A setting is unknown or out of range; nothing has started."""


class InputError(SirdarError):
    """An input file or folder cannot be used at all; the text says which and what to do."""


class AccountingError(SirdarError):
    """Bytes or records of an input do not add up; the run stops, since something would be lost silently."""


class StoreError(SirdarError):
    """A stage folder holds something that its sidecars do not describe."""


class LeaseError(SirdarError):
    """Another live process is writing the same stage."""


class WorkerError(SirdarError):
    """A unit of work killed its process again and again; the text names the unit."""


class TrialError(SirdarError):
    """A proxy training failed; the journal holds the reason."""


class DropRecord(Exception):
    """One record cannot become a document; `reason` is counted and written to the rejects."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ContaminationError(SirdarError):
    """A dataset holds items of tests that it must not hold."""
