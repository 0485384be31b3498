"""Trainings of real text, journalled by key: strategies share what they both ask for, and a run resumes."""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from domains import SPLITS, VOCABULARY, World

from mixer.journal import Journal
from mixer.proxies.trainer import OnResult, ProcessTrainer
from mixer.trial import Result, Schedule, Trial
from pipelines.errors import TrialError
from pipelines.search_settings import Proxy

EVALUATED = {"search": 16_384, "final": 32_768}  # tokens of each held-out text


class Trainings:
    """A trainer over one journal, whichever half of the targets a trial's data names."""

    def __init__(self, folder: Path, texts: World, workers: int) -> None:
        self.folder, self._texts, self._workers = folder, texts, workers
        self._trainers: dict[str, ProcessTrainer] = {}
        self._open = ExitStack()
        self.num_trained = 0

    def __enter__(self) -> Self:
        self._journal = self._open.enter_context(Journal(self.folder / "trainings.jsonl"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def trial(self, weights: np.ndarray, proxy: Proxy, tokens: int, seed: int, split: str) -> Trial:
        return Trial(Schedule.static(weights, tokens), proxy, seed, self._texts.data(split), 0, 0)

    def train(self, trials: Iterable[Trial], on_result: OnResult) -> None:
        """Give what the journal knows, and train and record the rest."""
        missing: dict[str, dict[str, Trial]] = {split: {} for split in SPLITS}
        for trial in trials:
            entry = self._journal.get(trial.key)
            if entry is not None and not entry.result.failed:
                on_result(entry.result)
            else:
                split = next(split for split in SPLITS if trial.data == self._texts.data(split))
                missing[split][trial.key] = trial
        for split, some in missing.items():

            def recorded(result: Result, some: Mapping[str, Trial] = some) -> None:
                self._journal.record(some[result.key], result)
                self.num_trained += 1
                on_result(result)

            if some:
                self._trainer(split).train(list(some.values()), recorded)

    def losses(self, trials: Iterable[Trial]) -> dict[str, dict[str, float]]:
        """Nats by trial's key and held-out text; TrialError for one that failed."""
        found: dict[str, dict[str, float]] = {}

        def landed(result: Result) -> None:
            if result.failed:
                raise TrialError(f"training {result.key} failed: {result.error}")
            found[result.key] = {name: loss.nats for name, loss in result.losses.items()}

        self.train(trials, landed)
        return found

    def _trainer(self, split: str) -> ProcessTrainer:
        if split not in self._trainers:
            made = ProcessTrainer(
                self._texts.pools,
                self._texts.half(split),
                vocabulary=VOCABULARY,
                workers=self._workers,
                device="cpu",
                checkpoints=self.folder / "checkpoints",
                max_tokens=EVALUATED[split],
            )
            self._trainers[split] = self._open.enter_context(made)
        return self._trainers[split]
