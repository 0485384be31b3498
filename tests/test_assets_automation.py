"""The sensor and the schedule, evaluated as the daemon does it, on an instance of their own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import tiny

from assets import automation, definitions
from pipelines.corpus import choose, keep
from pipelines.crawls import registered
from pipelines.errors import InputError
from pipelines.store import Workspace


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as made:
        yield made


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an empty workspace `ws`, and `crawls`, which is watched."""
    workspace = Workspace(str(tmp_path / "ws"))
    keep(workspace, choose(workspace, None, preset="laptop", changes=[]))
    (tmp_path / "crawls").mkdir()
    monkeypatch.setenv("SIRDAR_CRAWLS", str(tmp_path / "crawls"))
    return tmp_path


class Ticks:
    """One sensor, tick by tick; what it asks for is done as the daemon does it."""

    def __init__(self, workspace: Path, instance: dg.DagsterInstance) -> None:
        self.sensor = automation.new_crawls(str(workspace))
        self.instance = instance
        self.definitions = definitions.build(str(workspace))
        self.cursor: str | None = None

    def tick(self) -> Any:
        context = dg.build_sensor_context(self.instance, cursor=self.cursor, definitions=self.definitions)
        told = self.sensor.evaluate_tick(context)
        self.cursor = told.cursor
        for request in told.dynamic_partitions_requests:
            self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        return told


def add_crawl(place: Path, name: str, texts: list[str]) -> None:
    tiny.write_jsonl(place / "crawls" / name / "part.jsonl", [{"url": t, "text": t} for t in texts])


def test_a_new_folder_becomes_a_partition_and_a_run(place: Path, instance: dg.DagsterInstance) -> None:
    ticks = Ticks(place / "ws", instance)
    add_crawl(place, "2026-11", ["one"])
    assert not ticks.tick().run_requests  # it may still be growing
    told = ticks.tick()
    assert [request.run_key for request in told.run_requests] == ["2026-11"]
    assert told.run_requests[0].tags["dagster/asset_partition_range_end"] == "2026-11"
    assert [event.partition for event in told.asset_events] == ["2026-11"]
    assert instance.get_dynamic_partitions("crawls") == ["2026-11"]
    assert [crawl.name for crawl in registered(Workspace(str(place / "ws")))] == ["2026-11"]
    assert not ticks.tick().run_requests
    assert not ticks.tick().run_requests


def test_a_growing_folder_waits(place: Path, instance: dg.DagsterInstance) -> None:
    ticks = Ticks(place / "ws", instance)
    for size in (1, 2, 3):
        add_crawl(place, "growing", ["text"] * size)
        assert not ticks.tick().run_requests
    assert ticks.tick().run_requests


def test_an_empty_folder_is_no_crawl(place: Path, instance: dg.DagsterInstance) -> None:
    ticks = Ticks(place / "ws", instance)
    (place / "crawls" / "empty").mkdir()
    assert not any(ticks.tick().run_requests for _ in range(3))


def test_several_new_folders_are_one_run_in_the_order_of_their_names(place: Path, instance: dg.DagsterInstance) -> None:
    ticks = Ticks(place / "ws", instance)
    for name in ("2026-12", "2026-10", "2026-11"):
        add_crawl(place, name, [name])
    ticks.tick()
    (request,) = ticks.tick().run_requests
    assert request.tags["dagster/asset_partition_range_start"] == "2026-10"
    assert request.tags["dagster/asset_partition_range_end"] == "2026-12"
    assert instance.get_dynamic_partitions("crawls") == ["2026-10", "2026-11", "2026-12"]


def test_a_crawl_that_the_command_registered_gets_its_partition_and_no_run(
    place: Path, instance: dg.DagsterInstance
) -> None:
    from pipelines.crawls import register

    add_crawl(place, "by-hand", ["text"])
    register(Workspace(str(place / "ws")), "by-hand", [str(place / "crawls" / "by-hand")])
    ticks = Ticks(place / "ws", instance)
    told = ticks.tick()
    assert not told.run_requests
    assert instance.get_dynamic_partitions("crawls") == ["by-hand"]


def test_without_a_folder_to_watch_the_sensor_says_so(
    place: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = Ticks(place / "ws", instance)
    monkeypatch.setenv("SIRDAR_CRAWLS", str(place / "absent"))
    with pytest.raises(InputError, match="is no folder"):
        ticks.tick()
    monkeypatch.delenv("SIRDAR_CRAWLS")
    assert "SIRDAR_CRAWLS" in ticks.tick().skip_message


def test_the_monthly_run_takes_every_crawl(place: Path, instance: dg.DagsterInstance) -> None:
    schedule = automation.monthly(str(place / "ws"))
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    assert "no crawl" in schedule.evaluate_tick(dg.build_schedule_context(instance)).skip_message
    ticks = Ticks(place / "ws", instance)
    for name in ("a", "b"):
        add_crawl(place, name, [name])
    ticks.tick()
    ticks.tick()
    (request,) = schedule.evaluate_tick(dg.build_schedule_context(instance)).run_requests
    assert request.tags["dagster/asset_partition_range_start"] == "a"
    assert request.tags["dagster/asset_partition_range_end"] == "b"
