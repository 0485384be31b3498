"""MinHash: a few hashes of a document that near-duplicates are likely to share.

MinHash (Broder 1997) keeps, for each of bands x rows random functions, the smallest value over the shingles of a
text; documents whose values agree in all rows of a band become candidates: with similarity s, one of b bands of r
rows agrees with probability 1 - (1 - s^r)^b. Candidates are only that: their exact shingles decide.

The functions are h(x) = a x + b mod 2^32 with odd a, as datasketch 2 has them, on the upper 32 bits of the shingle,
which is itself a hash: so each is a bijection that puts any shingle first with the same chance, and it is 32-bit
integer arithmetic, which the compiler vectorises and which is the same on every machine.
"""

from itertools import pairwise

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from pipelines.duplicates.schemes import Scheme
from pipelines.duplicates.shingles import CHARACTERS, WORDS, scratch, text_shingles
from pipelines.text.chunk_table import SPACES, space_width
from pipelines.text.normalised import CODE_POINTS, mixed
from pipelines.text.vocabulary import utf8

VERSION = 2
JOINED_BYTES = 1 << 20  # of texts at once


def content_hash(text: str) -> bytes:
    """128 bits of the text with every run of white space as one space."""
    return bytes(xxhash.xxh3_128_digest(" ".join(text.split()).encode()))


def content_hashes(texts: pa.Array | pa.ChunkedArray) -> list[bytes]:
    """`content_hash` of each text."""
    data, bounds = utf8(texts)
    hashes: list[bytes] = []
    while len(hashes) < len(bounds) - 1:
        first = len(hashes)
        # as many as lie in JOINED_BYTES, and one at least
        stop = max(first + 1, int(np.searchsorted(bounds, bounds[first] + JOINED_BYTES, "right")) - 1)
        joined = np.empty(bounds[stop] - bounds[first] + 1, np.uint8)
        ends = np.empty(stop - first, np.int64)
        _join(data, bounds[first : stop + 1], joined, ends)
        hashes += [xxhash.xxh3_128_digest(joined.data[begin:end]) for begin, end in pairwise([0, *ends.tolist()])]
    return hashes


def signatures(texts: pa.Array | pa.ChunkedArray, scheme: Scheme) -> pa.Table:
    """content_hash, num_shingles (int32), and a uint64 hash of each band's rows: band_00, band_01, ...

    The bands of a text without a shingle depend on its content alone, so that it meets exact copies only.
    """
    contents = content_hashes(texts)
    data, bounds = utf8(texts)
    multipliers, summands = _functions(scheme)
    lone = np.frombuffer(b"".join(content[:8] for content in contents), "<u8").astype(np.uint64)
    sizes = np.zeros(len(contents), np.int32)
    bands = np.empty((scheme.bands, len(contents)), np.uint64)
    unit = CHARACTERS if scheme.unit == "chars" else WORDS
    room = scratch(bounds)
    done = 0
    while done < len(contents):
        done = _sign(
            data, bounds, done, CODE_POINTS.standing, CODE_POINTS.items, unit, scheme.ngram, *room,
            multipliers, summands, lone, sizes, bands,
        )  # fmt: skip
        if done < len(contents):
            CODE_POINTS.learn(data, int(bounds[done]), int(bounds[done + 1]))
    columns = {f"band_{number:02d}": pa.array(bands[number]) for number in range(scheme.bands)}
    return pa.table({"content_hash": pa.array(contents, pa.binary(16)), "num_shingles": sizes, **columns})


# ---------------------------------------------------------------------------------------------------------
# Compiled signatures


def _functions(scheme: Scheme) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Multipliers (odd) and summands of the random functions, bands x rows."""
    numbers = np.random.Generator(np.random.PCG64(scheme.seed))
    drawn = numbers.integers(0, 2**32, size=(2, scheme.bands, scheme.rows), dtype=np.uint32)
    return drawn[0] | np.uint32(1), drawn[1]


@numba.njit(cache=True)
def _join(data, bounds, joined, ends):  # type: ignore[no-untyped-def]
    """Write each text with every run of white space as one space and none at its ends, and where each ends."""
    one, count = np.uint64(1), np.uint64(0)
    for text in range(len(ends)):
        first = count
        place, end = np.uint64(bounds[text]), np.uint64(bounds[text + 1])
        within = False
        while place < end:
            kind = SPACES[data[place]]
            width = kind if kind <= 1 else space_width(data, np.int64(place), np.int64(end))
            if width:
                joined[count] = 0x20
                count += np.uint64(within)
                place += np.uint64(width)
                within = False
            else:
                joined[count] = data[place]
                count += one
                place += one
                within = True
        count -= np.uint64(count > first and not within)
        ends[text] = count


@numba.njit(cache=True)
def _sign(  # type: ignore[no-untyped-def]
    data, bounds, done, standing, items, unit, n, units, found, table, multipliers, summands, lone, sizes, bands
):  # fmt: skip
    """Sign texts from `done` on; how many are done, where the next has a code point that `standing` has to learn."""
    smallest = np.empty(multipliers.size, np.uint32)
    for text in range(done, len(sizes)):
        count = text_shingles(data, bounds[text], bounds[text + 1], standing, items, unit, n, units, found, table)
        if count < 0:
            return text
        sizes[text] = count
        if count == 0:
            found[0] = lone[text]
            count = 1
        _minima(found, count, multipliers.ravel(), summands.ravel(), smallest)
        num_bands, num_rows = multipliers.shape
        for band in range(num_bands):
            hashed = np.uint64(0)
            for row in range(num_rows):
                hashed = mixed(hashed ^ np.uint64(smallest[band * num_rows + row])) + np.uint64(0x9E3779B97F4A7C15)
            bands[band, text] = hashed
    return len(sizes)


@numba.njit(cache=True)
def _minima(shingles, count, a, b, smallest):  # type: ignore[no-untyped-def]
    """The smallest value of each function; four shingles at a time, so that it is loaded and stored less often."""
    smallest[:] = np.uint32(0xFFFFFFFF)
    shift = np.uint64(32)
    for place in range(0, count - count % 4, 4):
        w, x = np.uint32(shingles[place] >> shift), np.uint32(shingles[place + 1] >> shift)
        y, z = np.uint32(shingles[place + 2] >> shift), np.uint32(shingles[place + 3] >> shift)
        for i in range(len(a)):
            first = min(np.uint32(a[i] * w + b[i]), np.uint32(a[i] * x + b[i]))
            second = min(np.uint32(a[i] * y + b[i]), np.uint32(a[i] * z + b[i]))
            smallest[i] = min(smallest[i], min(first, second))
    for place in range(count - count % 4, count):
        x = np.uint32(shingles[place] >> shift)
        for i in range(len(a)):
            smallest[i] = min(smallest[i], np.uint32(a[i] * x + b[i]))
