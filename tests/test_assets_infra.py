"""The files below infra/ say what the programs that read them understand."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config

from assets import run
from pipelines import configuration

INFRA = Path(__file__).parents[1] / "infra"


def test_the_production_instance_is_of_dagsters_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOST", "USER", "PASSWORD", "DB"):
        monkeypatch.setenv(f"DAGSTER_PG_{name}", name.lower())
    config, _ = dagster_instance_config(str(INFRA / "dagster"))
    assert config["concurrency"]["runs"]["max_concurrent_runs"] == 1
    assert config["run_monitoring"]["free_slots_after_run_end_seconds"] == 60
    assert config["telemetry"]["enabled"] is False


def test_the_workspaces_own_instance_lets_one_run_and_one_gpu_step_at_a_time(tmp_path: Path) -> None:
    with run.opened(str(tmp_path)) as instance:
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 1
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 1
        assert instance.run_monitoring_enabled
        assert not instance.telemetry_enabled
        assert instance.get_settings("run_monitoring")["free_slots_after_run_end_seconds"] == 60
        assert isinstance(instance, dg.DagsterInstance)


def test_compose_shows_the_ui_to_this_machine_alone() -> None:
    services = loaded("compose.yaml")["services"]
    assert services["webserver"]["ports"] == ["127.0.0.1:3000:3000"]
    assert [name for name in services if "ports" in services[name]] == ["webserver"]
    assert services["code"]["build"]["dockerfile"] == "infra/docker/Dockerfile"
    assert set(loaded("compose.gpu.yaml")["services"]) <= set(services)


def test_the_code_server_of_each_deployment_loads_the_definitions() -> None:
    (server,) = loaded("dagster/workspace.yaml")["load_from"]
    code = loaded("compose.yaml")["services"]["code"]["command"]
    assert str(server["grpc_server"]["port"]) in code
    assert "assets.definitions" in code
    (deployment,) = loaded("kubernetes/values.yaml")["dagster-user-deployments"]["deployments"]
    assert deployment["dagsterApiGrpcArgs"] == ["-m", "assets.definitions"]


def test_the_image_copies_what_is_there() -> None:
    root = INFRA.parent
    for line in (INFRA / "docker" / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY"):
            *sources, _ = line.split()[1:]
            assert all((root / source).exists() for source in sources), line


@pytest.mark.parametrize("path", sorted((INFRA / "beam").glob("*.toml")), ids=lambda path: path.stem)
def test_runner_options_are_settings_that_beam_takes(path: Path) -> None:
    from apache_beam.options import pipeline_options

    engine = configuration.load(path).engine
    options = pipeline_options.PipelineOptions(list(engine.runner_options), runner=engine.runner)
    assert options.view_as(pipeline_options.StandardOptions).runner == engine.runner
    known = options.get_all_options(drop_default=True)
    given = {option[2:].partition("=")[0] for option in engine.runner_options}
    assert given <= set(known) | {"dask_client_address"}, given - set(known)


def loaded(name: str) -> Any:
    return yaml.safe_load((INFRA / name).read_text(encoding="utf-8"))
