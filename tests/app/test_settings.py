import pytest
from pydantic import ValidationError

from app.settings import Settings, SettingsError, read_settings


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEPAIR_PORT", "9000")
    monkeypatch.setenv("FACEPAIR_FMR", "0.1")
    settings = read_settings()
    assert (settings.port, settings.fmr, settings.host) == (9000, 0.1, "127.0.0.1")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "70000"),
        ("DEVICE", "tpu"),
        ("FMR", "2"),
        ("FMR", "nan"),
        ("MAX_PIXELS", "0"),
        ("MAX_PIXELS", str(2**63)),
        ("MAX_FILE_BYTES", str(2**63)),
        ("DECODER_MEMORY_BYTES", str(2**63)),
        ("PROT", "1"),
        ("THREADS", "100000"),
        ("TRUSTED_PROXIES", "10.0.0.1,proxy"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("PORT", "tcp://10.0.0.1:8000"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"FACEPAIR_{name}", value)
    with pytest.raises(SettingsError, match=f"^FACEPAIR_{name}") as caught:
        read_settings()
    assert "\n" not in str(caught.value)


def test_what_kubernetes_sets_for_a_service_of_this_name_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PORT", "tcp://10.0.0.1:80"), ("SERVICE_HOST", "10.0.0.1"), ("PORT_80_TCP_PROTO", "tcp")):
        monkeypatch.setenv(f"FACEPAIR_{name}", value)
    with pytest.raises(SettingsError, match=r"tcp://10\.0\.0\.1:80, which Kubernetes sets .*enableServiceLinks"):
        read_settings()


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())
