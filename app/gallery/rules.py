"""What may be said of a person, over HTTP and in an import alike: what one takes, the other takes."""

import json
from collections.abc import Mapping
from typing import Any

NEW_PERSON_ID = r"\.*[A-Za-z0-9_-][A-Za-z0-9._-]*"
"""Not of dots alone: clients resolve these as parts of a path, and could not erase the person again."""
MAX_ID = 64
MAX_TEXT = 200
"""Characters of a display name, and of a reference to a consent."""
_MAX_METADATA_BYTES = 4096
_MAX_DEPTH = 200
"""Of objects and lists in each other: as deep as a request is read; an answer would hold a little more."""


def is_small(metadata: Mapping[str, Any]) -> bool:
    """Whether it may be kept: as JSON at most 4 KB, of finite numbers, and not too deep."""
    if _depth(metadata) > _MAX_DEPTH:
        return False
    try:
        return len(json.dumps(metadata, ensure_ascii=False, allow_nan=False).encode()) <= _MAX_METADATA_BYTES
    except ValueError:  # a number that JSON does not have
        return False


def _depth(metadata: Mapping[str, Any]) -> int:
    depth = 0
    level: list[Any] = [metadata]
    while level:
        inner = [part for each in level for part in (each.values() if isinstance(each, Mapping) else each)]
        depth, level = depth + 1, [part for part in inner if isinstance(part, Mapping | list)]
    return depth
