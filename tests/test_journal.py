import json
import multiprocessing
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixer.journal import Journal, read, write_whole
from mixer.trial import Loss, Result, Schedule, Trial
from pipelines.errors import LeaseError, StoreError
from pipelines.search_settings import Proxy


def trial(index: int, round: int = 1) -> Trial:
    return Trial(Schedule.static((0.5, 0.5), 100 * round + index), Proxy(), 1, "data", round, index)


def result(trial: Trial, nats: float = 3.0, error: str = "") -> Result:
    return Result(trial.key, {} if error else {"a": Loss(nats, 1.0)}, 100, 1.0, error)


def filled(path, num: int = 4) -> bytes:
    with Journal(path) as journal:
        for index in range(num):
            journal.record(trial(index), result(trial(index), 3 + index))
    return path.read_bytes()


def test_entries_come_back_sorted_whatever_order_they_came_in(tmp_path):
    trials = [trial(index, round) for round in (1, 2) for index in range(3)]
    for seed in range(3):
        path = tmp_path / f"{seed}.jsonl"
        with Journal(path) as journal:
            for one in random.Random(seed).sample(trials, len(trials)):
                journal.record(one, result(one))
            assert [entry.trial.index for entry in journal.entries()] == [0, 1, 2, 0, 1, 2]
        assert [entry.trial for entry in read(path)] == [entry.trial for entry in journal.entries()]
    assert read(tmp_path / "absent.jsonl") == ()


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 10**6))
def test_any_torn_end_loses_only_the_last_line(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    data = filled(path)
    cut %= len(data) + 1
    path.write_bytes(data[:cut])
    # Whole lines, and a last one that lacks nothing but its newline.
    whole = data[:cut].count(b"\n") + (cut < len(data) and data[cut : cut + 1] == b"\n")
    assert len(read(path)) == whole
    with Journal(path) as journal:
        assert len(journal.entries()) == whole
        journal.record(trial(9), result(trial(9)))
    assert len(read(path)) == whole + 1
    for line in path.read_bytes().splitlines():
        json.loads(line)


@pytest.mark.parametrize(
    ("where", "name", "value", "told"),
    [
        ("result", "seconds", "1", "'1' is no number"),
        ("result", "tokens", None, "cannot be interpreted as an integer"),
        ("result", "key", 5, "5 is no text"),
        ("result", "losses", {"a": {"nats": [3.0], "bits_per_byte": 1.0}}, r"\[3.0\] is no number"),
        ("trial", "round", "1", "cannot be interpreted as an integer"),
        ("trial", "name", None, "None is no text"),
    ],
)
def test_a_value_of_another_kind_is_an_error_with_its_line(tmp_path, where, name, value, told):
    path = tmp_path / "journal.jsonl"
    lines = [json.loads(line) for line in filled(path, 3).splitlines()]
    lines[1][where][name] = value
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(StoreError, match=rf"line 2 of 3 cannot be read \(.*{told}"):
        read(path)


def test_a_last_line_of_zeros_is_torn_and_damage_before_it_is_an_error(tmp_path):
    path = tmp_path / "journal.jsonl"
    data = filled(path)
    path.write_bytes(data + bytes(64))
    with Journal(path) as journal:
        assert len(journal.entries()) == 4
    assert path.read_bytes() == data
    lines = data.splitlines(keepends=True)
    path.write_bytes(lines[0] + b'{"trial"\n' + lines[2])
    with pytest.raises(StoreError, match="line 2 of 3"):
        read(path)
    with pytest.raises(StoreError, match="line 2 of 3"), Journal(path):
        pass
    path.write_bytes(data)
    with Journal(path):
        pass  # the failed opening has left no lock


def test_a_whole_line_that_cannot_be_read_is_never_cut_off(tmp_path):
    path = tmp_path / "journal.jsonl"
    data = filled(path)
    later = json.loads(data.splitlines()[-1])
    later["trial"]["proxy"]["unheard_of"] = 1
    for line in (later, {"kind": "note"}, {**later, "trial": later["trial"] | {"proxy": {}, "schedule": None}}, []):
        path.write_bytes(data + json.dumps(line).encode() + b"\n")
        before = path.read_bytes()
        with pytest.raises(StoreError, match=r"journal\.jsonl, line 5 of 5 cannot be read"):
            read(path)
        with pytest.raises(StoreError, match="line 5 of 5"), Journal(path):
            pass
        assert path.read_bytes() == before


def test_a_success_stands_and_a_later_one_replaces_failures(tmp_path):
    one, path = trial(0), tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        seen = []
        for error in ("oom", "lost", "", "oom"):
            journal.record(one, result(one, 3.5, error))
            entry = journal.get(one.key)
            seen.append(entry.result.error or entry.result.losses["a"].nats)
        assert seen == ["oom", "lost", 3.5, 3.5]
    assert len(path.read_bytes().splitlines()) == 4  # failures are lines too
    assert [entry.result.losses["a"].nats for entry in read(path)] == [3.5]


def test_result_of_another_trial_is_refused(tmp_path):
    with Journal(tmp_path / "journal.jsonl") as journal, pytest.raises(ValueError, match="recorded for trial"):
        journal.record(trial(0), result(trial(1)))


def _hold(path, held, release):
    with Journal(path):
        held.set()
        release.wait(30)


def test_one_writer_at_a_time_and_a_killed_one_leaves_no_lock(tmp_path):
    path = tmp_path / "journal.jsonl"
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(path, held, release))
    process.start()
    try:
        assert held.wait(60)
        with pytest.raises(LeaseError, match=rf"journal\.jsonl is being written by process {process.pid} on "):
            Journal(path).__enter__()
        assert read(path) == ()  # reading needs no lock
    finally:
        process.kill()
        process.join()
    with Journal(path) as journal:
        journal.record(trial(0), result(trial(0)))
    process.close()


def test_an_interrupted_record_leaves_no_half_line(tmp_path, monkeypatch):
    path = tmp_path / "journal.jsonl"
    data = filled(path)
    with Journal(path) as journal:
        monkeypatch.setattr("os.fsync", lambda handle: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            journal.record(trial(8), result(trial(8)))
        monkeypatch.undo()
        assert path.read_bytes() == data
        assert journal.get(trial(8).key) is None


def test_write_whole_replaces_or_leaves_the_old(tmp_path, monkeypatch):
    path = tmp_path / "folder" / "x.json"
    write_whole(path, b"old")
    monkeypatch.setattr("os.fsync", lambda handle: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in path.parent.iterdir()] == ["x.json"]
