"""Two tiny crawls whose every document is planned: topics, copies, near copies, junk, damage. Not a test file.

    crawl-1/pages.warc.gz      pages of all topics, requests beside them, pages that are rejected
    crawl-1/more/rows.jsonl.gz rows of all topics, broken lines, a repeated id
    crawl-1/damaged.warc.gz    pages, a damaged member in the middle
    crawl-1/junk.jsonl         one row for each filter and nothing else, so a part where nothing is kept
    crawl-1/empty.jsonl        no byte
    crawl-2/...                more of the same topics, copies of crawl-1's documents, and of the targets'

The encoder is a random one over the corpus's own words: its static vectors are a random projection of the
words, enough to tell the topics apart, and cost nothing to make again.
"""

import contextlib
import gzip
import json
import random
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from made_warc import record
from tiny import random_encoder

from mixer.job import STEPS, planned
from pipelines import lineage
from pipelines.corpus import Corpus, Report, choose, keep, opened
from pipelines.crawls import register
from pipelines.digest import digest_of
from pipelines.store import Stage, Workspace

# topic: (language, subjects, verbs, objects, settings)
TOPICS: dict[str, tuple[str, str, str, str, str]] = {
    "astronomy": (
        "en",
        "telescope planet galaxy comet nebula asteroid satellite observatory supernova astronomer quasar pulsar",
        "observes orbits measures reveals crosses illuminates approaches attracts",
        "starlight gravity spectrum crater moon eclipse radiation dust hydrogen horizon",
        "during the long winter night|beyond the outer rings|near the southern pole|after many light years of travel|"
        "before the solar wind arrives|under a dark desert sky",
    ),
    "cooking": (
        "en",
        "chef oven recipe saucepan baker dough butter onion garlic kitchen waiter ladle",
        "simmers roasts flavours thickens sweetens covers softens seasons",
        "soup gravy pastry pepper vinegar noodles broth cinnamon dinner custard",
        "until it turns golden brown|over a gentle flame|with a pinch of salt|while the water boils|"
        "for the hungry guests|in a heavy iron pan",
    ),
    "football": (
        "en",
        "striker goalkeeper referee captain midfielder coach stadium team defender supporter league winger",
        "scores defends passes kicks celebrates trains tackles wins",
        "penalty match trophy corner season goal whistle championship tournament header",
        "in the final minute|against the old rivals|in front of a noisy crowd|after the second half began|"
        "despite the heavy rain|with only ten players left",
    ),
    "banking": (
        "en",
        "investor bank mortgage broker lender treasury auditor currency shareholder dividend insurer regulator",
        "borrows repays finances audits invests taxes insures trades",
        "interest credit bond inflation profit budget deposit invoice pension loan",
        "at the end of the quarter|despite falling prices|under the new tax rules|with a lower rate than before|"
        "as the markets opened|on behalf of a client",
    ),
    "jardin": (
        "es",
        "jardinero rosal tierra semilla raíz tomate abeja regadera huerta manzano tijera lechuga",
        "crece florece riega siembra poda protege cosecha alimenta",
        "hojas flores agua abono sombra ramas insectos primavera maceta cultivo",
        "durante las mañanas de abril|cuando llegan las primeras lluvias|en el rincón más soleado del patio|"
        "antes de que llegue el invierno|con mucha paciencia y cuidado|junto a la vieja pared",
    ),
    "historia": (
        "es",
        "rey imperio soldado batalla castillo reina ejército tratado embajador conquista monje ciudad",
        "gobierna defiende conquista firma abandona destruye negocia hereda",
        "corona frontera muralla tributo guerra alianza territorio puerto reino documento",
        "en el siglo catorce|después de una larga guerra|según cuentan las crónicas|a pesar de la derrota|"
        "con el apoyo de la nobleza|hasta la muerte de su hermano",
    ),
}
PATTERNS = {
    "en": (
        "The {s} {v} the {o} {w}.",
        "Most people think that a {s} never {v} any {o}, but this one did so {w}.",
        "{W}, another {s} {v} what was left of the {o}.",
        "It is said that the {o} belongs to the {s}, which {v} it {w}.",
        "Nobody had seen how a {s} {v} such an {o} {w}.",
        "When the {s} finally {v} its {o}, everything else has to wait.",
        "There are many ways in which the {o} and the {s} depend on each other {w}.",
        "Without the {s}, the {o} would have been lost {w}.",
        "Some of them asked why this {s} {v} so little {o} {w}.",
    ),
    "es": (
        "El {s} {v} para las {o} {w}.",
        "Muchos creen que ningún {s} {v} su {o}, pero este lo hizo {w}.",
        "{W}, otro {s} {v} lo que quedaba de {o}.",
        "Se dice que {o} pertenece al {s}, que lo {v} {w}.",
        "Nadie había visto cómo un {s} {v} tanta {o} {w}.",
        "Cuando por fin el {s} {v} sus {o}, todo lo demás tiene que esperar.",
        "Hay muchas maneras en que {o} y {s} dependen una de otra {w}.",
        "Sin el {s}, también {o} se habría perdido {w}.",
        "Algunos preguntaron por qué este {s} {v} tan poca {o} {w}.",
    ),
}
LINES = (
    "the lamp was brought down from the attic by one of our neighbours",
    "an old rope hung over the river until somebody cut it",
    "nobody knows whose chair this is or where it came from",
    "every evening the cook sharpens her longest knife again",
    "his coat was far too warm for such a mild afternoon",
    "three of those bridges have never been crossed on foot",
    "you can see both towers if you climb this hill early",
    "she left her book under a tree and forgot about it",
)
# reason of the verdict -> a text that it is given to
JUNK: dict[str, str] = {
    "language": "Der alte Fischer ging am Morgen langsam zum Hafen hinunter, weil er sein Boot suchen wollte. "
    "Niemand wusste, wohin es in der Nacht getrieben war, und auch die Kinder hatten nichts gesehen. "
    "Am Abend kam er müde nach Hause zurück und erzählte seiner Frau die ganze lange Geschichte.",
    "dup_line_frac": "The same line stands here again and again for everyone to read.\n" * 9
    + "This last line differs from the lines that stand above it here.",
    "top_2_gram": "The house is near the old mill. He went to the market. " + "big dog " * 14 + "ran home.",
    "gopher_short_doc": "We had one day at the sea with all of our kids, but it was so wet that most of us "
    "left by tea.",
    "gopher_above_avg_threshold": "The internationalisation of "
    + " ".join(
        f"{stem}{end}"
        for stem in ("counterrevolutionary", "electroencephalograph", "incomprehensibility")
        for end in ("ism", "ness", "ation", "ical", "ally", "ward", "ship", "hood", "less", "able")
    )
    + " and that is all of it.",
    "gopher_too_many_hashes": "The tags that people put on their pictures of the sea are these: #summer #beach #sunset "
    "#holiday #wave #sand #swim #boat #shell #palm #wind #sail and nobody knows who reads them or what they were "
    "meant to say to us in the first place.",
    "gopher_too_many_end_ellipsis": "...\n".join([*LINES, ""]),
    "gopher_too_many_bullets": "- " + "\n- ".join(LINES),
    "gopher_below_alpha_threshold": "The numbers of the draw are these: "
    + " ".join(str(7 * n * n + 13) for n in range(30))
    + " and that was all of it for the week.",
    "lorem_ipsum": "The template says lorem ipsum where a text should be, and it was never filled in by the owner. "
    "We are told that it will be done as soon as there is time. It has been like this for years now. "
    "The page is still visited by many people who wonder what it was for. Some of them write to us.",
    "curly_bracket": "The page shows its own source to the reader, which was not meant at all. "
    "It begins with function () { return 42 } and goes on like that for a while. "
    "Nobody has noticed it, since the people who look after the page never see it. That is a pity for all.",
    "too_few_sentences": "Please accept that this site uses cookies before you read what is below.\n"
    "the whole page is one long line of words that never ends and goes on without any mark "
    "so that nobody who reads it can tell where one thought is over and the next one has begun to be told",
    "short_line_ratio": "We went down to the sea.\nIt was a cold, grey day.\nNobody else had come.\n"
    "All the boats were gone.\nMy brother found a shell.\nThen the rain began again.\nHe wanted to go home.\n"
    "So we turned back early.",
}

