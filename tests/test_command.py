"""The command as a person meets it: help, errors of one line, a dry run that changes nothing."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import made_corpus
import pytest
from interrupts import interruptible
from made_searches import copied
from typer.main import get_command

from mixer import command, job
from mixer import lineage as mixing
from mixer.command.corpus import _listed
from pipelines import lineage
from pipelines.configuration import resolved
from pipelines.corpus import Corpus, choose
from pipelines.stages import run_dialects
from pipelines.store import Workspace

Run = Callable[..., tuple[int, str, str]]


def _commands() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []

    def walk(group: object, path: tuple[str, ...]) -> None:
        for name, one in group.commands.items():  # type: ignore[attr-defined]
            if hasattr(one, "commands"):
                walk(one, (*path, name))
            else:
                found.append((*path, name))

    walk(get_command(command.app), ())
    return found


@pytest.mark.parametrize("path", _commands(), ids=" ".join)
def test_help_of_every_command_has_an_example_that_names_it(sirdar: Run, path: tuple[str, ...]) -> None:
    code, out, _ = sirdar(*path, "--help")
    assert code == 0
    example = re.search(r"Example: (.*)", out)
    assert example, f"no example in the help of {' '.join(path)}"
    assert re.search(rf"sirdar (mix )?{' '.join(path)}", example[1])


def test_every_stage_has_a_command_of_its_name() -> None:
    names = {path[-1] for path in _commands()}
    assert {step.command for step in job.STEPS if step.scope != "round"} <= names


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["status", "-w", "{tmp}/none"], "no workspace yet; start one with `sirdar build"),
        (["build", "{tmp}/nothing", "-w", "{tmp}/ws"], "is no file, folder or pattern"),
        (["build", "-w", "{tmp}/ws"], "no crawl yet; name its files"),
        (["build", "-w", "{tmp}/ws", "--set", "quality.limit=2"], "did you mean 'quality.limits'?"),
        (["build", "-w", "{tmp}/ws", "--preset", "huge"], "no preset 'huge'; there are: climb, demo, laptop"),
        (["ui", "-w", "{tmp}"], "was not built through Dagster"),
    ],
)
def test_an_error_is_one_line_and_exit_code_one(sirdar: Run, tmp_path: Path, arguments: list[str], told: str) -> None:
    code, out, err = sirdar(*(argument.format(tmp=tmp_path) for argument in arguments))
    assert code == 1
    assert out == ""
    assert err.startswith("error: ")
    assert told in err
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_an_error_shows_its_traceback_when_asked(tmp_path: Path) -> None:
    code = "from mixer.command import main; main()"
    command = [sys.executable, "-c", code, "status", "-w", str(tmp_path / "none"), "--debug"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr
    assert "SirdarError" in ended.stderr


def test_a_failed_start_leaves_no_workspace(sirdar: Run, tmp_path: Path) -> None:
    sirdar("build", tmp_path / "nothing", "-w", tmp_path / "ws")
    sirdar("build", "-w", tmp_path / "ws", "--set", "quality.limit=2")
    assert not (tmp_path / "ws").exists()


def test_a_dry_run_tells_the_plan_and_changes_nothing(sirdar: Run, crawl_files: Path, tmp_path: Path) -> None:
    arguments = ["build", crawl_files / "crawl-1", "-w", tmp_path / "ws", "--crawl", "first", "--dry-run"]
    code, out, _ = sirdar(*arguments)
    assert code == 0
    assert "crawl first: 5 files, 0.1 MB to read" in out
    assert not (tmp_path / "ws").exists()


def test_a_dry_run_of_changed_settings_says_what_can_be_reused(sirdar: Run, built: Corpus) -> None:
    root = Path(built.workspace.root)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    code, out, _ = sirdar("build", "-w", root, "--set", "quality.limits.gopher_short_doc=60", "--dry-run")
    assert code == 0
    told = {tuple(line.split()[:2]): line for line in out.splitlines()}
    assert "7 parts, 170 rows to reuse" in told["signals", "crawl-1"]
    assert told["verdicts", "crawl-1"].endswith("would run")
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_stages_can_be_run_one_by_one(sirdar: Run, crawl_files: Path, encoder: Path, tmp_path: Path) -> None:
    corpus = made_corpus.make(tmp_path / "ws", crawl_files, encoder, names=("crawl-1", "crawl-2"))
    for name in ("targets", "documents", "edits", "signals"):
        code, _, err = sirdar(name, "-w", tmp_path / "ws")
        assert code == 0
        assert len(err.splitlines()) == (1 if name == "targets" else 2)
    assert "kept 170 of" in sirdar("documents", "-w", tmp_path / "ws", "--crawl", "crawl-1")[2]
    assert lineage.signals(corpus, "crawl-2").finished()["rows"] == 87
    code, _, err = sirdar("edits", "-w", tmp_path / "ws", "--crawl", "crawl-9")
    assert (code, "no crawl 'crawl-9'" in err) == (1, True)
    code, _, err = sirdar("tokens", "-w", tmp_path / "ws")
    assert (code, "is not there yet; run `sirdar" in err) == (1, True)


def test_status_is_for_people_and_for_programs(sirdar: Run, built: Corpus) -> None:
    code, out, _ = sirdar("status", "-w", built.workspace.root)
    assert code == 0
    assert re.search(r"documents +crawl-1 +170 rows +kept 170 of 264: type_request 86", out)
    code, out, _ = sirdar("status", "-w", built.workspace.root, "--json")
    rows = {(row["stage"], row["crawl"]): row for row in json.loads(out)}
    assert code == 0
    counts = rows["documents", "crawl-1"]["counts"]
    assert counts["read"] == counts["kept"] + sum(counts["dropped"].values()) + rows["documents", "crawl-1"]["errors"]
    assert rows["documents", "crawl-1"]["bytes_lost"] == counts["bytes_lost"] > 0


def test_trace_tells_a_documents_way(sirdar: Run, built: Corpus) -> None:
    code, out, _ = sirdar("trace", "http://one.example/astronomy-5", "-w", built.workspace.root)
    assert code == 0
    stages = [line.split()[0] for line in out.splitlines()]
    assert stages[0] == "documents"
    assert stages[-1] == "tokens"


def test_a_preview_of_another_pipelines_preset_computes_its_signals(sirdar: Run, built: Corpus, tmp_path: Path) -> None:
    shutil.copytree(built.workspace.root, tmp_path / "ws", symlinks=True)
    changes = ("quality.limits={}", "quality.without=[]", "quality.preset=curator")
    asked = ["corpus", "preview", "-w", tmp_path / "ws", *(word for change in changes for word in ("--set", change))]
    code, computed, told = sirdar(*asked)
    assert code == 0
    assert "crawl-1: the signals of curator are computed for" in told
    workspace = Workspace(str(tmp_path / "ws"))
    curator = Corpus(workspace, resolved(choose(workspace, None, preset=None, changes=changes)))
    for crawl in curator.crawls:
        run_dialects(curator, crawl.name)
    code, kept, told = sirdar(*asked)
    assert (code, told) == (0, "")
    assert kept == computed


def test_a_preview_refuses_what_is_not_there(sirdar: Run, built: Corpus) -> None:
    asked = ("corpus", "preview", "-w", built.workspace.root, "--set", "quality.limits.gopher_short_doc=20")
    code, _, told = sirdar(*asked, "--crawl", "nope")
    assert code == 1
    assert "no crawl 'nope' in" in told
    code, _, told = sirdar(*asked, "--samples", "-1")
    assert code == 2
    assert re.search(r"samples.*0", told)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (None, "list.txt cannot be read as lines of UTF-8"),
        (b"domain a\xff.example\n", "list.txt cannot be read as lines of UTF-8"),
        ("domain a.example\n".encode("utf-16"), "list.txt cannot be read as lines of UTF-8"),
        (b"page a.example\n", "list.txt, line 1: 'page a.example' begins with none of url, domain and id"),
    ],
)
def test_a_list_of_takedowns_that_cannot_be_read_is_named(
    sirdar: Run, tmp_path: Path, data: bytes | None, told: str
) -> None:
    path = tmp_path / "list.txt"
    if data is not None:
        path.write_bytes(data)
    code, out, err = sirdar("takedown", "add", "--file", path, "--reason", "asked", "-w", tmp_path / "ws")
    assert (code, out) == (1, "")
    assert told in err
    assert err.count("\n") == 1


def test_a_list_of_takedowns_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes("\ufeffdomain a.example\r\n\r\nurl http://b.example/p\r\n".encode())
    assert _listed(path) == [("domain", "a.example"), ("url", "http://b.example/p")]


def test_show_and_verify_a_finished_job(sirdar: Run, built: Corpus) -> None:
    code, out, _ = sirdar("mix", "show", "-w", built.workspace.root)
    assert code == 0
    assert "Mixture" in out
    assert "nearest" in out
    folder = built.workspace.local(*mixing.dataset(built).steps)
    code, out, _ = sirdar("export", "verify", folder)
    assert (code, "is as its manifest says" in out.replace("\n", "")) == (0, True)
    assert sirdar("export", "verify", folder / "data")[0] == 1


def test_show_tells_what_is_there_and_the_command_of_what_is_not(sirdar: Run, unbroken: Corpus, tmp_path: Path) -> None:
    corpus = copied(unbroken, tmp_path, keep=("search", "mixture", "comparison"))
    code, out, _ = sirdar("mix", "show", "-w", corpus.workspace.root)
    assert (code, "paired seeds" in out, "No dataset of it yet: sirdar dataset" in out) == (0, True, True)
    shutil.rmtree(corpus.workspace.local("comparison"))
    code, out, _ = sirdar("mix", "show", "-w", corpus.workspace.root)
    assert (code, "Mixture" in out, "Not compared yet" in out) == (0, True, True)
    shutil.rmtree(corpus.workspace.local("mixture"))
    assert sirdar("mix", "show", "-w", corpus.workspace.root)[0] == 1


@pytest.mark.parametrize("preset", ["climb", "demo", "laptop"])
def test_settings_are_shown_with_their_meaning(sirdar: Run, preset: str) -> None:
    code, out, _ = sirdar("settings", "show", "--preset", preset)
    assert code == 0
    assert f'preset = "{preset}"' in out
    assert re.search(r"quality.limits.gopher_short_doc = \d+\.0 +num_words, at least", out)
    assert preset in sirdar("settings", "presets")[1].split()


def test_clean_says_what_and_deletes_only_when_told(
    sirdar: Run, crawl_files: Path, encoder: Path, tmp_path: Path
) -> None:
    corpus = made_corpus.make(tmp_path / "ws", crawl_files, encoder)
    made_corpus.run_corpus(corpus, until="verdicts")
    old = lineage.verdicts(corpus, "crawl-1")
    assert "0 folders, 0.0 MB; --yes deletes them" in sirdar("clean", "-w", tmp_path / "ws")[1]
    made_corpus.changed(corpus, "quality.limits.gopher_short_doc=60")
    _, out, _ = sirdar("clean", "-w", tmp_path / "ws")
    assert old.label in out
    assert old.manifest() is not None
    with old.lease():  # as a job under the other settings holds it
        _, out, _ = sirdar("clean", "-w", tmp_path / "ws", "--yes")
    assert f"kept: {old.label} is being written by process {os.getpid()}" in out
    assert "0 folders, 0.0 MB deleted" in out
    assert old.manifest() is not None
    _, out, _ = sirdar("clean", "-w", tmp_path / "ws", "--yes")
    assert "1 folders" in out
    assert old.manifest() is None
    assert lineage.signals(corpus, "crawl-1").manifest() is not None


def test_an_interrupt_ends_it_at_once_and_in_one_line(tmp_path: Path, built: Corpus) -> None:
    corpus = copied(built, tmp_path)
    corpus.workspace.delete("signatures")
    # the job as the command runs it, slowed down so that the interrupt finds it in the middle of a stage
    code = (
        "import time; from pipelines.duplicates import minhash; slow = minhash.signatures\n"
        "minhash.signatures = lambda texts, scheme: time.sleep(0.02 * len(texts)) or slow(texts, scheme)\n"
        "from mixer.command import main; main()"
    )
    command = [sys.executable, "-c", code, "build", "-w", corpus.workspace.root]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, preexec_fn=interruptible, **pipes) as running:
        deadline = time.monotonic() + 60
        parts = tmp_path / "ws" / "signatures" / "crawl-1"
        while not list(parts.rglob("part-*.json")) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(running.pid, signal.SIGINT)
        sent = time.monotonic()
        _, told = running.communicate(timeout=60)
        assert time.monotonic() - sent < 5
    assert running.returncode == 130, told
    assert told.splitlines()[-1] == "stopped; run the same command again to go on from here"
    assert "Traceback" not in told
    made_corpus.run_corpus(corpus, until="signatures")
    for crawl in ("crawl-1", "crawl-2"):
        assert lineage.signatures(corpus, crawl).finished() == lineage.signatures(built, crawl).finished()
