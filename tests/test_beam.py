"""The engine: maps and group-bys on the local runner, and the same functions on another one of Beam's."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import made_corpus
import numpy as np
import pytest

from pipelines import lineage
from pipelines.beam import run_group_by
from pipelines.corpus import Corpus
from pipelines.engine import run_map
from pipelines.errors import InputError, SettingsError
from pipelines.settings import Engine

ITEMS = [f"{number}" for number in range(20)]
ENGINES = {
    "in this process": Engine(workers=1),
    "two workers": Engine(workers=2),
    "another runner": Engine(runner="BundleBasedDirectRunner"),
}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    return ENGINES[request.param]


def write(folder: str, item: str) -> int:
    (Path(folder) / item).write_text(item)
    return 2 * int(item)


def refuse(folder: str, item: str) -> None:
    if item == "7":
        raise InputError("seven is broken")
    write(folder, item)


def emit(item: str) -> Iterator[tuple[int, np.ndarray]]:
    """The numbers below the item, by their remainder."""
    numbers = np.arange(int(item))
    for remainder in range(3):
        yield remainder, numbers[numbers % 3 == remainder]


def emit_and_refuse(item: str) -> Iterator[tuple[int, np.ndarray]]:
    yield from emit(item)
    if item == "19":
        raise SettingsError("nineteen is broken")


def add(folder: str, key: int, batches: list[np.ndarray]) -> None:
    path = Path(folder) / f"sum-{key}"
    assert not path.exists(), "a key is reduced once"
    path.write_text(f"{len(batches)} {int(np.concatenate(batches).sum())}")


def test_every_item_is_mapped_once(engine: Engine, tmp_path: Path) -> None:
    done: list[tuple[str, Any]] = []
    run_map(partial(write, str(tmp_path)), ITEMS, engine, lambda item, result: done.append((item, result)))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(ITEMS)
    if engine.runner == "local":  # elsewhere, progress is what lies in the store
        assert sorted(done) == sorted((item, 2 * int(item)) for item in ITEMS)


def test_batches_meet_by_key(engine: Engine, tmp_path: Path) -> None:
    run_group_by(emit, partial(add, str(tmp_path)), ITEMS, engine)
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    every = [number for item in ITEMS for number in range(int(item))]
    assert found == {f"sum-{key}": f"20 {sum(n for n in every if n % 3 == key)}" for key in range(3)}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failure_keeps_its_type_and_text(workers: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^seven is broken$"):
        run_map(partial(refuse, str(tmp_path)), ITEMS, Engine(workers=workers))


def test_nothing_is_reduced_of_groups_that_are_not_whole(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^nineteen is broken$"):
        run_group_by(emit_and_refuse, partial(add, str(tmp_path)), ITEMS, Engine(workers=1))
    assert list(tmp_path.iterdir()) == []


def test_a_failure_of_reducing_keeps_its_type(tmp_path: Path) -> None:
    def refusing(key: int, batches: list[Any]) -> None:
        raise InputError("full")

    with pytest.raises(InputError, match=r"^full$"):
        run_group_by(emit, refusing, ITEMS, Engine(workers=1))


def test_nothing_to_do_is_nothing_done() -> None:
    run_map(refuse, [], Engine())  # type: ignore[arg-type]


def test_stages_are_the_same_on_another_runner(built: Corpus, crawl_files: Path, encoder: Path, tmp_path: Path) -> None:
    other_runner = ("engine.runner=BundleBasedDirectRunner",)
    corpus = made_corpus.make(tmp_path, crawl_files, encoder, changes=other_runner)
    made_corpus.run_corpus(corpus, until="duplicates")
    mine, other = (lineage.duplicates(one, "crawl-1") for one in (corpus, built))
    assert mine.label == other.label
    assert mine.finished() == other.finished()
