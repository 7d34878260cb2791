"""What the service counts and logs of itself, and that dashboards ask for what there is."""

import json
import logging
import re

import drift as drift_script
import httpx
import makers
import pytest
from fastapi import FastAPI
from PIL.PngImagePlugin import PngInfo
from prometheus_client.parser import text_string_to_metric_families

from app.logs import JsonFormatter
from app.main import create_app
from app.metrics import Metrics
from app.records import recorder
from app.request_context import RequestContext
from app.settings import Settings
from model import bundle

pytestmark = pytest.mark.anyio

DEPLOY = makers.ROOT / "deploy"
PICTURE, STRANGER = (makers.encoded(makers.face(person), "PPM") for person in (1, 2))
MARK = "Zq7mark"


def samples(text: str) -> dict[str, float]:
    """Each sample's value by its name and labels."""
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(counted: dict[str, float], series: str, **labels: str) -> float:
    return sum(
        value
        for key, value in counted.items()
        if key.split("[")[0] == series and all(str(item) in key for item in labels.items())
    )


async def test_everything_is_counted(client: httpx.AsyncClient) -> None:
    pair = {"image1": PICTURE, "image2": STRANGER}
    same = [(await client.post("/verify", files=pair)).json()["same"] for _ in range(2)]
    same.append((await client.post("/verify", files={"image1": PICTURE, "image2": PICTURE})).json()["same"])
    await client.post("/verify", files=pair, data={"fmr": "0.1"})
    await client.post("/embed", files={"image": PICTURE})
    await client.post("/embed", files={"image": b"junk"})
    await client.get(f"/{MARK}")
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    seen = samples(response.text)
    assert total(seen, "facepair_requests_total", route="/verify", status="200") == 4
    assert total(seen, "facepair_requests_total", route="/embed", status="415") == 1
    assert total(seen, "facepair_requests_total", route="other", status="404") == 1
    assert total(seen, "facepair_errors_total") == 2
    assert total(seen, "facepair_errors_total", code="unsupported_image_format") == 1
    assert total(seen, "facepair_request_seconds_count", route="/verify") == 4
    for stage in ("decode", "detect", "queue", "embed"):
        assert total(seen, "facepair_stage_seconds_count", stage=stage) == 5
    assert total(seen, "facepair_batch_faces_count") == 5
    assert total(seen, "facepair_batch_faces_sum") == 9
    assert total(seen, "facepair_decisions_total", fmr="0.01", same="true") == sum(same)
    assert total(seen, "facepair_decisions_total", fmr="0.01", same="false") == 3 - sum(same)
    assert total(seen, "facepair_decisions_total", fmr="0.1") == 1
    assert total(seen, "facepair_distance_count") == 4
    for series in ("size_pixels", "sharpness", "brightness"):
        assert total(seen, f"facepair_face_{series}_count") == 9
    assert total(seen, "facepair_face_size_pixels_sum") == 9 * 92
    assert total(seen, "facepair_queue_faces") == total(seen, "facepair_requests_in_flight") == 0
    assert total(seen, "facepair_model_info", name="tiny") == 1
    assert MARK not in response.text


