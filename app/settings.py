"""The service's settings: read once from the environment, frozen, refused with one line where wrong."""

import os
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.inference.decoder_process import ChildLimits
from model.images import ImageLimits

PREFIX = "FACEPAIR_"
Seconds = Annotated[float, Field(gt=0, le=3600)]


def _addresses(given: str) -> str:
    """Raises ValueError where one is neither an IP address nor a network: a name would never match. None is fine."""
    for address in given.split(",") if given else ():
        ip_network(address.strip())
    return given


class SettingsError(Exception):
    """An environment variable is wrong; the message is one line that names it."""


class Settings(BaseSettings):
    """Each field is an environment variable: FACEPAIR_ and the field's name in capitals."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    bundle: str = Field("default", description="The bundle to serve: a shipped one's name, or a folder")
    device: Literal["cpu", "cuda"] = Field("cpu", description="Where the network runs: cpu or cuda")
    engine: Literal["auto", "torch", "openvino"] = Field(
        "auto", description="What runs the networks: torch, openvino, or auto: openvino where it is installed, on a CPU"
    )
    fmr: float | None = Field(None, description="Default false match rate; unset: the bundle's own", gt=0, lt=1)
    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8000, description="Port to listen on", ge=1, le=65535)
    api_keys_file: Path | None = Field(None, description="File of API keys' SHA-256 digests; unset: no keys")
    gallery: str | None = Field(None, description="People: sqlite:///FILE or postgresql://...; unset: none are kept")
    gallery_key_file: Path | None = Field(None, description="File of the gallery's key: 32 bytes in hex")
    fpir: float = Field(0.01, description="Default false positive identification rate of /identify", gt=0, lt=1)
    max_people: int = Field(10_000, description="Most people in the gallery", ge=1)
    max_photos: int = Field(20, description="Most photos of a person", ge=1, le=1000)
    page: bool = Field(True, description="Serve the page at /")
    allow_keyless: bool = Field(False, description="Without keys, serve other machines too")
    allowed_hosts: str = Field("", description="Without keys: names, comma-separated, under which it may be called")
    trusted_proxies: Annotated[str, AfterValidator(_addresses)] = Field(
        "127.0.0.1,::1", description="Addresses or networks, comma-separated, whose X-Forwarded-For is believed"
    )
    requests_per_minute: int | None = Field(
        None, description="Quota of each key, or without keys of each address; unset: none", ge=1
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="What is logged, at least")
    threads: int | None = Field(None, description="Cores to compute on; unset: all", ge=1, le=256)
    max_file_bytes: int = Field(10 * 2**20, description="Largest picture file, in bytes; up to 1 GiB", ge=1, le=2**30)
    max_body_bytes: int = Field(21 * 2**20, description="Largest request body, in bytes", ge=1)
    max_pixels: int = Field(
        25_000_000, description="Most pixels (width x height) in a picture; up to a billion", ge=1, le=10**9
    )
    min_side: int = Field(32, description="Shortest side of a picture, in pixels", ge=1)
    max_scans: int = Field(100, description="Most scans of a JPEG", ge=1)
    decoders: int = Field(3, description="Child processes that decode pictures; all but one take heavy ones", ge=1)
    decoder_memory_bytes: int = Field(
        2**30, description="Address space of each of them, in bytes; up to 1 TiB", ge=2**28, le=2**40
    )
    decoder_cpu_seconds: Seconds = Field(3, description="Processor time to decode one picture, in seconds")
    decoder_timeout: Seconds = Field(6, description="Seconds to decode one picture on a busy machine; more get 503")
    max_batch: int = Field(8, description="Most faces embedded in one go", ge=4)
    max_waiting: int = Field(128, description="Most faces waiting to be embedded; more get 503", ge=4)
    max_in_flight: int = Field(64, description="Most requests worked on at a time; more get 503", ge=1)
    max_in_flight_bytes: int = Field(256 * 2**20, description="Most bytes of their bodies together", ge=1)
    max_connections: int = Field(1024, description="Most connections; then the longest idle is closed", ge=1)
    max_header_bytes: int = Field(16 * 2**10, description="Largest head of a request, in bytes", ge=1024)
    header_timeout: Seconds = Field(5, description="Seconds for a connection to bring its next head")
    body_timeout: Seconds = Field(20, description="Seconds for the body to come")
    min_upload_rate: int = Field(
        16 * 2**10, description="Fewest bytes a second of a body, beyond FACEPAIR_HEADER_TIMEOUT", ge=1
    )
    request_timeout: Seconds = Field(10, description="Seconds for the answer, once the body is there")
    drain_timeout: Seconds = Field(25, description="Seconds to end in, when told to stop", ge=3)

    @property
    def cores(self) -> int:
        return self.threads or os.cpu_count() or 1

    @property
    def host_names(self) -> list[str]:
        return [name.strip() for name in self.allowed_hosts.split(",") if name.strip()]

    @property
    def child_limits(self) -> ChildLimits:
        return ChildLimits(self.decoder_memory_bytes, self.decoder_cpu_seconds, self.decoder_timeout)

    @property
    def image_limits(self) -> ImageLimits:
        return ImageLimits(self.max_pixels, self.min_side, self.max_scans)


def read_settings() -> Settings:
    """The settings of this process's environment. Raises SettingsError, also for a name that nobody reads."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    _check_service_links()
    for name in os.environ:
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            raise SettingsError(f"{name} is no setting of Facepair")
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingsError(f"{PREFIX}{str(first['loc'][0]).upper()}: {first['msg']}") from error


def _check_service_links() -> None:
    """Kubernetes sets such variables for every Service in the namespace, by the Service's name."""
    if os.environ.get(f"{PREFIX}PORT", "").startswith("tcp://"):
        raise SettingsError(
            f"{PREFIX}PORT is {os.environ[f'{PREFIX}PORT']}, which Kubernetes sets for a Service named facepair: "
            "set enableServiceLinks to false in the pod, or give the Service another name"
        )
