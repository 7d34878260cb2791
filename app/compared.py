"""The body of /compare to its answer, some rows at a time; knows no request."""

from typing import Any

import msgspec

from app.description import identity
from app.in_pieces import Pieces
from app.inference.comparison import compare
from app.json_bodies import count, field, members_of
from app.schemas import MAX_OTHERS, ComparisonRequest, OperatingPoint
from app.uploads import InvalidParameterError, parse_rate
from model.decision import Policy
from model.manifest import Manifest

_BYTES_A_NUMBER = 32
"""All digits of a double, a comma, and a line of its own."""
_ROWS = 50
"""In a piece: of 128 numbers they take 1 ms."""
_MOST_QUOTES = 2 * len(ComparisonRequest.model_fields) + 2
"""Those of the members' names and of the contract id."""
_Row = list[float]


def max_commas(dimension: int) -> int:
    """Of a body with embeddings of so many numbers."""
    return (MAX_OTHERS + 1) * (dimension + 1)


def max_bytes(dimension: int) -> int:
    return _BYTES_A_NUMBER * max_commas(dimension)


def answer(body: bytearray, manifest: Manifest, policy: Policy, request_id: str) -> Pieces[bytes]:
    """JSON of the shape Comparison. Raises JsonInvalidError, InvalidParameterError or what `compare` does."""
    _check_strings(body)
    members = members_of(body, ComparisonRequest)
    yield
    dimension = manifest.embedding_size
    embedding, contract, fmr = _asked(members, dimension)
    rows = _rows(members.get("others", b""))
    yield
    results: list[msgspec.Raw] = []
    for start in range(0, len(rows), _ROWS):
        others = [_row(json.lstrip(b", \t\r\n") + b"]", dimension) for json in rows[start : start + _ROWS]]
        for decision in compare(manifest, policy, embedding, others, contract, fmr):
            result = {"same": decision.same, "distance": decision.distance, "fmr_estimate": decision.fmr_estimate}
            results.append(msgspec.Raw(msgspec.json.encode(result)))
        yield
    point = policy.operating_point(fmr)
    whole: dict[str, Any] = {
        "results": results,
        "threshold": point.threshold,
        "metric": manifest.metric,
        "operating_point": OperatingPoint.model_validate(point).model_dump(),
        "model": identity(manifest).model_dump(),
        "request_id": request_id,
    }
    return msgspec.json.encode(whole)


def _check_strings(body: bytearray) -> None:
    """Escapes and very many members take the reader long. Raises InvalidParameterError."""
    if b"\\" in body or count(b'"', body) > _MOST_QUOTES:
        raise InvalidParameterError


def _asked(members: dict[str, bytes], dimension: int) -> tuple[_Row, str, float | None]:
    """Embedding, contract id and FMR. Raises InvalidParameterError."""
    contract = field(members.get("contract_id", b"null"), str)
    if contract is None:
        raise InvalidParameterError
    return (
        _row(members.get("embedding", b""), dimension),
        contract,
        parse_rate(field(members.get("fmr", b"null"), float)),
    )


def _rows(others: bytes) -> list[bytes]:
    """The JSON of each row of this list, which is JSON; without the row's end. Raises InvalidParameterError."""
    *rows, rest = others[1:-1].split(b"]", MAX_OTHERS + 1)
    if not others.startswith(b"[") or rest.strip() or not 0 < len(rows) <= MAX_OTHERS:
        raise InvalidParameterError
    return rows


def _row(json: bytes, dimension: int) -> _Row:
    """The numbers. Raises InvalidParameterError; of very many values before any becomes an object."""
    if json.count(b",") != dimension - 1:
        raise InvalidParameterError
    try:
        return msgspec.json.decode(json, type=_Row)
    except msgspec.DecodeError:
        raise InvalidParameterError from None
