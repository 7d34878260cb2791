import numpy as np
import torch
from numpy.typing import NDArray

from model.embedding.backbones import Mirrored, parameter_count
from model.embedding.resnet import Block, ResNet29

Array = NDArray[np.float32]


def convolved(x: Array, block: torch.nn.Conv2d, stride: int, padding: int) -> Array:
    """(channels, h, w) -> (filters, h', w'), by loops over places."""
    weight, bias = block.weight.detach().numpy(), block.bias
    assert bias is not None
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    rows, columns = ((length - 3) // stride + 1 for length in x.shape[1:])
    found = np.empty((len(weight), rows, columns), np.float32)
    for i in range(rows):
        for j in range(columns):
            window = x[:, i * stride : i * stride + 3, j * stride : j * stride + 3]
            found[:, i, j] = (weight * window).sum(axis=(1, 2, 3)) + bias.detach().numpy()
    return found


def test_a_block_adds_what_it_was_given() -> None:
    torch.manual_seed(0)
    block, x = Block(2, 2, halve=False), torch.randn(1, 2, 5, 4)
    inner = np.maximum(convolved(x[0].numpy(), block.conv1, 1, 1), 0)
    expected = np.maximum(convolved(inner, block.conv2, 1, 1) + x[0].numpy(), 0)
    np.testing.assert_allclose(block(x)[0].detach().numpy(), expected, atol=1e-5)


def test_a_halving_block_pads_the_smaller_branch_with_zeros_at_the_end() -> None:
    torch.manual_seed(0)
    block, x = Block(2, 3, halve=True), torch.randn(1, 2, 8, 8)
    inner = np.maximum(convolved(x[0].numpy(), block.conv1, 2, 0), 0)
    found = convolved(inner, block.conv2, 1, 1)
    kept = x[0].numpy().reshape(2, 4, 2, 4, 2).mean(axis=(2, 4))
    assert (found.shape, kept.shape) == ((3, 3, 3), (2, 4, 4))
    expected = np.zeros((3, 4, 4), np.float32)
    expected[:, :3, :3] += found
    expected[:2] += kept
    np.testing.assert_allclose(block(x)[0].detach().numpy(), np.maximum(expected, 0), atol=1e-5)


def test_the_network_is_dlibs_in_size_and_gives_unit_vectors() -> None:
    torch.manual_seed(0)
    network = ResNet29().eval()
    convolutions = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert len(convolutions) == 29
    # The published file holds 5,614,592 values; its affine layers, two a filter, are folded away.
    assert parameter_count(network) == 5_614_592 - 2 * sum(layer.out_channels for layer in convolutions)
    embeddings = network(torch.randint(0, 256, (2, 3, 150, 150), dtype=torch.uint8))
    assert embeddings.shape == (2, 128)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(2))


def test_pixels_are_brought_around_zero_inside() -> None:
    network = ResNet29().eval()
    with torch.no_grad():
        network.stem.weight.zero_()
        network.stem.weight[:, :, 3, 3] = torch.eye(3).repeat(11, 1)[:32]
        assert network.stem.bias is not None
        network.stem.bias.zero_()
    seen: list[torch.Tensor] = []
    network.stem.register_forward_hook(lambda _layer, _inputs, output: seen.append(output))
    network(torch.full((1, 3, 150, 150), 200, dtype=torch.uint8))
    expected = (200 - torch.tensor([122.782, 117.001, 104.298])) / 256
    torch.testing.assert_close(seen[0][0, :3, 0, 0], expected)


def test_a_mirrored_network_cannot_tell_left_from_right() -> None:
    torch.manual_seed(0)
    network = ResNet29().eval()
    crops = torch.randint(0, 256, (2, 3, 150, 150), dtype=torch.uint8)
    both = Mirrored(network)(crops)
    torch.testing.assert_close(both, Mirrored(network)(crops.flip(3)))
    torch.testing.assert_close(both.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(both, torch.nn.functional.normalize(network(crops) + network(crops.flip(3))))