CHANGES = (
    "ingest.part_rows=25",
    "ingest.max_record_bytes=20000",
    "quality.languages=['en', 'es']",
    "quality.min_language_score=0.4",
    "quality.preset='multilingual'",
    "quality.limits.gopher_short_doc=25",
    "quality.limits.too_few_sentences=3",
    "clusters.k_init=12",
    "clusters.merge='count'",
    "clusters.k=4",
    "clusters.min_score=-100",
    "embeddings.dimensions=16",
    "tokens.vocabulary=512",
    "tokens.validation=0.1",
    "proxy.layers=1",
    "proxy.width=16",
    "proxy.heads=2",
    "proxy.sequence=32",
    "proxy.batch=4",
    "search.rounds=[4, 2]",
    "search.tokens=4000",
    "search.candidates=500",
    "search.final_seeds=2",
    "dataset.shard_bytes=20000",
)

CORPUS_STAGES = tuple(step.name for step in STEPS if step.module.startswith("pipelines."))


UNASKED = {"dialects", "scores", "contamination", "repeats", "semantic"}  # stages that only a setting brings
# ---------------------------------------------------------------------------------------------------------
# Documents


def text(topic: str, number: int) -> str:
    """A document of 60 to 100 words in two paragraphs; the same for the same number."""
    language, *slots, wheres = TOPICS[topic]
    chance = random.Random(f"{topic} {number}")
    subjects, verbs, objects = ([*words.split()] for words in slots)
    places = wheres.split("|")
    for words in (subjects, verbs, objects, places):
        chance.shuffle(words)
    patterns = chance.sample(PATTERNS[language], 7)
    sentences = [
        pattern.format(
            s=subjects[k],
            v=verbs[k],
            o=objects[k],
            w=places[k % len(places)],
            W=places[k % len(places)].capitalize(),
        )
        for k, pattern in enumerate(patterns)
    ]
    return " ".join(sentences[:4]) + "\n" + " ".join(sentences[4:])


