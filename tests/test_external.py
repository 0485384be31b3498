"""A user's own trainer and evaluator: real commands, what they print, and how they end."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_trainer import EVALUATIONS, POOLS, VOCABULARY, alive, collect, trial

from mixer.proxies.checkpoint import write_checkpoint
from mixer.proxies.external import CommandEvaluator, CommandTrainer
from mixer.proxies.model import Llama
from mixer.proxies.trainer import ProcessTrainer
from mixer.proxies.worker import Assignment, _outcome
from mixer.trial import Phase, Schedule
from pipelines import tokens
from pipelines.errors import TrialError
from pipelines.search_settings import Proxy

EXAMPLES = Path(__file__).parents[1] / "infra" / "examples"


def command(tmp_path: Path, body: str) -> list[str]:
    path = tmp_path / "theirs.py"
    path.write_text(f"import json, sys\ntrial = json.load(open(sys.argv[1]))\n{body}\n")
    return [sys.executable, "-S", str(path)]


@pytest.fixture(scope="module")
def tokenizer() -> bytes:
    return tokens.train_bpe(iter(["the small cat sat on the mat", "a mat is on the cat"] * 20), vocabulary=300)


# ---------------------------------------------------------------------------------------------------------
# A trainer


def test_command_reads_a_trial_and_writes_a_result(tmp_path: Path) -> None:
    body = """
assert json.load(sys.stdin) == trial
weights = trial["schedule"]["phases"][0]["weights"]
print("some progress")
losses = {trial["context"]["name"]: {"nats": weights[0], "bits_per_byte": trial["proxy"]["width"]}}
print(json.dumps({"key": trial["key"], "losses": losses, "tokens": 7}))
"""
    trainer = CommandTrainer(command(tmp_path, body), context={"name": "theirs"}, workers=2)
    trials = [trial(index, weights=(index / 4, 1 - index / 4)) for index in range(5)]
    results = collect(trainer, trials)
    for index, which in enumerate(trials):
        assert results[which.key].losses["theirs"].nats == index / 4
        assert results[which.key].losses["theirs"].bits_per_byte == 16
        assert results[which.key].tokens == 7
        assert results[which.key].seconds > 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("sys.exit('first\\nno GPU today\\n')", "exit code 1: no GPU today"),
        ("print('not json')", "no result .*: not json"),
        ("print('[1]')", "not an object"),
        ("print('[' * 200_000)", "no result"),
        ("sys.stdout.buffer.write(bytes(range(128, 256)))", "no result"),
        ("print('{}')", "no losses"),
        ("print(json.dumps({'losses': [1, 2]}))", "no losses"),
        ("print(json.dumps({'losses': {'x': {'bits_per_byte': 1}}}))", "the loss 'x' is .*nats"),
        ("print(json.dumps({'losses': {'x': {'nats': '1.5'}}}))", "the loss 'x' is '1.5', not a finite number"),
        ("print(json.dumps({'losses': {'x': {'nats': float('nan')}}}))", "is nan, not a finite number"),
        ("print('{\"losses\": {\"x\": {\"nats\": 1' + '0' * 400 + '}}}')", "not a finite number"),
        ("print(json.dumps({'losses': {'x': {'nats': 1, 'accuracy': 40}}}))", "'x', accuracy, is 40, no share"),
        ("print(json.dumps({'losses': {'x': {'nats': 1, 'accuracy_norm': 'a'}}}))", "accuracy_norm, is 'a', not a"),
        ("print(json.dumps({'losses': {'x': {'nats': 1}}, 'seconds': float('inf')}))", "seconds is inf"),
        ("print(json.dumps({'losses': {'x': {'nats': 1}}, 'tokens': 'many'}))", "tokens is 'many'"),
        ("print(json.dumps({'key': 'other', 'losses': {}}))", "answered for trial other"),
        ("print(json.dumps({'error': 'diverged'}))", "^diverged$"),
        ("pass", "printed nothing"),
        ("import os; os.kill(os.getpid(), 9)", "signal 9"),
    ],
)
def test_command_that_fails_is_a_failed_result(tmp_path: Path, body: str, message: str) -> None:
    [result] = collect(CommandTrainer(command(tmp_path, body)), [trial(1)]).values()
    assert result.failed
    assert re.search(message, result.error)
    json.dumps(result.to_json(), allow_nan=False)  # the journal takes it


def test_bits_per_byte_may_be_missing(tmp_path: Path) -> None:
    body = "print(json.dumps({'losses': {'x': {'nats': 1}}}))"
    [result] = collect(CommandTrainer(command(tmp_path, body)), [trial(1)]).values()
    assert result.losses["x"].nats == 1
    assert math.isnan(result.losses["x"].bits_per_byte)
    assert result.losses["x"].accuracy is None


def test_a_task_has_accuracies_too(tmp_path: Path) -> None:
    body = "print(json.dumps({'losses': {'x': {'nats': 1, 'accuracy': 0.4, 'accuracy_norm': 1}}}))"
    [result] = collect(CommandTrainer(command(tmp_path, body)), [trial(1)]).values()
    assert (result.losses["x"].value("accuracy"), result.losses["x"].value("accuracy_norm")) == (0.6, 0)


def test_command_that_is_not_there() -> None:
    [result] = collect(CommandTrainer(["/nowhere/trainer"]), [trial(1)]).values()
    assert "/nowhere/trainer cannot be run: No such file" in result.error


def test_what_a_command_leaves_in_the_background_is_not_waited_for(tmp_path: Path) -> None:
    """It holds the command's standard output, as services of training libraries do."""
    body = """
import subprocess
child = subprocess.Popen(["sleep", "1000"])
print("x" * 70_000, file=sys.stderr)
print("progress " * 300_000)
print(json.dumps({"losses": {"x": {"nats": 1}}, "seconds": child.pid}, ensure_ascii=False) + "\u2028 \u0085")
"""
    [result] = collect(CommandTrainer(command(tmp_path, body)), [trial(1)]).values()
    assert result.error == ""
    assert result.losses["x"].nats == 1
    assert gone([int(result.seconds)])


