"""What networks are written in: the few layers that ours are made of, for either engine. Knows no network."""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

Signal: TypeAlias = Any
"""What goes from layer to layer, in the engine's own type: (N, channels, height, width), or (N, values)."""


class Layers(Protocol):
    """A layer with weights is named as they are in a bundle's file; `outputs` and `size` say what shape they have.

    Those raise RuntimeError where the weights are missing or of another shape.
    """

    def convolution(
        self,
        x: Signal,
        name: str,
        outputs: int,
        size: int,
        *,
        stride: int = 1,
        padding: int = 0,
        depthwise: bool = False,
    ) -> Signal:
        """With a bias. `depthwise`: each channel by itself, so that `outputs` are as many as inputs."""

    def dense(self, x: Signal, name: str, outputs: int, *, bias: bool = True) -> Signal: ...

    def prelu(self, x: Signal, name: str) -> Signal:
        """A slope for each channel, where x is negative."""

    def relu(self, x: Signal) -> Signal: ...

    def dropout(self, x: Signal, share: float) -> Signal:
        """Only while a network is trained."""

    def max_pool(self, x: Signal, size: int, stride: int, *, hang_over: bool = False) -> Signal:
        """`hang_over`: also a last window that is partly beyond the end."""

    def average_pool(self, x: Signal, size: int) -> Signal:
        """Windows side by side."""

    def mean(self, x: Signal) -> Signal:
        """Of all places: (N, channels)."""

    def sum(self, x: Signal, y: Signal) -> Signal: ...

    def flat(self, x: Signal) -> Signal:
        """(N, channels x height x width), in this order."""

    def unit(self, x: Signal) -> Signal:
        """Vectors of unit length."""

    def scaled(self, pixels: Signal, middle: float | Sequence[float], scale: float) -> Signal:
        """(pixels - middle) / scale as float32. `middle`: one for all channels, or one each."""

    def channels_first(self, pixels: Signal) -> Signal:
        """(N, height, width, channels) to (N, channels, height, width)."""

    def flipped(self, x: Signal) -> Signal:
        """Left to right."""

    def doubled(self, x: Signal) -> Signal:
        """Each place becomes two by two."""

    def padded(self, x: Signal, channels: int, rows: int, columns: int) -> Signal:
        """With so many zeros at the ends."""

    def shape(self, x: Signal) -> tuple[int, int, int]:
        """Channels, rows and columns."""

    def joined(self, x: Signal, y: Signal) -> Signal:
        """One batch of both."""

    def parted(self, x: Signal) -> tuple[Signal, Signal]:
        """The halves of a batch."""


class _Shaped(Protocol):
    @property
    def shape(self) -> Sequence[int]: ...


Array = TypeVar("Array", bound=_Shaped)


class OfWeights(Generic[Array]):
    """What layers are made of in either engine: each takes weights by name, of the shape that it has."""

    def __init__(self, weights: Mapping[str, Array]) -> None:
        self._weights = weights
        self._taken: set[str] = set()

    def _weight(self, name: str, *shape: int) -> Array:
        if name not in self._weights or tuple(self._weights[name].shape) != shape:
            raise RuntimeError(f"there is no '{name}' of shape {shape}")
        self._taken.add(name)
        return self._weights[name]

    def check_all_taken(self) -> None:
        """Raises RuntimeError where there are weights that the network does not have."""
        if unknown := self._weights.keys() - self._taken:
            raise RuntimeError(f"the network has no '{min(unknown)}'")
