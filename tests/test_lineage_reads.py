"""What finding addresses costs: a crawl more is a crawl's manifests more, and what changes is noticed."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from pipelines import lineage
from pipelines.corpus import Corpus
from pipelines.errors import StoreError
from pipelines.records import ID
from pipelines.settings import Repeats, Settings
from pipelines.store import Stage, Workspace

CRAWLS = [f"crawl-{number:02d}" for number in range(6)]
BY_CRAWL = (
    lineage.documents, lineage.edits, lineage.signals, lineage.verdicts, lineage.signatures, lineage.duplicates,
    lineage.repeats,
)  # fmt: skip


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Many crawls without a document, each stage of which is finished."""
    workspace = Workspace(str(tmp_path))
    workspace.write_json([{"name": name, "files": {}} for name in CRAWLS], "crawls.json")
    corpus = Corpus(workspace, Settings(repeats=Repeats(units=("lines",))))
    lineage.targets(corpus).seal([])
    for crawl in CRAWLS:
        for address in BY_CRAWL:
            address(corpus, crawl).seal([])
    return Corpus(workspace, corpus.settings)


def test_each_manifest_is_read_once(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: Counter[str] = Counter()
    read_json = Workspace.read_json

    def counted(self: Workspace, *steps: str) -> object:
        reads["/".join(steps)] += 1
        return read_json(self, *steps)

    monkeypatch.setattr(Workspace, "read_json", counted)
    labels = [address(corpus, crawl).label for crawl in CRAWLS for address in BY_CRAWL]
    labels += [stage.label for crawl in CRAWLS for stage in lineage.dropping(corpus, crawl)]
    assert len(set(labels)) == len(CRAWLS) * len(BY_CRAWL)
    assert set(reads.values()) == {1}
    assert len(reads) <= len(set(labels)) + 2  # the crawls, the targets


def test_a_stage_with_another_content_is_read_again(corpus: Corpus) -> None:
    before = lineage.repeats(corpus, CRAWLS[1])
    rerun(corpus, lineage.documents(corpus, CRAWLS[0]))
    with pytest.raises(StoreError, match="lacks 1 parts of documents"):
        lineage.repeats(corpus, CRAWLS[1])
    for address in BY_CRAWL[1:]:
        rerun(corpus, address(corpus, CRAWLS[0]))
    rerun(corpus, lineage.duplicates(corpus, CRAWLS[1]), with_part=False)
    assert lineage.repeats(corpus, CRAWLS[1]).label != before.label


def rerun(corpus: Corpus, stage: Stage, *, with_part: bool = True) -> None:
    """Run it with a part more, or with none."""

    def write(part: str) -> tuple[int, int]:
        stage.commit(part, pa.table({"id": pa.array([b"0" * 16], ID)}))
        return 1, 0

    corpus.run(stage, ["part-0"] if with_part else [], write, on_driver=True)
