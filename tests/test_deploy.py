"""What deploys the service asks for what there is: settings, routes, ports, metrics."""

import json
import math
import re
import shutil
import socket
import ssl
import subprocess
from contextlib import ExitStack
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import httpx
import makers
import pytest
import yaml
from containers import proxy
from prometheus_server import CONFIGURATION, prometheus
from services import PATIENCE, files, running, until

from app.settings import PREFIX, Settings

COMPOSE = yaml.safe_load((makers.ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
MANIFESTS = sorted((makers.ROOT / "deploy/kubernetes/base").glob("*.yaml"))
SETTINGS = {PREFIX + name.upper() for name in Settings.model_fields}
NOBODY = ["http://127.0.0.1:9", "http://127.0.0.1:9"]
PROBED = {"/livez", "/readyz"}


def deployment() -> dict[str, Any]:
    path = makers.ROOT / "deploy/kubernetes/base/deployment.yaml"
    spec: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("name", [name for name in COMPOSE["services"] if name.startswith(("facepair", "people"))])
def test_compose_sets_only_what_the_service_reads(name: str) -> None:
    assert COMPOSE["services"][name]["environment"].keys() <= SETTINGS | {"PGPASSWORD"}  # PostgreSQL's own
    assert COMPOSE["services"][name]["read_only"]


def test_the_proxy_asks_the_replicas_that_compose_starts() -> None:
    replicas = re.findall(r"server (\S+):8000", proxy.CONFIGURATION.read_text(encoding="utf-8"))
    assert set(replicas) == {name for name in COMPOSE["services"] if name.startswith("facepair")}


def test_the_replicas_of_people_share_a_database_that_nobody_else_reaches() -> None:
    services = COMPOSE["services"]
    url = services["people"]["environment"]["FACEPAIR_GALLERY"]
    assert url == services["people2"]["environment"]["FACEPAIR_GALLERY"]
    user, password = services["postgres"]["environment"].values()
    assert url == f"postgresql://{user}@postgres/{user}"
    for name in ("people", "people2"):  # as it is: a password need not be fit for a URL
        assert services[name]["environment"]["PGPASSWORD"] == password
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
    with proxy.nginx(tmp_path, NOBODY):
        pass


@pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")
def test_slow_uploads_of_one_address_keep_nobody_else_out_of_the_proxy(tmp_path: Path) -> None:
    head = b"POST /verify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n-"

    def status(address: str, trust: ssl.SSLContext, of: str) -> int:
        with httpx.Client(transport=httpx.HTTPTransport(verify=trust, local_address=of)) as client:
            return client.get(f"{address}/livez", timeout=PATIENCE).status_code

    with proxy.nginx(tmp_path, NOBODY) as (address, trust), ExitStack() as uploads:
        port = httpx.URL(address).port

        def begin_an_upload() -> None:
            upload = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
            uploads.enter_context(trust.wrap_socket(upload, server_hostname="localhost")).sendall(head)

        def is_limited() -> bool:
            begin_an_upload()  # another each time: one that arrives while the question counts is itself refused
            return status(address, trust, "127.0.0.1") == 429

        for _ in range(127):
            begin_an_upload()
        until(is_limited)
        assert status(address, trust, "127.0.0.2") == 502  # it asked the replicas, which are not there


def test_the_proxy_has_room_for_many_addresses_that_hold_what_one_may() -> None:
    text = proxy.CONFIGURATION.read_text(encoding="utf-8")
    (connections,), (each,) = (re.findall(rf"{name} (\d+);", text) for name in ("worker_connections", "limit_conn .*"))
    assert int(connections) >= 2 * 50 * int(each)
    assert f"worker_rlimit_nofile {connections};" in text


def test_compose_believes_the_proxy_alone_and_no_gateway() -> None:
    (network,) = COMPOSE["services"]["proxy"]["networks"]
    address = COMPOSE["services"]["proxy"]["networks"][network]["ipv4_address"]
    (pool,) = COMPOSE["networks"][network]["ipam"]["config"]
    assert ip_address(address) in ip_network(pool["subnet"])
    assert ip_address(address) not in ip_network(pool["ip_range"])  # which the replicas get their addresses from
    for name, service in COMPOSE["services"].items():
        if name.startswith("facepair"):
            assert service["environment"]["FACEPAIR_TRUSTED_PROXIES"] == f"${{FACEPAIR_TRUSTED_PROXIES:-{address}}}"
            assert network in service["networks"]


def test_nobody_logs_in_to_grafana_with_its_first_password() -> None:
    environment = COMPOSE["services"]["grafana"]["environment"]
    assert environment["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"
    assert environment["GF_AUTH_BASIC_ENABLED"] == "false"


def test_prometheus_looks_for_every_replica_behind_the_proxy() -> None:
    (job,) = yaml.safe_load(CONFIGURATION.read_text(encoding="utf-8"))["scrape_configs"]
    (names,) = (entry["names"] for entry in job["dns_sd_configs"])
    assert set(names) == {name for name in COMPOSE["services"] if name.startswith("facepair")}


@pytest.mark.skipif(not shutil.which("promtool"), reason="prometheus is not installed")
def test_prometheus_takes_its_configuration() -> None:
    subprocess.run(("promtool", "check", "config", CONFIGURATION), check=True, capture_output=True)


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


def test_where_kubernetes_has_the_metrics_read_it_says_how_a_key_is_given() -> None:
    text = (makers.ROOT / "deploy/kubernetes/base/deployment.yaml").read_text(encoding="utf-8")
    assert text.index("credentials_file: ") < text.index("prometheus.io/scrape") < text.index("FACEPAIR_API_KEYS_FILE")


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
