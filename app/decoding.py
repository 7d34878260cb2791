"""Untrusted bytes to a bounded RGB array, off the event loop."""

import asyncio
from collections.abc import Awaitable, Callable

from model.images import ImageLimits, Rgb, decode


def decoder(limits: ImageLimits) -> Callable[[bytes], Awaitable[Rgb]]:
    """A function that decodes one picture within these limits; it raises what `model.images.decode` raises."""

    async def decode_off_loop(data: bytes) -> Rgb:
        return await asyncio.to_thread(decode, data, limits)

    return decode_off_loop
