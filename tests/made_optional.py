"""A workspace in which the stages that run only where the settings ask have run."""

import json
from pathlib import Path

import made_corpus
import numpy as np
from made_fasttext import write_fasttext

from pipelines import lineage
from pipelines.columns import parts_of
from pipelines.corpus import Corpus


def make_optional(folder: Path, crawl_files: Path, encoder: Path) -> Corpus:
    """Both made crawls up to the tokens, with every optional stage on, in a workspace below `folder`."""
    model = folder / "stars.bin"
    write_fasttext(model, ["star", "the"], ["__label__stars", "__label__other"], np.array([[9.0, 0], [0, 1]]))
    plain = made_corpus.make(folder / "ws", crawl_files, encoder, names=("crawl-1", "crawl-2"))
    made_corpus.run_corpus(plain, until="duplicates")
    leaked = _text_of_a_kept_document(plain)
    (folder / "quiz.jsonl").write_text(json.dumps({"id": "q1", "text": leaked}) + "\n")
    corpus = made_corpus.changed(
        plain,
        f'scores=[{{name="stars", path="{model}", label="stars"}}]',
        f'decontamination.sets=[{{name="quiz", path="{folder / "quiz.jsonl"}"}}]',
        'repeats.units=["sentences"]',
        "repeats.min_doc_words=5",
        "semantic.threshold=0.9",
        "quality.limits={}",
        "quality.without=[]",
        'quality.preset="dolma"',
        "quality.languages=[]",
    )
    made_corpus.run_corpus(corpus, until="tokens")
    return corpus


def _text_of_a_kept_document(corpus: Corpus) -> str:
    verdicts, documents = lineage.verdicts(corpus, "crawl-1"), lineage.documents(corpus, "crawl-1")
    for part in parts_of(corpus, "crawl-1"):
        reasons = verdicts.read(part, ["reason"])["reason"].to_pylist()
        if None in reasons:
            return str(documents.read(part, ["text"])["text"][reasons.index(None)])
    raise AssertionError("nothing is kept")
