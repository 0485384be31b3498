import gzip
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from mixer.proxies.data import Evaluation
from mixer.proxies.evaluate import evaluate, windows
from mixer.proxies.model import Llama
from mixer.proxies.train import rate, train, train_model
from mixer.trial import Schedule, Trial
from pipelines.errors import TrialError
from pipelines.search_settings import Proxy

VOCABULARY = 96
PROXY = Proxy(layers=1, width=16, heads=2, sequence=16, batch=4)


def markov(seed: int, num: int) -> np.ndarray:
    """Tokens in which each is followed by one of two, so that there is something to learn."""
    random = np.random.default_rng(seed)
    following = random.integers(0, VOCABULARY, (VOCABULARY, 2))
    tokens = [0]
    for choice in random.integers(0, 2, num - 1):
        tokens.append(int(following[tokens[-1], choice]))
    return np.array(tokens, np.uint16)


POOLS = [markov(1, 4000), markov(2, 3000)]
EVALUATIONS = {
    "one": Evaluation(markov(1, 4500)[4000:], 1500),
    "two": Evaluation(markov(2, 3500)[3000:], 1500),
}


def trial(tokens: int = 6400, *, weights: tuple[float, ...] = (0.7, 0.3), seed: int = 1, **proxy: float) -> Trial:
    changed = PROXY.model_copy(update=proxy)
    return Trial(Schedule.static(weights, tokens), changed, seed, "data", round=1, index=0)


def trained(which: Trial, **arguments: object) -> dict[str, float]:
    result = train(which, pools=POOLS, evaluations=EVALUATIONS, vocabulary=VOCABULARY, **arguments)  # type: ignore[arg-type]
    return {name: loss.nats for name, loss in result.losses.items()}


# ---------------------------------------------------------------------------------------------------------


def test_learns_and_learns_what_it_is_given() -> None:
    start = evaluate(Llama(PROXY, VOCABULARY, seed=1), EVALUATIONS)
    first, second = trained(trial(weights=(1.0, 0.0))), trained(trial(weights=(0.0, 1.0)))
    assert start["one"].nats == pytest.approx(math.log(VOCABULARY), abs=0.3)
    assert first["one"] < start["one"].nats - 0.3
    assert first["one"] < second["one"]
    assert second["two"] < first["two"]


def test_result_says_what_was_trained() -> None:
    which = trial(1000)
    result = train(which, pools=POOLS, evaluations=EVALUATIONS, vocabulary=VOCABULARY)
    assert (result.key, result.tokens, result.error, result.failed) == (which.key, 16 * 64, "", False)
    assert result.seconds > 0
    assert list(result.losses) == ["one", "two"]


def test_same_trial_is_bit_equal_whatever_the_threads() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    first = trained(trial())
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    assert trained(trial()) == first
    torch.set_num_threads(before)
    assert trained(trial(seed=2)) != first


def test_model_is_the_one_that_is_measured() -> None:
    model = train_model(trial(), pools=POOLS, vocabulary=VOCABULARY)
    assert {name: loss.nats for name, loss in evaluate(model, EVALUATIONS).items()} == trained(trial())


def test_weight_decay_spares_embeddings_and_norms() -> None:
    plain, decayed = (
        train_model(trial(64, weight_decay=decay), pools=POOLS, vocabulary=VOCABULARY).state_dict()
        for decay in (0.0, 10.0)
    )
    moved = {name for name in plain if not torch.equal(plain[name], decayed[name])}
    assert moved == {name for name in plain if name.endswith(".weight")}


def test_rate_rises_stays_and_falls() -> None:
    proxy = Proxy(learning_rate=1.0, warmup=0.1, decay=0.2)
    rates = [rate(proxy, step, 40) for step in range(40)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert set(rates[4:32]) == {1.0}
    assert rates[32:] == pytest.approx([8 / 9, 7 / 9, 6 / 9, 5 / 9, 4 / 9, 3 / 9, 2 / 9, 1 / 9])
    assert rate(Proxy(warmup=0.5, decay=1.0), 0, 1) > 0


def test_divergence_is_an_error_of_the_trial() -> None:
    with pytest.raises(TrialError, match=r"not a number .* learning rate 1e\+20"):
        trained(trial(learning_rate=1e20))


# ---------------------------------------------------------------------------------------------------------
# Checkpoints


class Interrupted(Exception):
    pass


def test_stopped_at_any_step_and_resumed_is_bit_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mixer.proxies.train as module

    whole, path, step = trained(trial()), tmp_path / "trial.pt", module._step
    for stop in (1, 7, 60, 99):
        with monkeypatch.context() as patched:

            def stopping(run: module._Run, *arguments: object, stop: int = stop) -> torch.Tensor:
                if run.step == stop:
                    raise Interrupted
                return step(run, *arguments)  # type: ignore[arg-type]

            patched.setattr(module, "_step", stopping)
            with pytest.raises(Interrupted):
                trained(trial(), checkpoint=path, checkpoint_seconds=0)
        state = torch.load(path, weights_only=True)
        assert (state["step"], state["key"]) == (stop, trial().key)
        assert trained(trial(), checkpoint=path, checkpoint_seconds=1e9) == whole
        assert not list(tmp_path.iterdir())


KILLED = """
import sys
sys.path[:] = {path!r}
from pathlib import Path
from test_train import trained, trial
print(trained(trial({tokens}), checkpoint=Path({checkpoint!r}), checkpoint_seconds=0))
"""


def test_killed_process_resumes_bit_equal(tmp_path: Path) -> None:
    tokens, checkpoint = 16_000, tmp_path / "trial.pt"
    code = KILLED.format(path=[str(Path(__file__).parent), *sys.path], tokens=tokens, checkpoint=str(checkpoint))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.02)
    time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    assert process.communicate()[0] == b""
    assert 0 < torch.load(checkpoint, weights_only=True)["step"] < tokens // 64
    resumed = trained(trial(tokens), checkpoint=checkpoint)
    assert resumed == trained(trial(tokens))
    assert not list(tmp_path.iterdir())