def near(topic: str, number: int) -> str:
    """A near copy: the last sentence is another one."""
    copied = text(topic, number)
    return copied[: copied.rindex(" ")] + " otherwise."


def vocabulary() -> list[dict[str, str]]:
    return [{"text": text(topic, number)} for topic in TOPICS for number in range(8)]


# ---------------------------------------------------------------------------------------------------------
# Files


def write(folder: Path) -> None:
    """All crawl files and targets below `folder`."""
    _put(folder / "crawl-1/pages.warc.gz", b"".join(_pages("one", range(12))) + b"".join(_rejected_pages()))
    rows = [_row(topic, number) for number in range(12, 24) for topic in TOPICS]
    rows += [_row("cooking", 12, name="copy of a row"), rows[0]]
    rows += [{"id": "near", "url": "http://near.example/", "text": near("football", 13)}]
    lines = [json.dumps(row) for row in rows] + ["", "{broken", '{"url": "http://no-text.example/"}']
    lines += [json.dumps({"id": "large", "text": "A very long row. " * 2000})]
    _put(folder / "crawl-1/more/rows.jsonl.gz", gzip.compress("\n".join(lines).encode(), mtime=0))
    _put(folder / "crawl-1/damaged.warc.gz", _damaged())
    junk = [{"id": reason, "url": f"http://junk.example/{reason}", "text": JUNK[reason]} for reason in JUNK]
    _put(folder / "crawl-1/junk.jsonl", "\n".join(map(json.dumps, junk)).encode() + b"\n")
    _put(folder / "crawl-1/empty.jsonl", b"")
    second = [*_pages("two", range(30, 38)), _page("two", "copy", text("astronomy", 3))]
    second += [_page("two", "near", near("historia", 14)), _page("two", "target", near("astronomy", 70))]
    _put(folder / "crawl-2/pages.warc.gz", b"".join(second))
    rows = [_row(topic, number) for number in range(38, 44) for topic in TOPICS]
    _put(folder / "crawl-2/rows.jsonl", "\n".join(map(json.dumps, rows)).encode() + b"\n")
    stars = [{"id": f"star {n}", "text": text("astronomy", n)} for n in range(70, 86)]
    _put(folder / "targets/stars.jsonl", "\n".join(map(json.dumps, stars)).encode() + b"\n")
    mixed = [{"id": f"{topic} {n}", "group": topic, "text": text(topic, n)} for topic in TOPICS for n in range(90, 98)]
    _put(folder / "targets/mixed.jsonl", "\n".join(map(json.dumps, mixed)).encode() + b"\n")


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _pages(name: str, numbers: range) -> Iterator[bytes]:
    for number in numbers:
        for topic in TOPICS:
            yield _page(name, f"{topic}-{number}", text(topic, number))


def _page(name: str, key: str, body: str, **given: Any) -> bytes:
    paragraphs = "".join(f"<p>{line}</p>" for line in body.split("\n"))
    html = f"<html><head><title>{key}</title></head><body><article>{paragraphs}</article></body></html>"
    number = int(digest_of([name, key])[:12], 16)
    url = f"http://{name}.example/{key}"
    request = record(-number, b"GET / HTTP/1.1\r\n\r\n", kind="request", url=url)
    page = record(number, html.encode(), url=url, **given)
    return gzip.compress(request, mtime=0) + gzip.compress(page, mtime=0)


