"""A workspace of two tiny real crawls: the standard library's docstrings as JSONL, in two folders. Not a test file.

The encoder is a random one over the crawls' own words, so nothing is downloaded and nothing takes long: static
vectors from it are a random projection of the words, which is enough to cluster by.
"""

import importlib
import inspect
import json
import re
from collections import Counter
from functools import cache
from pathlib import Path

from pipelines.corpus import choose, keep
from pipelines.crawls import register
from pipelines.store import Workspace

MODULES = (
    "argparse", "ast", "asyncio", "bisect", "calendar", "cmath", "codecs", "collections", "configparser",
    "contextlib", "copy", "csv", "datetime", "decimal", "difflib", "dis", "email", "enum", "fractions",
    "functools", "hashlib", "heapq", "html", "http", "imaplib", "inspect", "io", "ipaddress",
    "itertools", "json", "logging", "math", "multiprocessing", "numbers", "operator", "optparse", "os",
    "pathlib", "pickle", "platform", "poplib", "pprint", "random", "re", "sched", "secrets", "select",
    "shelve", "shutil", "smtplib", "socket", "sqlite3", "ssl", "statistics", "string", "struct",
    "subprocess", "tarfile", "tempfile", "textwrap", "threading", "time", "timeit", "tokenize",
    "traceback", "types", "unittest", "urllib", "uuid", "warnings", "wave", "weakref",
    "webbrowser", "xml", "zipfile",
)  # fmt: skip
CHANGES = (
    "quality.preset='datatrove-gopher-quality'",
    "quality.languages=[]",
    "quality.min_language_score=0",
    "quality.limits.gopher_short_doc=12",
    "quality.limits.gopher_below_alpha_threshold=0.3",
    "quality.limits.gopher_above_avg_threshold=20",
    "quality.limits.gopher_too_many_hashes=1",
    "quality.limits.gopher_too_many_ellipsis=1",
    "clusters.k_init=5",
    "clusters.k=5",
    "clusters.merge='count'",
    "clusters.min_score=-100",
    "embeddings.dimensions=16",
    "tokens.vocabulary=600",
    "tokens.validation=0.1",
    "proxy.layers=1",
    "proxy.width=16",
    "proxy.heads=2",
    "proxy.sequence=32",
    "proxy.batch=4",
    "search.rounds=[4, 2]",
    "search.tokens=2000",
    "search.candidates=500",
    "search.final_seeds=2",
    "engine.workers=1",
)


@cache
def documents() -> list[dict[str, str]]:
    """Docstrings of a few words or more, each once, by name."""
    found: dict[str, str] = {}
    for name in MODULES:
        module = importlib.import_module(name)
        for member, value in sorted(vars(module).items()):
            text = inspect.getdoc(value) or ""
            defined = getattr(value, "__module__", "") or ""
            if not member.startswith("_") and defined.partition(".")[0] == name and len(text.split()) >= 12:
                found.setdefault(text, f"https://docs.example/{name}/{member}.html")
    return [{"url": url, "text": text} for text, url in sorted(found.items(), key=lambda item: item[1])]


def make(folder: Path, *, num_crawls: int = 2, changes: tuple[str, ...] = ()) -> Path:
    """A workspace at `folder/ws` with registered crawls and settings; the crawls lie at `folder/crawls`."""
    rows = documents()
    write_jsonl(folder / "targets" / "numbers.jsonl", [row for row in rows if _is_target(row)])
    rest = [row for row in rows if not _is_target(row)]
    for number in range(num_crawls):
        write_jsonl(folder / "crawls" / f"crawl-{number + 1}" / "part.jsonl", rest[number::num_crawls] + rest[:5])
    workspace = Workspace(str(folder / "ws"))
    given = [*CHANGES, f"embeddings.model={str(random_encoder(folder / 'encoder', rest))!r}", *changes]
    target = f"numbers={folder / 'targets' / 'numbers.jsonl'}"
    keep(workspace, choose(workspace, None, preset="laptop", changes=given, targets=[target]))
    for number in range(num_crawls):
        register(workspace, f"crawl-{number + 1}", [str(folder / "crawls" / f"crawl-{number + 1}")])
    return folder / "ws"


def write_jsonl(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def random_encoder(folder: Path, rows: list[dict[str, str]]) -> Path:
    """A sentence-transformers folder: one random layer, 32 wide, over the commonest words."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    from pipelines.vectors.models import quiet

    counted = Counter(word for row in rows for word in re.findall(r"[a-z]+", row["text"].lower()))
    words = [word for word, _ in counted.most_common(800)]
    letters = [mark + letter for letter in "abcdefghijklmnopqrstuvwxyz" for mark in ("", "##")]
    vocabulary = list(dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *letters]))
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    torch.manual_seed(0)
    bert = BertModel(BertConfig(len(vocabulary), 32, 1, 2, 64, max_position_embeddings=64))
    with quiet():
        bert.save_pretrained(folder / "bert")
        BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder / "bert")
        transformer = Transformer(str(folder / "bert"), max_seq_length=64)
        SentenceTransformer(modules=[transformer, Pooling(32)], device="cpu").save(str(folder / "model"))
    return folder / "model"


def _is_target(row: dict[str, str]) -> bool:
    return bool(re.search(r"/(statistics|random|fractions|decimal|heapq)/", row["url"]))
