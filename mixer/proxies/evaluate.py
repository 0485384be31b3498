"""Losses on held-out token arrays, in nats per token and bits per UTF-8 byte, which compares tokenisers; and on tasks.

Every token but the first is predicted once, in windows of the model's sequence length that start cold. A cap
takes whole windows at evenly spaced fixed places, so that all trials of a search see the same tokens and
differences between them are paired. Of a task every item is read, each choice in its own context.
"""

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from mixer.proxies.choices import Choices, loss_of
from mixer.proxies.choices import windows as windows_of
from mixer.proxies.data import MAX_TOKENS, Evaluation, Integers, Tokens
from mixer.proxies.model import LOGITS_BYTES, Llama
from mixer.trial import Loss

POSITIONS = {"cpu": 4096, "cuda": 65_536}  # in one forward pass
PADDING = -1  # as a target: does not count


def evaluate(
    model: Llama, evaluations: Mapping[str, Evaluation | Choices], *, max_tokens: int = MAX_TOKENS
) -> dict[str, Loss]:
    """Loss by name, in float32, on at most about `max_tokens` of each evaluation, all its groups together.

    Bits per byte = nats per token / ln 2 x tokens / bytes, the last two of the whole evaluation. One of under
    two tokens has no loss and is left out of the answer, and as a group out of the average.
    """
    training = model.training
    model.eval()
    losses = {
        name: loss_of(evaluation, *log_likelihoods(model, evaluation))
        if isinstance(evaluation, Choices)
        else _loss(model, evaluation, max_tokens)
        for name, evaluation in evaluations.items()
    }
    model.train(training)
    return {name: loss for name, loss in losses.items() if loss is not None}


def windows(tokens: Tokens, *, sequence: int, max_tokens: int) -> tuple[Integers, Integers]:
    """Inputs and targets [n, sequence]; the end of the last window of all is padded, targets with -1."""
    num_predicted = len(tokens) - 1
    num_windows = -(-num_predicted // sequence)
    num_taken = min(num_windows, max(1, max_tokens // sequence))
    chosen = (2 * np.arange(num_taken) + 1) * num_windows // (2 * num_taken)  # the middles of equal stretches
    places = chosen[:, np.newaxis] * sequence + np.arange(sequence + 1)
    ids = np.take(tokens, np.minimum(places, num_predicted)).astype(np.int64)
    return ids[:, :-1], np.where(places[:, 1:] <= num_predicted, ids[:, 1:], PADDING)


@torch.no_grad()
def log_likelihoods(model: Llama, choices: Choices) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(choices,) nats of each answer in its context, negative; and whether each of its tokens was the likeliest."""
    device = model.embedding.device
    windows = windows_of(choices, model.proxy.sequence)
    sums, greedy = np.zeros(len(choices)), np.ones(len(choices), bool)
    order = np.argsort(windows.starts - windows.ends, kind="stable")  # the longest first, so that little is padding
    while len(order):
        longest = int(windows.ends[order[0]] - windows.starts[order[0]]) - 1
        taken, order = np.split(order, [max(1, POSITIONS[device.type] // longest)])
        places = windows.starts[taken, np.newaxis] + np.arange(longest + 1)
        lasts = windows.ends[taken, np.newaxis]
        ids = np.take(choices.tokens, np.minimum(places, lasts - 1)).astype(np.int64)
        wanted = (places[:, 1:] < lasts) & (places[:, 1:] >= lasts - windows.predicted[taken, np.newaxis])
        states = model.states(torch.from_numpy(ids[:, :-1]).to(device))[torch.from_numpy(wanted).to(device)]
        logs, likeliest = _predicted(model, states, torch.from_numpy(ids[:, 1:][wanted]).to(device))
        rows = windows.rows[taken[np.nonzero(wanted)[0]]]
        np.add.at(sums, rows, logs)
        np.logical_and.at(greedy, rows, likeliest)
    return sums, greedy


def _predicted(
    model: Llama, states: torch.Tensor, following: torch.Tensor
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(positions,) log-probability of each following token, and whether it is the likeliest."""
    rows = max(64, LOGITS_BYTES[states.device.type] // (4 * model.vocabulary))
    logs, likeliest = [], []
    for first in range(0, len(states), rows):
        logits = functional.linear(states[first : first + rows], model.embedding)
        ids = following[first : first + rows]
        logs.append(-functional.cross_entropy(logits, ids, reduction="none"))
        likeliest.append(logits.argmax(dim=-1) == ids)
    return torch.cat(logs).double().cpu().numpy(), torch.cat(likeliest).cpu().numpy()


def _loss(model: Llama, evaluation: Evaluation, max_tokens: int) -> Loss | None:
    if evaluation.groups:
        share = max_tokens // len(evaluation.groups)
        groups = [loss for group in evaluation.groups if (loss := _loss(model, group, share)) is not None]
        if not groups:
            return None
        return Loss(
            math.fsum(loss.nats for loss in groups) / len(groups),
            math.fsum(loss.bits_per_byte for loss in groups) / len(groups),
        )
    if len(evaluation.tokens) < 2:
        return None
    nats = _mean_nats(model, evaluation.tokens, max_tokens)
    tokens_per_byte = len(evaluation.tokens) / max(1, evaluation.num_bytes)
    return Loss(nats, nats / math.log(2) * tokens_per_byte)


@torch.no_grad()
def _mean_nats(model: Llama, tokens: Tokens, max_tokens: int) -> float:
    device = model.embedding.device
    inputs, targets = windows(tokens, sequence=model.proxy.sequence, max_tokens=max_tokens)
    rows = max(1, POSITIONS[device.type] // model.proxy.sequence)
    sums = [
        model.loss(
            torch.from_numpy(inputs[first : first + rows]).to(device),
            torch.from_numpy(targets[first : first + rows]).to(device),
        ).item()
        for first in range(0, len(inputs), rows)
    ]
    return math.fsum(sums) / int((targets != PADDING).sum())
