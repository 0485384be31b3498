"""The loop that fastwarc's and an extractor's manuals lead to: `peer_bare_reading.py FILE WARM_FILE EXTRACTOR CHARSET`.

It takes the pages that are worth extracting (2xx, HTML or plain text, a body), undoes content encodings, detects the
charset (CHARSET is `detected`, or `declared`: the header's where it names one) and extracts the main content. It keeps
nothing, counts nothing, and would not notice damage.
"""

import sys

from bench import timed
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding

TYPES = ("text/html", "application/xhtml+xml", "text/plain", None)


def read(path: str, extractor: str, charset: str) -> int:
    if extractor == "trafilatura":
        import trafilatura
    pages = 0
    with open(path, "rb") as file:
        for record in ArchiveIterator(file, record_types=WarcRecordType.response, parse_http=True, auto_decode="all"):
            pages += 1
            status = record.http_headers.status_code if record.http_headers else None
            if status is None or not 200 <= status < 300 or record.http_content_type not in TYPES:
                continue
            body = record.reader.read()
            if not body:
                continue
            label = record.http_charset if charset == "declared" else None
            html = bytes_to_str(body, label or detect_encoding(body))
            if extractor == "trafilatura":
                if len(html) <= 4 << 20:  # as ours; larger pages take minutes
                    trafilatura.extract(html, favor_precision=True, include_comments=False)
            else:
                extract_plain_text(html, main_content=True, preserve_formatting=True, alt_texts=False)
    return pages


if __name__ == "__main__":
    path, warm, *how = sys.argv[1:]
    read(warm, *how)
    timed(lambda: read(path, *how))
