"""Which training documents a dataset holds, how often each, and in which order: by ids and a seed alone.

The draw is systematic, not random: a cluster's documents stand in the order of hash(seed, id), and the
dataset takes a prefix of that line, going round again when it is through (all once before any twice). So
nothing depends on the order in which documents arrive, on files or on workers, and a larger budget goes
further down the same line. The global shuffle sorts all draws by another hash, of (seed, id, copy): with the
same one, the documents taken from a cluster would all stand at the front of the dataset.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

# With budget 0 caps may displace this share of the mixture. Without it a cluster of a few hundred tokens
# with a weight to match would hold the whole dataset down to a few thousand.
MAX_DISPLACED = 0.01

Words = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class ClusterDraw:
    """What was asked of one cluster and what came of it; tokens and weights count every copy."""

    cluster: int
    weight_requested: float
    weight: float  # share of the dataset's tokens
    tokens: int
    documents: int  # distinct
    draws: int  # rows, every copy counted
    epochs: float  # tokens / pool_tokens
    pool_tokens: int
    pool_documents: int
    capped: bool  # it would have needed more than max_epochs, or has no documents; others got its share


@dataclass(frozen=True, slots=True)
class SelectionReport:
    """The draw in numbers; `reached` is False where the caps leave less than the requested budget."""

    seed: int
    max_epochs: float
    budget_requested: int  # 0: as many as the caps allow
    budget: int  # what was aimed at
    tokens: int
    documents: int
    draws: int
    reached: bool
    displaced: float  # half the sum of |weight - weight_requested|
    clusters: tuple[ClusterDraw, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """Draws in the dataset's order: candidate row, copy number (0 = first) and shuffle key of each."""

    rows: npt.NDArray[np.int64]
    copies: npt.NDArray[np.int32]
    keys: Words
    report: SelectionReport


def select(
    ids: npt.NDArray[np.uint8],
    clusters: npt.NDArray[np.integer],
    num_tokens: npt.NDArray[np.integer],
    weights: Sequence[float],
    *,
    budget: int,
    max_epochs: float,
    seed: int,
) -> Selection:
    """Whole documents drawn by cluster weight up to `budget` tokens, in the order of the global shuffle.

    ids [n, 16], clusters [n] index `weights` [K], num_tokens [n]. Every cluster gets its share of the budget
    to the nearest document, and the total never exceeds the budget. A cluster that would be repeated more
    than `max_epochs` times gives the rest of its share to the others, in proportion to their weights.
    With budget 0 the dataset is the largest whose mixture the caps displace by at most MAX_DISPLACED, and at
    most what all candidates hold. Raises ValueError for arguments that no stage should pass.
    """
    words = _words(ids)
    shares = _checked(words, clusters, num_tokens, weights, budget, max_epochs)
    by_id = np.lexsort((words[:, 1], words[:, 0]))
    words, labels = words[by_id], clusters[by_id].astype(np.int64)
    sizes = num_tokens[by_id].astype(np.int64)
    if len(words) > 1 and bool((words[1:] == words[:-1]).all(axis=1).any()):
        raise ValueError("an id stands twice among the candidates: a document has one row")

    pools = [int(pool) for pool in _sums(labels, sizes, len(shares))]
    caps = [math.floor(max_epochs * pool) for pool in pools]
    aim = budget or _largest_budget(shares, caps, sum(pools))
    targets, capped = allotted(shares, caps, aim)

    line = np.lexsort((_hashed(words, seed, "take"), labels))  # by cluster, then hash, then id
    ends = np.searchsorted(labels[line], np.arange(len(shares) + 1))
    parts = [line[ends[k] : ends[k + 1]] for k in range(len(shares))]
    counts = np.zeros(len(words), dtype=np.int64)
    for part, repeats in zip(parts, _repeats([sizes[part] for part in parts], targets, caps, aim), strict=True):
        counts[part] = repeats

    rows, copies, keys = _shuffled(words, counts, seed)
    report = _report(labels, sizes, counts, shares, capped, pools)
    return Selection(
        rows=by_id[rows],
        copies=copies,
        keys=keys,
        report=SelectionReport(
            seed=seed,
            max_epochs=max_epochs,
            budget_requested=budget,
            budget=aim,
            tokens=sum(cluster.tokens for cluster in report),
            documents=int((counts > 0).sum()),
            draws=len(rows),
            reached=math.fsum(targets) >= aim - 1,
            displaced=math.fsum(abs(c.weight - c.weight_requested) for c in report) / 2,
            clusters=report,
        ),
    )


