"""The way in: crawl files as they lie somewhere, and the documents in them."""

import dagster as dg

from assets import claims
from assets.partitions import crawls
from assets.resources import CorpusResource
from assets.results import Judged, Recorded, by_crawl, checked_by_crawl
from assets.stages import of_crawls
from pipelines.crawls import Crawl

crawl_files = dg.AssetSpec(
    "crawl_files",
    description="WARC, WET, JSONL or Parquet files of a crawl, as they were registered; made elsewhere.",
    partitions_def=crawls,
    group_name="crawl",
    kinds={"file"},
)


def registration(crawl: Crawl) -> dg.AssetMaterialization:
    """The event that says a crawl's files are known."""
    size = sum(size for _, size in crawl.files.values())
    told = {"files": len(crawl.files), "bytes": size, "order": crawl.order}
    return dg.AssetMaterialization("crawl_files", partition=crawl.name, metadata=told)


@of_crawls(crawl_files, group="crawl")
def documents(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Recorded:
    """Text of every page with its identity, written once; rejects beside it with their reasons."""
    from pipelines.ingest import run_documents

    return by_crawl(context, workspace, run_documents)


@dg.asset_check(asset=documents, blocking=True, partitions_def=crawls)
def all_bytes_accounted_for(context: dg.AssetCheckExecutionContext, workspace: CorpusResource) -> Judged:
    """Per input file: bytes read + bytes lost = size."""
    return checked_by_crawl(context, workspace, claims.all_bytes_accounted_for)


@dg.asset_check(asset=documents, blocking=True, partitions_def=crawls)
def no_empty_text(context: dg.AssetCheckExecutionContext, workspace: CorpusResource) -> Judged:
    """No document is without text."""
    return checked_by_crawl(context, workspace, claims.no_empty_text)
