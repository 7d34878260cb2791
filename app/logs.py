"""What is logged: JSON, one line an event, nothing of what was sent but a sane request id; knows no HTTP server."""

import json
import logging
import logging.config
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

_log = logging.getLogger("facepair")
_TALKATIVE = ("python_multipart", "py.warnings", "PIL")
"""Loggers whose messages quote what was sent."""


class JsonFormatter(logging.Formatter):
    """One JSON object a record. Of an error only its type and place: its message may quote what was sent."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage().partition("\n")[0],
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1]:
            line["errors"] = _places(record.exc_info[1])
        return json.dumps(line)


def install(level: str) -> None:
    """Sends everything that this process logs to standard error, as JSON. The server's own log of requests is off."""
    silent = {name: {"level": "CRITICAL"} for name in _TALKATIVE}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": {"()": JsonFormatter}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
            "root": {"level": "WARNING", "handlers": ["stderr"]},
            "loggers": {
                "facepair": {"level": level},
                "uvicorn": {"level": level, "handlers": [], "propagate": True},
                "uvicorn.error": {"level": level},
                "uvicorn.access": {"handlers": [], "propagate": False},
                **silent,
            },
        }
    )
    logging.captureWarnings(True)


def request(fields: Mapping[str, Any]) -> None:
    """The one line of a request that has ended."""
    _log.info("request", extra={"fields": fields})


def fault(request_id: str, error: BaseException) -> None:
    """A fault of the service while it worked on this request."""
    _log.error("fault", exc_info=error, extra={"fields": {"request_id": request_id}})


def _places(error: BaseException | None) -> list[dict[str, Any]]:
    """The error and what caused it, in that order."""
    places: list[dict[str, Any]] = []
    while error is not None and len(places) < 10:
        frames = traceback.extract_tb(error.__traceback__)
        where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        places.append({"type": type(error).__qualname__, "where": where})
        error = error.__cause__ or error.__context__
    return places