def _rejected_pages() -> Iterator[bytes]:
    yield _page("one", "missing", "Not found.", status="404 Not Found")
    yield _page("one", "near", near("astronomy", 2))
    yield _page("one", "astronomy-1", text("astronomy", 1))  # the same record again, parts later
    yield _page("one", "near", near("astronomy", 2))  # and in the same part
    yield gzip.compress(record(7, b"", url="http://one.example/nothing"), mtime=0)


def _damaged() -> bytes:
    """Ten pages, the fifth member damaged in its middle."""
    members = [_page("damaged", f"page-{number}", text("football", 50 + number)) for number in range(10)]
    broken = bytearray(members[4])
    middle = len(broken) - 60
    broken[middle : middle + 20] = bytes(255 - byte for byte in broken[middle : middle + 20])
    return b"".join([*members[:4], bytes(broken), *members[5:]])


def _row(topic: str, number: int, name: str = "") -> dict[str, str]:
    key = name or f"{topic} {number}"
    return {
        "id": key,
        "url": f"http://rows.example/{key.replace(' ', '-')}",
        "date": "2026-11-01",
        "licence": "CC0-1.0",
        "text": text(topic, number),
    }


# ---------------------------------------------------------------------------------------------------------
# Workspaces


def encoder(cache: Path) -> Path:
    """Folder with `model`, made once, and `models`, what is distilled from it; kept for the next session."""
    key = digest_of([vocabulary(), *(version(name) for name in ("torch", "transformers", "sentence-transformers"))])
    folder = cache / f"encoder-{key[:12]}"
    if not (folder / "model").is_dir():
        made = random_encoder(cache / f"making-{key[:12]}-{random.getrandbits(32):08x}", vocabulary())
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # another session was first
            made.rename(folder / "model")
    (folder / "models").mkdir(exist_ok=True)
    return folder


def make(
    root: Path,
    crawls: Path,
    encoder: Path,
    *,
    names: tuple[str, ...] = ("crawl-1",),
    workers: int = 1,
    changes: tuple[str, ...] = (),
) -> Corpus:
    """A workspace at `root` with settings and the named crawls registered; nothing has run."""
    workspace = Workspace(str(root))
    root.mkdir(parents=True, exist_ok=True)
    if not (root / "models").exists():
        (root / "models").symlink_to(encoder / "models")
    given = [*CHANGES, f"embeddings.model={str(encoder / 'model')!r}", f"engine.workers={workers}", *changes]
    targets = [f"{name}={crawls / 'targets' / f'{name}.jsonl'}" for name in ("stars", "mixed")]
    keep(workspace, choose(workspace, None, preset="laptop", changes=given, targets=targets))
    for name in names:
        register(workspace, name, [str(crawls / name)])
    return opened(workspace)


def changed(corpus: Corpus, *changes: str) -> Corpus:
    """The same workspace under other settings."""
    keep(corpus.workspace, choose(corpus.workspace, None, preset=None, changes=changes))
    return opened(corpus.workspace)


def run_corpus(corpus: Corpus, *, until: str = "evaluations") -> list[Report]:
    """The corpus half of the job, up to and with a stage."""
    reports = []
    last = CORPUS_STAGES.index(until)
    for step, arguments in planned(corpus):
        if step.name in CORPUS_STAGES[: last + 1]:
            reports.append(step.run(corpus, *arguments))
    return reports


def stage_of(corpus: Corpus, name: str) -> Stage:
    """The first crawl's stage of this name."""
    stage: Stage = getattr(lineage, name)(corpus, "crawl-1")
    return stage


def contents(corpus: Corpus) -> dict[str, str]:
    """Label -> content digest of every finished stage in the workspace."""
    root = Path(corpus.workspace.root)
    return {
        str(path.parent.relative_to(root)): json.loads(path.read_bytes())["content"]
        for path in sorted(root.rglob("manifest.json"))
        if path.relative_to(root).parts[0] in CORPUS_STAGES
    }


def files(root: Path, wanted: Callable[[str], bool] = lambda name: True) -> dict[str, bytes]:
    """Bytes of every file of the stages below a workspace, leases left out."""
    found = {str(path.relative_to(root)): path for path in sorted(root.rglob("*")) if path.is_file()}
    return {
        name: path.read_bytes()
        for name, path in found.items()
        if name.split("/")[0] in CORPUS_STAGES and not name.endswith(".lease") and wanted(name)
    }
