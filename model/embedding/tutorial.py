"""The tutorial's base network; knows neither files nor training."""

from model.engines.layers import Layers, Signal


def tutorial(layers: Layers, crops: Signal) -> Signal:
    """uint8 (N, 1, 56, 46) -> float32 (N, 50), not of unit length; 191,618 parameters.

    Two 'valid' 3 x 3 convolutions (6, 12 filters), each with ReLU, 2 x 2 max pooling and dropout, then dense
    128 and 50.
    """
    x = layers.scaled(crops, 0, 255)
    for name, filters in (("layers.0", 6), ("layers.4", 12)):
        x = layers.max_pool(layers.relu(layers.convolution(x, name, filters, 3)), 2, 2)
        x = layers.dropout(x, 0.25)
    x = layers.dropout(layers.relu(layers.dense(layers.flat(x), "layers.9", 128)), 0.1)
    return layers.relu(layers.dense(x, "layers.12", 50))
