"""datatrove's verdict on texts, each rule alone: `peer_parity_datatrove.py TEXTS.parquet OUT.parquet SHARD SHARDS`.

Runs in datatrove's own environment. A row of TEXTS is a text and the one rule to ask, "" for all. A row of OUT holds
its number and, for each rule, whether the rule alone drops the text: null where it was not asked, where its filter
raised, or where FineWeb's rules got no line. `edited` is the text as C4's line rules leave it, which FineWeb's rules
read; `words` and `edited_words` are digests of the words that the filters met.
"""

import hashlib
import json
import sys
import time
import warnings

import pyarrow as pa
import pyarrow.parquet as pq
from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4ParagraphFilter,
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.utils.text import split_into_words

TOP = ((2, 0.20), (3, 0.18), (4, 0.16))
DUP = ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))
NO_REPETITION = {
    "dup_line_frac": None, "dup_para_frac": None, "dup_line_char_frac": None, "dup_para_char_frac": None,
    "top_n_grams": (), "dup_n_grams": (),
}  # fmt: skip
NO_QUALITY = {
    "min_doc_words": 0, "max_doc_words": 0, "min_avg_word_length": 0, "max_avg_word_length": 0,
    "max_symbol_word_ratio": 0, "max_bullet_lines_ratio": 0, "max_ellipsis_lines_ratio": 0,
    "max_non_alpha_words_ratio": 0, "min_stop_words": 0,
}  # fmt: skip
NO_C4 = {"filter_no_terminal_punct": False, "min_num_sentences": -1, "filter_lorem_ipsum": False,
         "filter_curly_bracket": False}  # fmt: skip
NO_FINEWEB = {"line_punct_thr": 0.0, "short_line_thr": 9.0, "char_duplicates_ratio": 9.0, "new_line_ratio": 1e9}


def on_raw_text():
    """Reason -> filter with that rule only."""
    found = {
        "dup_para_frac": GopherRepetitionFilter(**NO_REPETITION | {"dup_para_frac": 0.3}),
        "dup_para_char_frac": GopherRepetitionFilter(**NO_REPETITION | {"dup_para_char_frac": 0.2}),
        "dup_line_frac": GopherRepetitionFilter(**NO_REPETITION | {"dup_line_frac": 0.3}),
        "dup_line_char_frac": GopherRepetitionFilter(**NO_REPETITION | {"dup_line_char_frac": 0.2}),
    }
    for n, share in TOP:
        found[f"top_{n}_gram"] = GopherRepetitionFilter(**NO_REPETITION | {"top_n_grams": ((n, share),)})
    for n, share in DUP:
        found[f"duplicated_{n}_n_grams"] = GopherRepetitionFilter(**NO_REPETITION | {"dup_n_grams": ((n, share),)})
    quality = {
        "gopher_short_doc": {"min_doc_words": 50},
        "gopher_long_doc": {"max_doc_words": 100_000},
        "gopher_below_avg_threshold": {"min_avg_word_length": 3},
        "gopher_above_avg_threshold": {"max_avg_word_length": 10},
        "gopher_too_many_hashes": {"max_symbol_word_ratio": 0.1},
        "gopher_too_many_ellipsis": {"max_symbol_word_ratio": 0.1},
        "gopher_too_many_bullets": {"max_bullet_lines_ratio": 0.9},
        "gopher_too_many_end_ellipsis": {"max_ellipsis_lines_ratio": 0.3},
        "gopher_below_alpha_threshold": {"max_non_alpha_words_ratio": 0.8},
        "gopher_enough_stop_words": {"min_stop_words": 2},
    }
    found |= {reason: GopherQualityFilter(**NO_QUALITY | values) for reason, values in quality.items()}
    found["too_few_long_lines"] = C4ParagraphFilter()
    found["lorem_ipsum"] = C4QualityFilter(**NO_C4 | {"filter_lorem_ipsum": True})
    found["curly_bracket"] = C4QualityFilter(**NO_C4 | {"filter_curly_bracket": True})
    found["too_few_sentences"] = C4QualityFilter(**NO_C4 | {"min_num_sentences": 5})
    return found


def on_edited_text():
    values = {
        "line_punct_ratio": {"line_punct_thr": 0.12},
        "short_line_ratio": {"short_line_thr": 0.67},
        "char_dup_ratio": {"char_duplicates_ratio": 0.01},
        "list_ratio": {"new_line_ratio": 0.3},
    }
    return {reason: FineWebQualityFilter(**NO_FINEWEB | value) for reason, value in values.items()}


def dropped(rule, reason, text):
    """Whether a filter drops the text for this reason; None where it raises or drops it for another."""
    try:
        answer = rule.filter(Document(text=text, id="0"))
    except (ZeroDivisionError, ValueError, AssertionError):
        return None
    if answer is True:
        return False
    told = answer[1]
    if told == reason or reason == "too_few_long_lines":
        return True
    # Hashes and ellipses share a parameter, and hashes are asked first.
    return None if told == "empty" or reason == "gopher_too_many_ellipsis" else False


def digest(text):
    return hashlib.sha1("\x1f".join(split_into_words(text)).encode("utf-8", "surrogatepass")).hexdigest()


def main(source, target, shard, shards):
    warnings.simplefilter("ignore")
    raw, edited, edit = on_raw_text(), on_edited_text(), C4QualityFilter(**NO_C4)
    table, started = pq.read_table(source).to_pylist(), time.perf_counter()
    rows = []
    for number in range(shard, len(table), shards):
        text, only = table[number]["text"], table[number]["only"]
        row = {"row": number, "words": digest(text), "edited": None, "edited_words": None}
        for reason, rule in raw.items():
            row[reason] = dropped(rule, reason, text) if only in ("", reason) else None
        if only in ("", *edited):
            document = Document(text=text, id="0")
            edit.filter(document)
            row["edited"], row["edited_words"] = document.text, digest(document.text)
            for reason, rule in edited.items():
                row[reason] = dropped(rule, reason, document.text)
        else:
            row |= dict.fromkeys(edited)
        rows.append(row)
    types = {"row": pa.int64(), "edited": pa.large_string(), "words": pa.string(), "edited_words": pa.string()}
    names = [*types, *raw, *edited]
    schema = pa.schema([(name, types.get(name, pa.bool_())) for name in names])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), target)
    print(json.dumps({"seconds": time.perf_counter() - started, "n": len(rows)}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