def test_short_training_writes_no_checkpoint(tmp_path: Path) -> None:
    trained(trial(), checkpoint=tmp_path / "never" / "trial.pt")
    assert not list(tmp_path.iterdir())


def test_checkpoint_that_is_torn_costs_time_only_and_anothers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trial.pt"
    path.write_bytes(b"torn")
    assert trained(trial(), checkpoint=path) == trained(trial())
    torch.save({"key": "other"}, path)
    with pytest.raises(TrialError, match="is of trial other"):
        trained(trial(), checkpoint=path)


# ---------------------------------------------------------------------------------------------------------
# Evaluation


def test_loss_is_the_mean_over_every_token_but_the_first() -> None:
    model = train_model(trial(), pools=POOLS, vocabulary=VOCABULARY)
    tokens = POOLS[0][: 3 * 16 + 6]  # three windows and a bit
    parts = [tokens[start : start + 17].astype(np.int64) for start in (0, 16, 32, 48)]
    with torch.no_grad():
        nats = torch.cat(
            [
                functional.cross_entropy(
                    model(torch.from_numpy(part[None, :-1]))[0], torch.from_numpy(part[1:]), reduction="none"
                )
                for part in parts
            ]
        )
    assert len(nats) == len(tokens) - 1
    loss = evaluate(model, {"x": Evaluation(tokens, 200)})["x"]
    assert loss.nats == pytest.approx(float(nats.mean()), rel=1e-5)
    assert loss.bits_per_byte == pytest.approx(loss.nats * len(tokens) / math.log(2) / 200)


def test_groups_count_alike_whatever_their_size() -> None:
    model = train_model(trial(), pools=POOLS, vocabulary=VOCABULARY)
    big, small = Evaluation(POOLS[0][:1000], 3000), Evaluation(POOLS[1][:40], 100)
    empty = Evaluation(np.empty(0, np.uint16), 0)
    losses = evaluate(
        model, {"big": big, "small": small, "both": Evaluation.macro([big, empty, small])}, max_tokens=100_000
    )
    assert losses["both"].nats == pytest.approx((losses["big"].nats + losses["small"].nats) / 2)
    assert losses["both"].bits_per_byte == pytest.approx(
        (losses["big"].bits_per_byte + losses["small"].bits_per_byte) / 2
    )


def test_too_short_for_a_loss_is_left_out() -> None:
    model = Llama(PROXY, VOCABULARY)
    one = Evaluation(np.array([5], np.uint16), 3)
    assert not evaluate(model, {"one": one, "groups": Evaluation.macro([one])})
    assert list(evaluate(model, {"two": Evaluation(np.array([5, 6], np.uint16), 3)})) == ["two"]


def test_windows_cover_all_or_evenly_spaced() -> None:
    tokens = np.arange(100, dtype=np.uint16)
    inputs, targets = windows(tokens, sequence=16, max_tokens=1000)
    assert np.array_equal(targets[targets >= 0], np.arange(1, 100))
    assert np.array_equal(inputs[targets >= 0], np.arange(99))
    inputs, _ = windows(tokens, sequence=16, max_tokens=50)
    assert inputs[:, 0].tolist() == [16, 48, 80]
    assert len(windows(tokens, sequence=16, max_tokens=1)[0]) == 1


@pytest.mark.gpu
def test_cuda_is_bit_equal_and_near_the_cpu() -> None:
    first = trained(trial(), device="cuda")
    assert trained(trial(), device="cuda") == first
    assert first == pytest.approx(trained(trial()), abs=0.05)


def test_real_text_reaches_a_sane_loss(shared: Path) -> None:
    """Bytes as tokens: 60k of them take an encyclopedia below its unigram entropy."""
    with gzip.open(shared / "domains" / "encyclopedia_en.jsonl.gz", "rt", encoding="utf-8") as file:
        text = "\0".join(json.loads(line)["text"] for line, _ in zip(file, range(500), strict=False))
    tokens = np.frombuffer(text.encode(), np.uint8).astype(np.uint16)
    held_out = Evaluation(tokens[-8192:], 8192)
    shares = np.bincount(tokens) / len(tokens)
    unigram = -float((shares[shares > 0] * np.log(shares[shares > 0])).sum())
    which = Trial(Schedule.static((1.0,), 60_000), Proxy(width=32, sequence=64, batch=4), 1, "data", 1, 0)
    loss = train(which, pools=[tokens[:-8192]], evaluations={"x": held_out}, vocabulary=256).losses["x"]
    assert 1.5 < loss.nats < unigram - 0.3
    assert loss.bits_per_byte == pytest.approx(loss.nats / math.log(2))