def test_a_path_with_an_id_is_counted_as_its_route(service: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    routes = {"/people", "/people/{person_id}", "/people/{person_id}/photos/{photo_id}"}
    record = recorder(service.state.metrics, routes)
    of_none = ("/people/", f"/people/{MARK}/", f"/people/{MARK}/photos", "/people/{person_id}/x", f"/{MARK}")
    paths = ("/people", f"/people/{MARK}", "/people/E2", f"/people/{MARK}/photos/7", *of_none)
    for path in paths:
        record(RequestContext(path=path, status=200))
    seen = samples(service.state.metrics.text().decode())
    counted = {route: total(seen, "facepair_requests_total", route=route) for route in (*routes, "other")}
    assert counted == {**dict.fromkeys(routes, 1), "/people/{person_id}": 2, "other": len(of_none)}
    lines = [json.loads(JsonFormatter().format(line)) for line in caplog.records]
    assert [line["route"] for line in lines].count("/people/{person_id}") == 2
    assert MARK not in str(lines) + str(seen)


async def test_two_services_count_apart(settings: Settings) -> None:
    one, other = create_app(settings), create_app(settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(one), base_url="http://localhost") as client:
        await client.get("/livez")
    assert total(samples(one.state.metrics.text().decode()), "facepair_requests_total") == 1
    assert total(samples(other.state.metrics.text().decode()), "facepair_requests_total") == 0


def test_drift_reads_what_a_shipped_bundle_counts() -> None:
    manifest = bundle.load(bundle.SHIPPED / "default").manifest
    assert manifest.calibration is not None
    assert manifest.calibration.histograms is not None
    text = Metrics(manifest, lambda: 0, lambda: 0).text().decode()
    assert "too little to say" in drift_script.report(manifest.calibration.histograms, text)


def test_the_dashboard_asks_for_series_that_there_are(settings: Settings) -> None:
    dashboard = json.loads((DEPLOY / "grafana/facepair.json").read_text())
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"\b(?:facepair|process)_\w+", target["expr"])
    }
    text = create_app(settings).state.metrics.text().decode()
    names = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    families = set(re.findall(r"^# TYPE (\w+)", text, flags=re.M))
    made = names | {f"{family}{end}" for family in families for end in ("_bucket", "_sum", "_count")} | families
    assert len(asked) > 12
    assert asked <= made
    assert {name for name in families if name.startswith("facepair") and not name.endswith("_created")} <= {
        re.sub("_(bucket|sum|count)$", "", name) for name in asked
    }, "a series that no panel shows"


def marked_picture() -> bytes:
    notes = PngInfo()
    notes.add_text("Comment", MARK)
    return makers.encoded(makers.face(1), "PNG", pnginfo=notes)


async def test_a_request_is_one_line_and_nothing_that_was_sent_is_in_it(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    sent = {"image": (f"{MARK}.png", marked_picture())}
    headers = {"X-API-Key": MARK, "Authorization": f"Bearer {MARK}", "User-Agent": MARK}
    embedded = await client.post(f"/embed?{MARK}={MARK}", files=sent, headers={**headers, "X-Request-ID": "sane-1"})
    await client.post("/embed", files={"image": (f"{MARK}.png", MARK.encode())}, headers={"X-Request-ID": f"<{MARK}>"})
    await client.post(
        "/embed", content=b"--b\r\n" + MARK.encode(), headers={"content-type": f"multipart/form-data; boundary={MARK}"}
    )
    await client.get(f"/{MARK}")
    await client.request(MARK, "/livez")
    ours = [record for record in caplog.records if record.name == "facepair"]
    lines = [json.loads(JsonFormatter().format(record)) for record in ours]
    assert [(line["route"], line["status"], line["code"]) for line in lines] == [
        ("/embed", 200, None),
        ("/embed", 415, "unsupported_image_format"),
        ("/embed", 400, "multipart_invalid"),
        ("other", 404, "not_found"),
        ("/livez", 405, "method_not_allowed"),
    ]
    assert set(lines[0]) == {
        "time", "level", "logger", "message", "request_id", "caller", "route", "status", "code", "ms", "stages_ms",
        "bytes_in", "bytes_out",
    }  # fmt: skip
    assert lines[0]["request_id"] == "sane-1"
    assert set(lines[0]["stages_ms"]) == {"decode", "detect", "queue", "embed"}
    assert lines[0]["bytes_out"] == len(embedded.content)
    assert MARK not in json.dumps(lines)
    assert str(embedded.json()["embedding"][0]) not in json.dumps(lines)


def test_of_an_error_only_type_and_place_are_logged() -> None:
    try:
        try:
            int(MARK)
        except ValueError as error:
            raise RuntimeError(f"{MARK} again") from error
    except RuntimeError as error:
        record = logging.LogRecord(
            "asyncio", logging.ERROR, "", 0, "not retrieved\nfuture: %s", (MARK,), (type(error), error, None)
        )
    line = json.loads(JsonFormatter().format(record))
    assert line["message"] == "not retrieved"
    assert [each["type"] for each in line["errors"]] == ["RuntimeError", "ValueError"]
    assert "test_observability.py" in line["errors"][0]["where"][0]
    assert MARK not in json.dumps(line)
