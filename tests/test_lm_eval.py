"""Task scores of a proxy against lm-evaluation-harness on the same proxy, exported, and the same files.

Runs where SIRDAR_PEERS names a folder that holds `lm-eval`, an environment with lm_eval 0.4.13, torch and
transformers, on the files of tasks in the shared test data.
"""

import json
import math
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixer.proxies.checkpoint import write_checkpoint
from mixer.proxies.choices import Choices, hits, loss_of
from mixer.proxies.evaluate import log_likelihoods
from mixer.proxies.train import train_model
from mixer.trial import Schedule, Trial
from pipelines import tasks
from pipelines.search_settings import Proxy
from pipelines.settings import Task
from pipelines.tokens import encode, load_tokenizer, train_bpe

SCRIPT = Path(__file__).parents[1] / "infra" / "benchmarks" / "mixer" / "peer_lm_eval.py"
PYTHON = Path(os.environ.get("SIRDAR_PEERS", "nowhere")) / "lm-eval" / "bin" / "python"
ITEMS = 40  # of each half
SEQUENCE = 128
QUESTION = "Question: {question}\nAnswer:"
ACCURACIES = [{"metric": name, "aggregation": "mean", "higher_is_better": True} for name in ("acc", "acc_norm")]

# name: our prompt, and what lm-eval is to make of the same fields
TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "arc_easy": (QUESTION, {"doc_to_text": "Question: {{question|trim}}\nAnswer:", "doc_to_target": "answer"}),
    "piqa": (QUESTION, {"doc_to_text": "Question: {{question|trim}}\nAnswer:", "doc_to_target": "answer"}),
    "hellaswag": ("{question}", {"doc_to_text": "{{question|trim}}", "doc_to_target": "answer"}),
    "boolq": ("{question}\nAnswer:", {"doc_to_text": "{{question|trim}}\nAnswer:", "doc_to_target": "answer"}),
    "winogrande": ("{question}", {"doc_to_text": "answer", "doc_to_target": "continuation"}),
    "lambada_openai": (
        "{question}",
        {
            "output_type": "loglikelihood",
            "doc_to_text": "{{question|trim}}",
            "doc_to_target": "{{' ' + answer}}",
            "metric_list": ACCURACIES[:1],
        },
    ),
}


@pytest.fixture(scope="module")
def compared(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[list[Any], Choices, Any, Any]]:
    """Of each task its items, their choices, what we measure of them, and what lm-eval does."""
    if not PYTHON.exists():
        pytest.skip("SIRDAR_PEERS names no environment with lm-eval")
    folder = tmp_path_factory.mktemp("lm-eval")
    read = {name: tasks.read_items(_task(shared, name)) for name in TASKS}
    every = [item.text for those in read.values() for item in those]
    tokenizer_json = train_bpe(iter(every), vocabulary=2048)
    tokenizer = load_tokenizer(tokenizer_json)
    proxy = Proxy(layers=2, width=64, heads=4, sequence=SEQUENCE, batch=4)
    trial = Trial(Schedule.static([1.0], 30_000), proxy, 7, "data", 0, 0)
    pool = np.asarray(encode(tokenizer, every).flatten())
    model = train_model(trial, pools=[pool], vocabulary=tokenizer.vocabulary).eval()
    write_checkpoint(folder / "model", model, tokenizer_json)
    items = {
        name: [item for item in those if len(tokenizer.library.encode(max(item.answers, key=len)).ids) < SEQUENCE]
        for name, those in read.items()
    }  # lm-eval ends at an answer that is longer than the model's sequence
    for name, those in items.items():
        _write_task(folder / "tasks", shared, name, {item.id for item in those})
    told = subprocess.run(
        [PYTHON, SCRIPT, folder / "model", folder / "tasks", *TASKS],
        check=True, stdout=subprocess.PIPE, text=True, env=_environment(folder),
    )  # fmt: skip
    theirs = json.loads(told.stdout.splitlines()[-1])
    return {
        name: (those, made, log_likelihoods(model, made), theirs[name])
        for name, those in items.items()
        for made in [Choices.of_table(tasks.choices(name, those, tokenizer))]
    }


@pytest.mark.peer
@pytest.mark.parametrize("name", TASKS)
def test_scores_of_every_item_are_those_of_lm_eval(name: str, compared: dict[str, Any]) -> None:
    items, choices, (logs, greedy), theirs = compared[name]
    samples = {sample["id"]: sample for sample in theirs["samples"]}
    assert samples.keys() == {item.id for item in items}
    their_logs = np.array([log for item in items for log, _ in samples[item.id]["responses"]])
    their_greedy = np.array([is_greedy for item in items for _, is_greedy in samples[item.id]["responses"]])
    apart = np.abs(logs - their_logs).max()
    assert apart < 1e-3
    assert greedy.tolist() == their_greedy.tolist()
    ours = loss_of(choices, logs, greedy)
    assert hits(choices, logs, greedy).tolist() == [bool(samples[item.id]["acc"]) for item in items]
    assert ours.accuracy == pytest.approx(theirs["results"]["acc,none"])
    if "acc_norm" in samples[items[0].id] and name != "winogrande":  # whose contexts lm-eval takes the lengths of
        wanted = [bool(samples[item.id]["acc_norm"]) for item in items]
        assert hits(choices, logs / choices.chars, greedy).tolist() == wanted
        assert ours.accuracy_norm == pytest.approx(theirs["results"]["acc_norm,none"])
    right = their_logs[choices.right] / [len(item.answers[item.right].encode()) for item in items]
    assert ours.bits_per_byte == pytest.approx(-right.mean() / math.log(2), abs=1e-4)
    print(
        f"\n{name}: {len(items)} items, log-likelihoods within {apart:.1e}, accuracy {ours.accuracy:.4f},"
        f" normalised {ours.accuracy_norm:.4f}, {ours.bits_per_byte:.4f} bits per byte"
    )


@pytest.mark.peer
def test_some_contexts_were_cut_and_some_answers_guessed(compared: dict[str, Any]) -> None:
    lengths = {name: np.diff(choices.ends, prepend=0) for name, (_, choices, _, _) in compared.items()}
    assert (lengths["boolq"] > SEQUENCE + 1).any()
    assert len({loss_of(choices, *found).accuracy for _, choices, found, _ in compared.values()}) > 2


def _task(shared: Path, name: str) -> Task:
    path = shared / "evals" / f"{name}.jsonl"
    return Task(name=name, path=str(path), prompt=TASKS[name][0], max_items=ITEMS)


def _write_task(folder: Path, shared: Path, name: str, ids: set[str]) -> None:
    """The file's own lines of these items, and lm-eval's description of the task (JSON is YAML)."""
    folder.mkdir(exist_ok=True)
    data = folder / f"{name}.jsonl"
    fields = ("id", "question", "choices", "answer", "continuation")
    with data.open("w") as file:
        for record in _records(shared / "evals" / f"{name}.jsonl"):
            if record["id"] in ids:
                file.write(
                    json.dumps({field: record[field] for field in fields if record.get(field) is not None}) + "\n"
                )
    told = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_choice": "choices",
        "metric_list": ACCURACIES,
        **TASKS[name][1],
    }
    if told["output_type"] == "loglikelihood":
        del told["doc_to_choice"]
    (folder / f"{name}.yaml").write_text(json.dumps(told))


def _records(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text().splitlines():
        yield json.loads(line)


def _environment(folder: Path) -> dict[str, str]:
    offline = {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HOME": str(folder / "hub"),
        "OMP_NUM_THREADS": "1",
    }
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | offline