SLEEPS = """
import os, subprocess, time
child = subprocess.Popen(["sleep", "1000"])
with open({pids!r} + "." + str(os.getpid()), "w") as file:
    file.write(f"{{os.getpid()}} {{child.pid}}")
os.rename({pids!r} + "." + str(os.getpid()), {pids!r} + str(os.getpid()))
if trial["seed"] == 0:
    time.sleep(1000)
time.sleep(0.3)
print(json.dumps({{"losses": {{"x": {{"nats": 1}}}}}}))
child.kill()
"""


def started(tmp_path: Path, num: int) -> list[int]:
    """Process ids that `num` commands have written, their children's among them."""
    for _ in range(300):
        found = list(tmp_path.glob("pid[0-9]*"))
        if len(found) >= num:
            return [int(pid) for path in found for pid in path.read_text().split()]
        time.sleep(0.1)
    raise AssertionError(f"{num} commands have not started")


def gone(pids: list[int]) -> bool:
    for _ in range(100):
        if not any(map(alive, pids)):
            return True
        time.sleep(0.1)
    return False


def test_a_command_that_hangs_is_a_failed_trial_and_ends_with_its_children(tmp_path: Path) -> None:
    """Its standard output may be closed, and SIGTERM ignored: only a kill of the whole group ends such a one."""
    stubborn = "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.close(1)\n"
    stubborn += "print('waiting for a GPU', file=sys.stderr, flush=True)"
    words = command(tmp_path, stubborn + SLEEPS.format(pids=str(tmp_path / "pid")))
    trainer = CommandTrainer(words, max_minutes=0.04)
    [result] = collect(trainer, [trial(0)]).values()
    assert re.search(r"was ended after 0.04 minutes, search.max_program_minutes; .*: waiting for a GPU$", result.error)
    json.dumps(result.to_json(), allow_nan=False)
    assert gone(started(tmp_path, 1))


def test_an_error_in_the_callers_own_code_ends_the_commands_and_their_children(tmp_path: Path) -> None:
    trainer = CommandTrainer(command(tmp_path, SLEEPS.format(pids=str(tmp_path / "pid"))), workers=2)

    def full_disk(_: object) -> None:
        started(tmp_path, 2)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        trainer.train([trial(1), trial(0), trial(2)], full_disk)
    pids = started(tmp_path, 2)
    assert gone(pids)
    assert len(pids) in (4, 6)


PARENT = """
import sys
sys.path[:] = {path!r}
from test_trainer import trial
from mixer.proxies.external import CommandTrainer
CommandTrainer({command!r}, workers=2).train([trial(0), trial(0, tokens=3000)], print)
"""


def test_commands_end_with_a_killed_parent(tmp_path: Path) -> None:
    words = command(tmp_path, SLEEPS.format(pids=str(tmp_path / "pid")))
    path = [str(Path(__file__).parent), *sys.path]
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(path=path, command=words)])
    pids = started(tmp_path, 2)
    assert all(map(alive, pids))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    assert gone(pids)


