"""What a search's folder holds of each round: candidates as they were written, their trials, and what came of them.

    candidates/rules.parquet, round-1.parquet ..., random.parquet    written before their trials are trained

By number: 0 are the zero-training rules, then come the strategy's rounds, the last is what random search has beyond
round 1.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixer import candidates, evidence, phases
from mixer.candidates import Candidates
from mixer.journal import read
from mixer.runs import Objective, results
from mixer.trial import Trial
from pipelines.errors import StoreError, TrialError
from pipelines.search_settings import Proxy, Search


@dataclass(frozen=True)
class Proposals:
    """`data`: digest of token pools and targets. `about`: what candidates follow from, beside the journal."""

    folder: Path
    proxy: Proxy
    settings: Search
    data: str
    objective: Objective
    about: Mapping[str, Any]

    @property
    def journal(self) -> Path:
        return self.folder / "journal.jsonl"

    @property
    def random(self) -> int:
        """The round number of random search's further runs."""
        return len(self.settings.rounds) + 1

    def path(self, number: int) -> Path:
        names = {0: "rules", self.random: "random"}
        return self.folder / "candidates" / f"{names.get(number, f'round-{number}')}.parquet"

    def written(self, number: int, drawn: Callable[[], Candidates]) -> Path:
        """Write the round's candidates where there are none; StoreError where those there are of another search."""
        path = self.path(number)
        if path.exists():
            candidates.read(path, self._about(number))
        else:
            candidates.write(path, drawn(), self._about(number))
        return path

    def drawn(self, number: int) -> Candidates:
        if not self.path(number).exists():
            raise StoreError(f"{self.path(number)} is missing: round {number} has not been proposed")
        return candidates.read(self.path(number), self._about(number))

    def _about(self, number: int) -> dict[str, Any]:
        return {"round": number, **self.about}

    def trials(self, number: int) -> list[Trial]:
        """The round's trials, those of one candidate's seeds one after the other."""
        return [trial for trials in self._by_candidate(number) for trial in trials]

    def outcomes(self, number: int) -> list[evidence.Outcome]:
        """Every candidate of a round with what was predicted and measured; TrialError where one is untrained."""
        drawn = self.drawn(number)
        known = results(read(self.journal))
        trials = self._by_candidate(number)
        every = [trial for seeds in trials for trial in seeds]
        lacking = sum(trial.key not in known for trial in every)
        if lacking:
            raise TrialError(f"{lacking} of {len(every)} trials of round {number} are not trained yet; train it first")
        return [
            evidence.outcome(seeds[0], [known[trial.key] for trial in seeds], self.objective, *told)
            for seeds, *told in zip(trials, drawn.predicted, drawn.spread, drawn.fidelities, strict=True)
        ]

    def outcomes_up_to(self, number: int) -> list[evidence.Outcome]:
        """Those of rounds 1 to `number`, in order."""
        return [outcome for earlier in range(1, number + 1) for outcome in self.outcomes(earlier)]

    def trained(self, number: int) -> list[evidence.Outcome]:
        """A round's outcomes, and nothing for one that was never proposed."""
        return self.outcomes(number) if self.path(number).exists() else []

    def _by_candidate(self, number: int) -> list[list[Trial]]:
        drawn = self.drawn(number)
        return [
            [
                Trial(
                    schedule=phases.schedule(row, self.settings.phases, round(share * self.settings.tokens)),
                    proxy=self.proxy,
                    seed=self.settings.seed + repeat,
                    data=self.data,
                    round=number,
                    index=index,
                    name=name,
                )
                for repeat in range(self.settings.seeds)
            ]
            for index, (row, name, share) in enumerate(zip(drawn.weights, drawn.names, drawn.fidelities, strict=True))
        ]