def allotted(shares: Sequence[float], caps: Sequence[int], budget: int) -> tuple[list[float], list[bool]]:
    """Tokens of each cluster, and whether its cap cut them: what it cannot take is poured into the others.

    Less than the budget in all where every cluster with a share reaches its cap.
    """
    targets, capped = [0.0] * len(shares), [False] * len(shares)
    filling = sorted((k for k in range(len(shares)) if shares[k] > 0), key=lambda k: (caps[k] / shares[k], k))
    left = float(budget)
    weights = [shares[k] for k in filling]
    for position, k in enumerate(filling):
        # The weight left is summed anew, not subtracted: the last cluster's share of it is then exactly 1.
        due = left * shares[k] / math.fsum(weights[position:])
        targets[k], capped[k] = min(float(caps[k]), due), due >= caps[k] + 1
        left -= targets[k]
    return targets, capped


def unseen(validation: pa.Array, training: pa.Array) -> npt.NDArray[np.bool_]:
    """Which validation rows hold nothing that training holds; the values are ids, or digests of texts."""
    return ~np.asarray(pc.is_in(validation, value_set=training))


def _words(ids: npt.NDArray[np.uint8]) -> Words:
    """Two 64-bit words that sort as the bytes do."""
    if ids.ndim != 2 or ids.shape[1] != 16 or ids.dtype != np.uint8:
        raise ValueError(f"ids are {ids.dtype} {ids.shape}: they must be uint8 [n, 16]")
    return np.ascontiguousarray(ids).view(">u8").astype(np.uint64).reshape(-1, 2)


def _checked(
    words: Words,
    clusters: npt.NDArray[np.integer],
    num_tokens: npt.NDArray[np.integer],
    weights: Sequence[float],
    budget: int,
    max_epochs: float,
) -> list[float]:
    """The weights as shares that sum to 1."""
    if not len(words) == len(clusters) == len(num_tokens):
        raise ValueError(f"{len(words)} ids, {len(clusters)} clusters, {len(num_tokens)} counts: one each a row")
    if len(words) and not 0 <= int(clusters.min()) <= int(clusters.max()) < len(weights):
        raise ValueError(f"clusters {clusters.min()} to {clusters.max()}: the mixture weighs 0 to {len(weights) - 1}")
    if len(words) and int(num_tokens.min()) < 0:
        raise ValueError(f"num_tokens = {num_tokens.min()}: a document has no negative number of tokens")
    if budget < 0 or not max_epochs > 0:
        raise ValueError(f"budget = {budget}, max_epochs = {max_epochs}: at least 0, and above 0")
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or math.fsum(weights) <= 0:
        raise ValueError(f"weights = {list(weights)}: finite, at least 0, and not all 0")
    return [weight / math.fsum(weights) for weight in weights]


def _largest_budget(shares: Sequence[float], caps: Sequence[int], pool: int) -> int:
    """Most tokens at which caps displace at most MAX_DISPLACED of the mixture.

    At budget B the caps displace max over sets S of (share(S) - cap(S) / B), and the worst sets are those of
    the clusters with the fewest tokens for their share. Clusters without tokens do not count: no budget
    would serve them.
    """
    filled = sorted(
        (k for k in range(len(shares)) if shares[k] > 0 and caps[k]), key=lambda k: (caps[k] / shares[k], k)
    )
    served = math.fsum(shares[k] for k in filled)
    best = float(pool) if filled else 0.0
    share, cap = 0.0, 0
    for k in filled:
        share, cap = share + shares[k] / served, cap + caps[k]
        if share > MAX_DISPLACED:
            best = min(best, cap / (share - MAX_DISPLACED))
    return math.floor(best)


