"""Erases whoever's time is over, unless the clock cannot be trusted; knows no schedule."""

import logging
import time
from collections.abc import Callable
from datetime import datetime

from app.gallery.records import Receipt
from app.gallery.register import Register

_log = logging.getLogger("facepair")
_DRIFT_SECONDS = 5.0
"""How far apart the two clocks may be after a while: a clock that is set in small steps moves less."""


class Expiry:
    """Erasing cannot be undone: the clock must have gone on as steadily as the time since the last look."""

    def __init__(self, register: Register, steady: Callable[[], float] = time.monotonic) -> None:
        self._register = register
        self._steady = steady
        self._last: tuple[datetime, float] | None = None

    def sweep(self) -> list[Receipt]:
        """Erases everybody whose time is over, from the second call on. Raises GalleryUnavailable."""
        now, steady = self._register.clock(), self._steady()
        last, self._last = self._last, (now, steady)
        if last is None:
            return []
        if abs((now - last[0]).total_seconds() - (steady - last[1])) > _DRIFT_SECONDS:
            _log.warning("the clock has jumped: nobody's time is taken for over until it goes on steadily")
            return []
        return self._register.erase_expired()
