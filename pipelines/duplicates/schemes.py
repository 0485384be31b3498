"""Bands, rows and shingles of MinHash: as published, as a threshold asks, or by number."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from pipelines.errors import SettingsError
from pipelines.settings import Duplicates

Unit = Literal["words", "chars"]


@dataclass(frozen=True)
class Scheme:
    """What signatures are made of: LSH bands, MinHash values in a band, units in a shingle."""

    bands: int
    rows: int
    ngram: int
    unit: Unit = "words"
    seed: int = 1  # of the random functions


# Bands, rows and shingles as published; the curve of each is steepest at a similarity of (1 / bands)^(1 / rows).
SCHEMES: Mapping[str, Scheme] = {
    "datatrove": Scheme(14, 8, 5),  # MinhashConfig of datatrove 0.10; 0.72
    "fineweb": Scheme(14, 8, 5),  # Penedo et al. 2024, "The FineWeb Datasets"; 0.72
    "refinedweb": Scheme(450, 20, 5),  # Penedo et al. 2023, "The RefinedWeb Dataset"; 0.74; of tokens there
    "dclm": Scheme(93, 15, 5),  # Li et al. 2024, "DataComp-LM", bands and rows; 0.74; the n-gram is the others'
    "duplodocus": Scheme(26, 11, 5),  # AI2's sample configuration; 0.74; of tokens there
    "curator": Scheme(20, 13, 24, "chars"),  # NeMo Curator's fuzzy deduplication; 0.79
}


def scheme_of(settings: Duplicates) -> Scheme:
    """What the settings choose: a published scheme, one for a threshold, or their own numbers.

    Raises SettingsError for a name that is none, and for a threshold that no bands and rows separate at.
    """
    if settings.scheme:
        if settings.scheme not in SCHEMES:
            raise SettingsError(f"duplicates.scheme: no {settings.scheme!r}; there are: {', '.join(SCHEMES)}")
        return replace(SCHEMES[settings.scheme], seed=settings.seed)
    if settings.threshold:
        found = scheme_for(settings.threshold, settings.num_functions, settings.ngram, settings.unit)
        return replace(found, seed=settings.seed)
    return Scheme(settings.bands, settings.rows, settings.ngram, settings.unit, settings.seed)


@lru_cache(maxsize=16)
def scheme_for(threshold: float, num_functions: int = 128, ngram: int = 5, unit: Unit = "words") -> Scheme:
    """Bands and rows of at most `num_functions` that separate best at a similarity, both errors weighing the same.

    By datasketch's optimiser, which minimises the area of the curve on the wrong side of `threshold`, in (0, 1).
    Raises SettingsError where one band alone would be best, which finds hardly any pair.
    """
    from datasketch import MinHashLSH

    try:
        chosen = MinHashLSH(threshold=threshold, num_perm=num_functions)
    except ValueError as error:
        raise SettingsError(
            f"duplicates.threshold = {threshold}: no bands and rows of {num_functions} functions separate there "
            f"({error}); take a lower threshold, or more duplicates.num_functions"
        ) from None
    return Scheme(chosen.b, chosen.r, ngram, unit)
