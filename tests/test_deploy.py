"""What deploys the service asks for what there is: settings, routes, ports, metrics."""

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import httpx
import makers
import pytest
import yaml
from containers import proxy
from prometheus_server import prometheus
from services import PATIENCE, files, running, until

from app.settings import PREFIX, Settings

COMPOSE = yaml.safe_load((makers.ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
MANIFESTS = sorted((makers.ROOT / "deploy/kubernetes/base").glob("*.yaml"))
SETTINGS = {PREFIX + name.upper() for name in Settings.model_fields}
PROBED = {"/livez", "/readyz"}


def deployment() -> dict[str, Any]:
    path = makers.ROOT / "deploy/kubernetes/base/deployment.yaml"
    spec: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("name", [name for name in COMPOSE["services"] if name.startswith(("facepair", "people"))])
def test_compose_sets_only_what_the_service_reads(name: str) -> None:
    assert COMPOSE["services"][name]["environment"].keys() <= SETTINGS
    assert COMPOSE["services"][name]["read_only"]


def test_the_proxy_asks_the_replicas_that_compose_starts() -> None:
    replicas = re.findall(r"server (\S+):8000", proxy.CONFIGURATION.read_text(encoding="utf-8"))
    assert set(replicas) == {name for name in COMPOSE["services"] if name.startswith("facepair")}


def test_the_replicas_of_people_share_a_database_that_nobody_else_reaches() -> None:
    services = COMPOSE["services"]
    url = services["people"]["environment"]["FACEPAIR_GALLERY"]
    assert url == services["people2"]["environment"]["FACEPAIR_GALLERY"]
    user, password = services["postgres"]["environment"].values()
    assert url == f"postgresql://{user}:{password}@postgres/{user}"
    assert {name for name, each in services.items() if "people" in each.get("networks", [])} == {
        "people", "people2", "postgres",
    }  # fmt: skip
    assert services["postgres"]["networks"] == ["people"]
    assert COMPOSE["networks"]["people"]["internal"]
    assert "ports" not in services["postgres"]
    for name in ("people", "people2"):
        assert services[name]["environment"]["FACEPAIR_GALLERY_KEY_FILE"] == "/run/secrets/gallery_key"
        assert services[name]["profiles"] == ["postgres"]


def test_the_proxy_takes_bodies_as_large_as_the_service() -> None:
    text = proxy.CONFIGURATION.read_text(encoding="utf-8")
    assert f"client_max_body_size {Settings().max_body_bytes // 2**20}m;" in text
    assert f"client_body_buffer_size {Settings().max_body_bytes // 2**20}m;" in text


@pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")
def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    with proxy.nginx(tmp_path, ["http://127.0.0.1:9", "http://127.0.0.1:9"]):
        pass


def test_every_manifest_of_kubernetes_is_one_that_kustomize_names() -> None:
    named = yaml.safe_load((MANIFESTS[0].parent / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    assert set(named) == {path.name for path in MANIFESTS} - {"kustomization.yaml"}


def test_kubernetes_sets_and_probes_what_there_is() -> None:
    spec = deployment()
    (container,) = spec["containers"]
    assert {variable["name"] for variable in container["env"]} <= SETTINGS
    probes = [container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")]
    assert set(probes) == PROBED
    assert spec["enableServiceLinks"] is False
    assert spec["terminationGracePeriodSeconds"] > Settings().drain_timeout + 5
    assert container["securityContext"]["readOnlyRootFilesystem"]


def test_the_autoscaler_follows_a_metric_that_there_is() -> None:
    text = (makers.ROOT / "deploy/kubernetes/base/availability.yaml").read_text(encoding="utf-8")
    scaler = next(document for document in yaml.safe_load_all(text) if document["kind"] == "HorizontalPodAutoscaler")
    (metric,) = (entry["pods"]["metric"]["name"] for entry in scaler["spec"]["metrics"])
    assert f'"{metric}"' in (makers.ROOT / "app/metrics.py").read_text(encoding="utf-8")


def queries() -> list[str]:
    """Every query of the dashboard, over an interval that the busiest machine does not exceed."""
    dashboard = json.loads((makers.ROOT / "deploy/grafana/facepair.json").read_text(encoding="utf-8"))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return [expression.replace("$__rate_interval", "10m") for expression in expressions]


def numbers(prometheus: httpx.Client, query: str) -> list[float]:
    answer = prometheus.get("/api/v1/query", params={"query": query}).raise_for_status().json()
    values = [float(series["value"][1]) for series in answer["data"]["result"]]
    return [value for value in values if not math.isnan(value)]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("prometheus"), reason="prometheus is not installed")
def test_prometheus_reads_the_service_and_every_query_of_the_dashboard_has_data(
    tmp_path: Path, bundle_folder: Path, picture: bytes
) -> None:
    with (
        running("facepair", bundle_folder) as (address, _),
        prometheus(tmp_path, address) as reader,
        httpx.Client(base_url=address, timeout=PATIENCE) as client,
    ):
        until(lambda: numbers(reader, "up") == [1])
        assert client.post("/embed", files={"image": b"no picture"}).status_code == 415  # once: it must show
        missing = queries()

        def all_have_data() -> bool:
            assert client.post("/verify", files=files(picture)).status_code == 200
            assert client.post("/embed", files={"image": picture}).status_code == 200
            missing[:] = [query for query in missing if not numbers(reader, query)]
            return not missing

        until(all_have_data)
        assert numbers(reader, "sum(increase(facepair_errors_total{code='unsupported_image_format'}[10m])) >= 1")
