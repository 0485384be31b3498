"""dolma's attributes of every text: `peer_dolma_scores.py TEXTS.json OUT.json SHARD SHARDS`.

Runs in dolma's own environment, which has no pyarrow. TEXTS is a list of texts. OUT is a list of objects: the text's
number as `row`, and each score that the taggers `gopher_v1` and `c4_v2` write, where they write one.
"""

import json
import sys
from pathlib import Path

from dolma.core.data_types import Document
from dolma.taggers.c4 import FasterC4Tagger
from dolma.taggers.gopher import GopherTagger


def main(source, target, shard, shards):
    taggers = (GopherTagger(), FasterC4Tagger())
    texts = json.loads(Path(source).read_text(encoding="utf-8"))
    rows = []
    for number in range(shard, len(texts), shards):
        document = Document(source="", id=str(number), text=texts[number])
        spans = [span for tagger in taggers for span in tagger.predict(document).spans]
        rows.append({"row": number} | {s.type: float(s.score) for s in spans if not s.type.startswith("lines_")})
    Path(target).write_text(json.dumps(rows))
    print(json.dumps({"n": len(rows)}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