def test_the_example_learns_what_it_is_given(tmp_path: Path) -> None:
    """Two pools of different ids: the more a trial has of the target's own, the lower its loss."""
    random = np.random.default_rng(0)
    ids = [random.integers(0, 50, 5000).astype("<u2"), random.integers(50, 100, 5000).astype("<u2")]
    for bucket in (0, 1):
        ids[bucket].tofile(tmp_path / f"{bucket}.bin")
    np.save(tmp_path / "target.npy", ids[0][:500])
    context = {
        "dtype": "<u2",
        "vocabulary": 100,
        "pools": [{"train": str(tmp_path / f"{bucket}.bin"), "train_tokens": 5000} for bucket in (0, 1)],
        "evaluations": {"search/x": [{"path": str(tmp_path / "target.npy"), "tokens": 500, "num_bytes": 1000}]},
        "tasks": {},
    }
    trainer = CommandTrainer([sys.executable, str(EXAMPLES / "trainer.py")], context=context, workers=2)
    phases = Schedule((Phase(1000, (0.0, 1.0)), Phase(2000, (0.9, 0.1))))
    trials = [trial(0, weights=(share, 1 - share)) for share in (0.0, 0.3, 1.0)]
    trials.append(replace(trials[0], schedule=phases))
    results = collect(trainer, trials)
    losses = [results[which.key].losses["search/x"].nats for which in trials]
    assert losses[0] > losses[1] > losses[2]
    assert [results[which.key].tokens for which in trials] == [which.schedule.tokens for which in trials]


# ---------------------------------------------------------------------------------------------------------
# An evaluator


def test_a_checkpoint_is_one_that_transformers_loads(tmp_path: Path, tokenizer: bytes) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    ours = tokens.load_tokenizer(tokenizer)
    model = Llama(Proxy(layers=1, width=16, heads=2, sequence=16), ours.vocabulary, seed=1)
    write_checkpoint(tmp_path, model, tokenizer)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    ids = theirs("the cat is on the mat", return_tensors="pt").input_ids
    assert ids[0].tolist() == tokens.encode(ours, ["the cat is on the mat"])[0].as_py()[:-1]
    assert theirs.eos_token_id == ours.end_of_text
    with torch.no_grad():
        again = AutoModelForCausalLM.from_pretrained(tmp_path)(ids).logits
        torch.testing.assert_close(again, model(ids), atol=1e-4, rtol=0)


def test_its_losses_stand_beside_ours(tmp_path: Path, tokenizer: bytes) -> None:
    body = """
import os
folder = sys.argv[2]
told = json.load(open(folder + "/trial.json"))
assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(os.listdir(folder))
print(json.dumps({"theirs": told["seed"] + 0.5, told["split"]: 2}))
"""
    path = tmp_path / "theirs.py"
    path.write_text(f"import json, sys\n{body}")
    evaluator = CommandEvaluator((sys.executable, "-S", str(path), "extra"), tokenizer, "final")
    trials = [trial(index, tokens=100) for index in range(2)]
    with ProcessTrainer(
        POOLS, EVALUATIONS, vocabulary=VOCABULARY, workers=1, device="cpu", evaluator=evaluator
    ) as trainer:
        results = collect(trainer, trials)
    for index, which in enumerate(trials):
        assert results[which.key].losses["theirs"].nats == index + 0.5
        assert results[which.key].losses["final"].nats == 2
        assert results[which.key].losses.keys() == {*EVALUATIONS, "theirs", "final"}


@pytest.mark.parametrize(
    ("printed", "message"),
    [
        ("print('{\"one\": 1}')", "a loss 'one', which the trainer gives too"),
        ("print('{\"x\": null}')", "the loss 'x' is None, not a finite number"),
        ("print('{}')", "without a loss"),
        ("print('0.7')", "not an object"),
        ("sys.exit('no questions')", "no questions"),
        ("import time; time.sleep(1000)", "was ended after 0.01 minutes"),
    ],
)
def test_an_evaluator_that_fails_is_a_failed_trial(
    tmp_path: Path, tokenizer: bytes, printed: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mixer.proxies.checkpoint

    monkeypatch.setattr(mixer.proxies.checkpoint, "write_checkpoint", lambda *_: None)
    path = tmp_path / "theirs.py"
    path.write_text(f"import sys\n{printed}\n")
    evaluator = CommandEvaluator(
        (sys.executable, "-S", str(path)), tokenizer, "search", max_minutes=0.01 if "sleep" in printed else 0
    )
    assignment = Assignment.of(POOLS, EVALUATIONS, VOCABULARY, "cpu", None, 100, evaluator)
    result = _outcome(trial(1, tokens=100), assignment, POOLS, EVALUATIONS)
    assert not isinstance(result, TrialError)
    assert message in result.error  # type: ignore[union-attr]
