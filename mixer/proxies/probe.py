"""A few seconds' measurement of what a training costs on this machine, with all processes busy as in a search.

The corpus's own trainer trains proxies of two lengths on the natural mixture, as many at once as there are processes:
how much longer the longer one takes is the price of its further tokens, and what is left is the fixed part. The
results are thrown away; nothing is journalled.
"""

import time
from collections.abc import Sequence
from typing import Any

from mixer import lineage as mixing
from mixer.objectives import SEARCH
from mixer.place import reading
from mixer.plan import Speed, natural
from mixer.proxies.trainers import close_trainers, trainer_of
from mixer.search import MixtureSearch
from mixer.searches import search_of
from mixer.trial import Result, Schedule, Trial
from pipelines.corpus import Corpus
from pipelines.errors import TrialError

SECONDS = 3.0  # of the longer trainings, about
SHORT_STEPS = 8
MIN_STEPS = 24  # between both lengths


def probed(corpus: Corpus) -> Speed:
    """Measured with the corpus's trainer; TrialError where its trainings fail."""
    with reading(mixing.search(corpus)) as folder:
        search = search_of(corpus, folder)
    trainer = trainer_of(corpus, SEARCH)
    workers = int(trainer.num_workers)
    try:
        step = search.proxy.sequence * search.proxy.batch
        short = min(SHORT_STEPS * step, max(step, search.settings.tokens // 4))
        first, _ = _timed(trainer, search, short, workers, seed=-1)
        once, _ = _timed(trainer, search, short, workers, seed=-2)
        again, trained = _timed(trainer, search, short, workers, seed=-3)
        fixed = min(once, again)
        each = max(result.seconds for result in trained) / short
        wanted = max(short + MIN_STEPS * step, round(SECONDS / max(each, 1e-9)))
        long = min(wanted, max(search.settings.tokens, 2 * short))
        whole, _ = _timed(trainer, search, long, workers, seed=-4)
        peak = trainer.peak_bytes
    finally:
        close_trainers()
    per_token = max(whole - fixed, 0.0) / (long - short)
    return Speed(
        start_seconds=max(0.0, first - fixed),
        fixed_seconds=max(0.0, fixed - per_token * short),
        token_seconds=per_token,
        workers=workers,
        peak_bytes=peak,
    )


def _timed(trainer: Any, search: MixtureSearch, tokens: int, num: int, *, seed: int) -> tuple[float, Sequence[Result]]:
    """Wall-clock seconds of so many equal trainings at once, and their results."""
    trials = [
        Trial(
            Schedule.static(natural(search), tokens),
            search.proxy,
            1000 * number - seed,
            search.data,
            0,
            number,
            "probe",
        )
        for number in range(num)
    ]
    found: list[Result] = []
    started = time.perf_counter()
    trainer.train(trials, found.append)
    spent = time.perf_counter() - started
    failed = [result.error for result in found if result.failed]
    if failed:
        raise TrialError(f"a training of {tokens:,} tokens failed: {failed[0] or 'its loss is not a number'}")
    return spent, found
