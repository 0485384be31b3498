"""Settings: what is refused, with which words, and that what a person chose comes back as it was."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines import configuration, settings
from pipelines.configuration import load
from pipelines.corpus import choose, keep, opened
from pipelines.errors import SettingsError, SirdarError
from pipelines.settings import Settings
from pipelines.store import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(str(tmp_path / "ws"))


@pytest.mark.parametrize("preset", configuration.presets())
def test_every_preset_is_valid_and_says_only_what_differs(preset: str) -> None:
    loaded = configuration.dumped(load(preset=preset))
    given = configuration._toml(configuration.PRESETS / f"{preset}.toml")
    plain = configuration.dumped(Settings())
    assert loaded["preset"] == preset
    same = [f"{name}.{key}" for name, values in given.items() for key in values if plain[name][key] == values[key]]
    allowed = "proxy.layers proxy.width proxy.heads proxy.sequence clusters.k_init search.rounds clusters.merge "
    allowed += "clusters.distance embeddings.max_tokens"  # a preset may spell out the numbers that it stands for
    assert set(same) <= set(allowed.split())


def test_presets_are_those_that_the_command_names() -> None:
    assert configuration.presets() == ["climb", "demo", "laptop"]


@pytest.mark.parametrize("preset", configuration.presets())
def test_every_setting_is_explained_in_one_line(preset: str) -> None:
    chosen = load(preset=preset)
    told = {key: (value, meaning) for key, value, meaning in configuration.explained(chosen)}
    for name, section in chosen:
        if isinstance(section, settings.Section):
            for key, value in section:
                assert told[f"{name}.{key}"][0] == value
    for key, (value, meaning) in told.items():
        assert meaning.strip(), key
        assert "\n" not in meaning, key
        json.dumps(value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("quality.limit.list_ratio=3", "unknown setting 'quality.limit'; did you mean 'quality.limits'?"),
        ("quality.limits.list_rato=3", "quality.limits: no rule 'list_rato'; did you mean 'list_ratio'?"),
        ("qualty.preset='demo'", "unknown setting 'qualty'; did you mean 'quality'?"),
        ("zzzzz=3", "unknown setting 'zzzzz'"),
        (
            "quality.min_language_score=-1",
            "quality.min_language_score = -1: Input should be greater than or equal to 0",
        ),
        ("quality.limits.list_ratio=few", "quality.limits.list_ratio = 'few': Input should be a valid number"),
        ("clusters.merge=both", "clusters.merge = 'both': Input should be 'count' or 'distance'"),
        ("proxy.heads=5", "heads (5) must divide width (96) into even head sizes"),
        ("quality.limits.list_ratio=nan", "quality.limits.list_ratio = nan: Input should be a finite number"),
        (
            "quality.limits_of.de.list_ratio=inf",
            "quality.limits_of.de.list_ratio = inf: Input should be a finite number",
        ),
        ("scores=[{name='a', path='a', min=nan}]", "scores.0.min = nan: Input should be a finite number"),
        ("proxy.learning_rate=inf", "proxy.learning_rate = inf: Input should be a finite number"),
        ("scores=[{name='id', path='a'}]", "scores.id: the column `id` is the document's own"),
        ("duplicates.scheme='fineweb2'", "duplicates.scheme: no 'fineweb2'; there are: datatrove, fineweb"),
        ("duplicates.threshold=0.999", "duplicates.threshold = 0.999: no bands and rows"),
        ("quality.limits", "write section.key=value, e.g. --set quality.limits.gopher_short_doc=20"),
        ("=3", "write section.key=value"),
        ("quality..x=3", "write section.key=value"),
        ("quality=3", "quality = 3"),
    ],
)
def test_what_is_wrong_is_told_with_value_and_rule(change: str, told: str) -> None:
    with pytest.raises(SettingsError) as error:
        load(preset="laptop", changes=[change])
    assert told in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("clusters.k=20", 20),
        ("clusters.k = 20", 20),
        ("quality.languages=['en','de']", ("en", "de")),
        ("quality.languages=[]", ()),
        ("ingest.main_content=false", False),
        ("ingest.sample=0.25", 0.25),
        ("ingest.part_rows=50_000", 50_000),
        ("embeddings.model=a/b=c", "a/b=c"),
        ("embeddings.model='quoted name'", "quoted name"),
        ("search.rounds=[4, 2]", (4, 2)),
    ],
)
def test_changes_are_toml_values_or_plain_text(change: str, value: Any) -> None:
    section, key = change.partition("=")[0].strip().split(".")
    assert getattr(getattr(load(changes=[change]), section), key) == value


def test_later_changes_win_over_earlier_ones_a_file_over_its_preset(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('preset = "demo"\n[clusters]\nk = 7\n')
    assert load(path).clusters.k == 7
    assert load(path).clusters.k_init == load(preset="demo").clusters.k_init
    assert load(path, changes=["clusters.k=8", "clusters.k=9"]).clusters.k == 9
    assert load(path, preset="laptop").quality == load(preset="laptop").quality


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a = ", "is not TOML"),
        ('preset = "big"', "no preset 'big'; there are: climb, demo, laptop"),
        (None, "cannot be"),
    ],
)
def test_a_settings_file_that_cannot_be_used_is_named(tmp_path: Path, text: str | None, told: str) -> None:
    path = tmp_path / "mine.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingsError, match=told):
        load(path)


def test_an_objective_is_one_of_the_targets() -> None:
    load(changes=["search.objective=law"])  # none is named yet
    with pytest.raises(SettingsError, match=r"^search.objective = 'law' is none of the targets: a$"):
        load(changes=["search.objective=law", "targets=[{name='a', path='x'}]"])


def test_two_targets_of_one_name_are_refused() -> None:
    with pytest.raises(SettingsError, match="two targets share a name: a, a"):
        load(changes=["targets=[{name='a', path='x'}, {name='a', path='y'}]"])


# ---------------------------------------------------------------------------------------------------------
# In a workspace


def test_what_was_chosen_comes_back_from_the_workspace(workspace: Workspace, tmp_path: Path) -> None:
    changes = ["quality.languages=['en']", "embeddings.model='it''s'", "search.rounds=[3, 2]", "ingest.sample=0.5"]
    changes[1] = 'embeddings.model="it\'s \\"quoted\\""'
    chosen = choose(workspace, None, preset="climb", changes=changes, targets=["law=law.jsonl"])
    keep(workspace, chosen)
    found = opened(workspace).settings
    assert found == configuration.resolved(chosen)
    assert found.embeddings.model == 'it\'s "quoted"'
    assert found.targets[0].path == str(Path("law.jsonl").resolve())
    assert choose(workspace, None, preset=None, changes=()) == chosen
    # what was not chosen stays out of the file, so that a preset can be changed under it
    assert set(chosen) == {"preset", "quality", "embeddings", "search", "ingest", "targets"}


def test_changes_add_up_from_build_to_build_and_a_preset_starts_afresh(workspace: Workspace) -> None:
    keep(workspace, choose(workspace, None, preset="demo", changes=["clusters.k=5"]))
    keep(workspace, choose(workspace, None, preset=None, changes=["clusters.seed=1"]))
    found = opened(workspace).settings
    assert (found.preset, found.clusters.k, found.clusters.seed) == ("demo", 5, 1)
    keep(workspace, choose(workspace, None, preset="laptop", changes=()))
    assert opened(workspace).settings == load(preset="laptop")


def test_a_wrong_choice_is_refused_before_anything_is_kept(workspace: Workspace) -> None:
    with pytest.raises(SettingsError, match="write name=file"):
        choose(workspace, None, preset=None, changes=(), targets=["law.jsonl"])
    with pytest.raises(SettingsError, match="did you mean"):
        choose(workspace, None, preset=None, changes=["clusters.kk=5"])
    assert not workspace.exists()


def test_a_folder_without_settings_is_no_workspace(workspace: Workspace) -> None:
    with pytest.raises(SirdarError, match="no workspace yet; start one with `sirdar build INPUT"):
        opened(workspace)


def test_a_broken_settings_file_in_a_workspace_is_named(workspace: Workspace) -> None:
    with workspace.writing("sirdar.toml") as file:
        file.write(b"preset = ")
    with pytest.raises(SettingsError, match=r"sirdar\.toml is not TOML"):
        opened(workspace)


def test_files_of_settings_are_kept_by_whole_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("edu.bin", "quiz.jsonl", "words", "mine.json", "gpt2"):
        (tmp_path / name).write_text("x")
    monkeypatch.chdir(tmp_path)
    chosen = choose(
        Workspace(str(tmp_path / "ws")),
        None,
        preset="laptop",
        changes=[
            'scores=[{name="edu", path="edu.bin"}]',
            'tasks=[{name="quiz", path="./quiz.jsonl"}]',
            'urls.hard_words=["words"]',
            'search.frozen=[{clusters=[0, 1], mixture="mine.json"}]',
            'tokens.tokenizer="gpt2"',  # a name, whatever lies here
            'embeddings.model="sentence-transformers/no-such"',
        ],
        targets=["sky=quiz.jsonl"],
    )
    assert chosen["scores"][0]["path"] == str(tmp_path / "edu.bin")
    assert chosen["tasks"][0]["path"] == chosen["targets"][0]["path"] == str(tmp_path / "quiz.jsonl")
    assert chosen["urls"]["hard_words"] == [str(tmp_path / "words")]
    assert chosen["search"]["frozen"][0]["mixture"] == str(tmp_path / "mine.json")
    assert chosen["tokens"]["tokenizer"] == "gpt2"
    assert chosen["embeddings"]["model"] == "sentence-transformers/no-such"