def _repeats(
    sizes: Sequence[npt.NDArray[np.int64]], targets: Sequence[float], caps: Sequence[int], budget: int
) -> list[npt.NDArray[np.int64]]:
    """How often each document of each line is taken: the last boundary under the target, or the nearest.

    Going over the target costs tokens that another cluster may need: the clusters nearest to their next
    boundary go first, while the budget lasts.
    """
    taken = [_prefix(line, target) for line, target in zip(sizes, targets, strict=True)]
    tokens = [int(line @ repeats) for line, repeats in zip(sizes, taken, strict=True)]
    total = sum(tokens)
    due = []
    for k, (line, repeats) in enumerate(zip(sizes, taken, strict=True)):
        if targets[k] - tokens[k] >= 1:
            position = int(np.argmin(repeats))  # repeats fall once along the line, or are all equal
            due.append(((tokens[k] - targets[k]) / int(line[position]), k, position))
    for lack, k, position in sorted(due):
        size = int(sizes[k][position])
        if lack <= -0.5 and total + size <= budget and tokens[k] + size <= caps[k]:
            taken[k][position] += 1
            total += size
    return taken


def _prefix(sizes: npt.NDArray[np.int64], target: float) -> npt.NDArray[np.int64]:
    pool = int(sizes.sum())
    if pool == 0 or target < 1:
        return np.zeros(len(sizes), dtype=np.int64)
    epochs, rest = divmod(math.floor(target), pool)
    begun = int(np.searchsorted(np.cumsum(sizes), rest, side="right")) if rest else 0
    return epochs + (np.arange(len(sizes)) < begun).astype(np.int64)


def _shuffled(
    words: Words, counts: npt.NDArray[np.int64], seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], Words]:
    """Every draw, sorted by key; rows come in by id, so a stable sort breaks ties by id, then copy."""
    rows = np.repeat(np.arange(len(words)), counts)
    copies = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    keys = _hashed(words[rows], seed, "shuffle", copies.astype(np.uint64))
    order = np.argsort(keys, kind="stable")
    return rows[order], copies[order].astype(np.int32), keys[order]


def _hashed(words: Words, seed: int, stream: str, copies: Words | None = None) -> Words:
    """64-bit hashes of (seed, stream, id, copy): three rounds of the splitmix64 finaliser.

    Source: Steele, Lea, Flood, Fast Splittable Pseudorandom Number Generators, OOPSLA 2014 (its mix64).
    """
    start = hashlib.blake2b(f"{stream}:{seed}".encode(), digest_size=8).digest()
    hashes = _mixed(words[:, 0] + np.uint64(int.from_bytes(start, "big")))
    hashes = _mixed(hashes ^ words[:, 1])
    return hashes if copies is None else _mixed(hashes + copies * np.uint64(0x9E3779B97F4A7C15))


def _mixed(values: Words) -> Words:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _sums(labels: npt.NDArray[np.int64], values: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """Integer sums by label; np.bincount would go through float64 and lose tokens above 2^53."""
    sums = np.zeros(size, dtype=np.int64)
    np.add.at(sums, labels, values)
    return sums


def _report(
    labels: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    shares: Sequence[float],
    capped: Sequence[bool],
    pools: Sequence[int],
) -> tuple[ClusterDraw, ...]:
    num = len(shares)
    tokens, draws = _sums(labels, sizes * counts, num), _sums(labels, counts, num)
    documents = np.bincount(labels[counts > 0], minlength=num)
    pool_documents = np.bincount(labels, minlength=num)
    total = int(tokens.sum())
    return tuple(
        ClusterDraw(
            cluster=k,
            weight_requested=shares[k],
            weight=int(tokens[k]) / total if total else 0.0,
            tokens=int(tokens[k]),
            documents=int(documents[k]),
            draws=int(draws[k]),
            epochs=int(tokens[k]) / pools[k] if pools[k] else 0.0,
            pool_tokens=pools[k],
            pool_documents=int(pool_documents[k]),
            capped=capped[k],
        )
        for k in range(num)
    )
