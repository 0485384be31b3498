"""A trainer of one's own for the search: copy it, and put your model where the counts of pairs are.

    sirdar build -w ws --set 'search.trainer=["python3", "/path/to/trainer.py"]'

mixer/proxies/handover.py describes what comes in. What goes out is one line of JSON, the last of standard output. An
exit code other than 0 makes a failed trial, with the last line of standard error as its reason.
"""

import json
import math
import sys

import numpy as np

NUM_PAIRS = 1 << 18  # pairs of ids are hashed into so many counters


def pairs(ids):
    return (ids[:-1].astype(np.int64) * 31_337 + ids[1:]) % NUM_PAIRS


with open(sys.argv[1], encoding="utf-8") as file:
    trial = json.load(file)
context = trial["context"]
random = np.random.default_rng(trial["seed"])
of_pair, of_id = np.zeros(NUM_PAIRS), np.ones(context["vocabulary"])
for phase in trial["schedule"]["phases"]:
    for weight, pool in zip(phase["weights"], context["pools"], strict=True):
        if num := round(weight * phase["tokens"]):
            ids = np.memmap(pool["train"], context["dtype"], "r")
            ids = ids[(random.integers(len(ids)) + np.arange(num)) % len(ids)]
            of_pair += np.bincount(pairs(ids), minlength=NUM_PAIRS)
            of_id += np.bincount(ids, minlength=len(of_id))


def nats_of(ids):
    """Of each id after the first."""
    following = np.minimum(of_pair[pairs(ids)] / of_id[ids[:-1]], 1)
    return -np.log(0.5 * following + 0.5 * of_id[ids[1:]] / of_id.sum())


losses = {}
for name, groups in context["evaluations"].items():
    nats, bits = [], []
    for group in groups:
        nats.append(nats_of(np.load(group["path"])).mean())
        bits.append(nats[-1] / math.log(2) * group["tokens"] / group["num_bytes"])
    losses[name] = {"nats": np.mean(nats), "bits_per_byte": np.mean(bits)}
for name, task in context["tasks"].items():
    rows = []  # of each item: nats per token and bits per byte of the right answer, and whether it is the likeliest
    with open(task["path"], encoding="utf-8") as file:
        for item in map(json.loads, file):
            choices = item["choices"]
            nats = [nats_of(np.array(one["context"] + one["answer"]))[-len(one["answer"]) :].sum() for one in choices]
            right, chosen = choices[item["right"]], nats[item["right"]]
            per_char = [value / one["chars"] for value, one in zip(nats, choices, strict=True)]
            rows.append(
                (
                    chosen / len(right["answer"]),
                    chosen / math.log(2) / right["num_bytes"],
                    np.argmin(nats) == item["right"],
                    np.argmin(per_char) == item["right"],
                )
            )
    metrics = ("nats", "bits_per_byte", "accuracy", "accuracy_norm")
    losses[name] = dict(zip(metrics, np.mean(rows, axis=0), strict=True))
print(json.dumps({"losses": losses, "tokens": sum(phase["tokens"] for phase in trial["schedule"]["phases"])}))
