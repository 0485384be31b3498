"""What the Hub and `datasets` read of a dataset's card: the YAML in front of its text."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

# Identifiers as in https://huggingface.co/docs/hub/repositories-licenses, of licences that texts come under.
HUB_LICENCES = re.compile(
    r"cc0-1\.0|cc-by-(2\.0|2\.5|3\.0|4\.0)|cc-by-sa-(3\.0|4\.0)|cc-by-nc-(2\.0|3\.0|4\.0)|cc-by-nd-4\.0"
    r"|cc-by-nc-nd-(3\.0|4\.0)|cc-by-nc-sa-(2\.0|3\.0|4\.0)|apache-2\.0|mit|isc|zlib|unlicense|wtfpl|gfdl"
    r"|bsd|bsd-[23]-clause|bsl-1\.0|afl-3\.0|artistic-2\.0|agpl-3\.0|l?gpl|gpl-[23]\.0|lgpl-(2\.1|3\.0)|mpl-2\.0"
    r"|epl-[12]\.0|eupl-1\.1|ecl-2\.0|etalab-2\.0|odbl|odc-by|pddl|ofl-1\.1|osl-3\.0|postgresql"
)
SIZE_NAMES = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")


def front_matter(manifest: Mapping[str, Any]) -> str:
    """YAML of a card: name, licences, languages, size, and which files are which split."""
    licences = sorted({hub_licence(row["licence"]) for row in manifest.get("licences") or ()}) or ["unknown"]
    rows = sum(split["rows"] for split in manifest["splits"].values())
    languages = [code for code in manifest.get("languages") or {} if re.fullmatch(r"[a-z]{2,3}", code)]
    values: dict[str, Any] = {
        "pretty_name": f"{manifest['name']} {manifest['version']}",
        "license": licences[0] if len(licences) == 1 else licences,
        **({"language": sorted(languages)} if languages else {}),
        "task_categories": ["text-generation"],
        "size_categories": [_size(rows)],
        "tags": ["pretraining", "data-mixture", "sirdar"],
        "configs": _configs(manifest),
    }
    return "".join(_yaml(values))


def hub_licence(licence: str) -> str:
    """The Hub's identifier for a licence's usual name; `unknown` without a name, `other` for the rest."""
    key = re.sub(r"[\s_/]+", "-", licence.strip().lower())
    if not key:
        return "unknown"
    return key if HUB_LICENCES.fullmatch(key) else "other"


def _configs(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Which files `datasets` reads; without this it would take validation for training in two layouts."""
    layout, splits = manifest["layout"], manifest["splits"]
    patterns: dict[str, dict[str, Any]] = {
        "parquet": {"train": "data/train-*.parquet", "validation": "data/validation-*.parquet"},
        "clusters": {"train": "cluster_*/*.parquet", "validation": "validation/*.parquet"},
        # No pattern tells nanochat's last shard from the others, so all are named.
        "nanochat": {split: list(splits[split]["files"]) for split in splits},
    }
    held = {split: path for split, path in patterns[layout].items() if splits[split]["files"]}
    configs: list[dict[str, Any]] = [{"config_name": "default", "data_files": _data_files(held)}]
    if layout == "clusters":
        folders = sorted({path.split("/")[0] for path in splits["train"]["files"]}, key=lambda f: (len(f), f))
        configs += [
            {"config_name": folder, "data_files": _data_files({"train": f"{folder}/*.parquet"})} for folder in folders
        ]
    return configs


def _size(rows: int) -> str:
    """The Hub's name for the power of ten."""
    above = sum(rows >= 10 ** (3 + power) for power in range(len(SIZE_NAMES)))
    if above == len(SIZE_NAMES):
        return f"n>{SIZE_NAMES[-1]}"
    return f"{SIZE_NAMES[above - 1]}<n<{SIZE_NAMES[above]}" if above else f"n<{SIZE_NAMES[0]}"


def _data_files(paths: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"split": split, "path": path} for split, path in paths.items()]


def _yaml(value: Any, indent: str = "") -> Iterable[str]:
    """Mappings, lists and strings as YAML; strings as JSON writes them, which YAML reads alike."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(inner, Mapping | list):
                yield f"{indent}{key}:\n"
                yield from _yaml(inner, indent + "  ")
            else:
                yield f"{indent}{key}: {json.dumps(inner, ensure_ascii=False)}\n"
    else:
        for inner in value:
            lines = list(_yaml(inner, indent + "  ")) if isinstance(inner, Mapping | list) else None
            if lines:
                yield f"{indent}- {lines[0].lstrip()}"
                yield from lines[1:]
            else:
                yield f"{indent}- {json.dumps(inner, ensure_ascii=False)}\n"
