import numpy as np
import torch
from numpy.typing import NDArray

from model.faces.windows import best, shown, shrunk, squared


def random_windows(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    corners = rng.uniform(0, 50, (count, 2))
    return np.column_stack([corners, corners + rng.uniform(5, 30, (count, 2)), rng.random(count)]).astype(np.float32)


def overlap(one: NDArray[np.float32], two: NDArray[np.float32], of_smaller: bool) -> float:
    width = min(one[2], two[2]) - max(one[0], two[0])
    height = min(one[3], two[3]) - max(one[1], two[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(w[2] - w[0]) * (w[3] - w[1]) for w in (one, two)]
    return float(shared / (min(areas) if of_smaller else sum(areas) - shared))


def test_a_window_gives_way_to_every_better_one_that_it_overlaps(rng: np.random.Generator) -> None:
    windows = random_windows(rng, 60)
    for of_smaller in (False, True):
        passed = sorted((i for i in range(60) if windows[i, 4] > 0.3), key=lambda i: -windows[i, 4])
        expected = [
            one
            for rank, one in enumerate(passed)
            if all(overlap(windows[one], windows[better], of_smaller) <= 0.4 for better in passed[:rank])
        ]
        assert best(windows, 0.3, 1000, 0.4, of_smaller).tolist() == expected


def test_only_so_many_are_looked_at(rng: np.random.Generator) -> None:
    windows = random_windows(rng, 60)
    assert set(best(windows, 0, 5, 1.0)) == set(np.argsort(windows[:, 4])[-5:])


def test_squares_keep_their_middle_and_longer_side() -> None:
    square = squared(np.array([[10, 20, 30, 60, 0.5]], np.float32))
    np.testing.assert_allclose(square, [[0, 20, 40, 60, 0.5]])


def test_what_a_window_shows_is_interpolated_and_grey_beyond(rng: np.random.Generator) -> None:
    pixels = torch.from_numpy(rng.uniform(-1, 1, (1, 3, 20, 30)).astype(np.float32))
    inside, outside = shown(pixels, np.array([[3, 4, 10, 11, 1], [-30, -30, -20, -20, 1]], np.float32), 8)
    assert inside.shape == (3, 8, 8)
    assert (outside == 0).all()
    # A window as long as the picture, in as many steps, goes from the first pixel to the last.
    whole = shown(pixels[..., :20], np.array([[0, 0, 20, 20, 1]], np.float32), 20)
    torch.testing.assert_close(whole, pixels[..., :20], atol=1e-5, rtol=0)


def test_shrinking_is_the_mean_of_areas(rng: np.random.Generator) -> None:
    pixels = torch.from_numpy(rng.uniform(-1, 1, (1, 3, 20, 30)).astype(np.float32))
    expected = pixels.view(1, 3, 10, 2, 15, 2).mean(dim=(3, 5))
    torch.testing.assert_close(shrunk(pixels, 0.5), expected)
    assert shrunk(pixels, 0.3).shape == (1, 3, 6, 9)
    torch.testing.assert_close(shrunk(torch.ones(1, 3, 20, 30), 0.3), torch.ones(1, 3, 6, 9))
