import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from model.faces import alignment
from model.faces.alignment import aligned, region, similarity
from model.faces.face import CropGeometry
from model.images import Rgb

PLACES = ((46.65, 44.84), (101.37, 45.16), (74.0, 77.56), (50.84, 104.79), (97.06, 105.42))
TEMPLATE = np.array(PLACES)
CROP = CropGeometry(150, 150, 3, landmarks=PLACES)


def umeyama(
    source: NDArray[np.float64], target: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same least squares by singular values, as the paper has it: (2 x 2 matrix, shift)."""
    offsets, goals = source - source.mean(axis=0), target - target.mean(axis=0)
    left, values, right = np.linalg.svd(goals.T @ offsets)
    sign = np.diag([1, np.sign(np.linalg.det(left @ right))])
    matrix = left @ sign @ right * (values * np.diag(sign)).sum() / (offsets**2).sum()
    return matrix, target.mean(axis=0) - matrix @ source.mean(axis=0)


def test_the_similarity_is_umeyamas_for_many_faces_at_once(rng: np.random.Generator) -> None:
    faces = TEMPLATE * rng.uniform(0.2, 5, (50, 1, 1)) + rng.normal(0, 4, (50, 5, 2))
    for face, (a, b) in zip(faces, similarity(faces, TEMPLATE), strict=True):
        matrix, shift = umeyama(face, TEMPLATE)
        np.testing.assert_allclose(matrix, [[a.real, -a.imag], [a.imag, a.real]], atol=1e-9)
        np.testing.assert_allclose(shift, [b.real, b.imag], atol=1e-7)


def test_landmarks_in_one_place_are_refused() -> None:
    with pytest.raises(ValueError, match="coincide"):
        similarity(np.ones((5, 2)), TEMPLATE)


def scene(points: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Grey, 0..255, as a smooth function of places in the crop."""
    return 127 + 60 * np.sin(points.real / 7.3) * np.cos(points.imag / 9.1)


@pytest.mark.parametrize("scale", [0.4, 0.9, 1, 1.7, 4, 9])
@pytest.mark.parametrize("angle", [0, 0.3, -1.2])
def test_a_face_of_any_size_and_angle_comes_out_the_same(scale: float, angle: float) -> None:
    side = int(340 * scale)
    y, x = np.mgrid[:side, :side]
    middle, turn = complex(side / 2, side / 2), np.exp(1j * angle) / scale
    crop_middle = complex(74.5, 74.5)
    picture = scene((x + 1j * y - middle) * turn + crop_middle).round().astype(np.uint8)
    landmarks = (TEMPLATE[:, 0] + 1j * TEMPLATE[:, 1] - crop_middle) / turn + middle
    points = np.stack([landmarks.real, landmarks.imag], axis=1).astype(np.float32)
    found = aligned(np.repeat(picture[..., np.newaxis], 3, axis=2), points, CROP)
    rows, columns = np.mgrid[:150, :150]
    expected = scene(columns + 1j * rows)
    # A picture of few pixels holds the scene less exactly; it is never moved by as much as a third of a pixel.
    assert np.abs(found[..., 0] - expected).mean() < (4 if scale < 0.5 else 1.5)


def test_a_large_face_is_averaged_not_picked(rng: np.random.Generator) -> None:
    noise = rng.integers(0, 256, (1500, 1500, 3), dtype=np.uint8)
    assert aligned(noise, (TEMPLATE * 10).astype(np.float32), CROP).std() < 74 / 10 * 1.6


def test_beyond_the_picture_is_black() -> None:
    white = np.full((100, 100, 3), 255, np.uint8)
    assert (aligned(white, (TEMPLATE - 500).astype(np.float32), CROP) == 0).all()
    left_half_outside = aligned(white, (TEMPLATE - [75, 0]).astype(np.float32), CROP)
    assert (left_half_outside[:98, :73] == 0).all()
    assert (left_half_outside[:98, 77:] == 255).all()
    assert (left_half_outside[102:] == 0).all()


@pytest.mark.parametrize("scale", [30, 1e3, 1e6])
def test_however_wide_the_landmarks_lie_little_is_taken_out_of_the_picture(scale: float) -> None:
    white, middle = np.full((1500, 1500, 3), 255, np.uint8), TEMPLATE.mean(axis=0)
    taken = list[int]()

    def told(picture: Rgb, corners: NDArray[np.complex128], margin: int = 0) -> tuple[int, int, Image.Image]:
        found = region(picture, corners, margin)
        taken.append(max(found[2].size))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alignment, "region", told)
        crop = aligned(white, ((TEMPLATE - middle) * scale + 750).astype(np.float32), CROP)
    assert max(taken) < 3200
    side = 1500 / scale  # of the picture in the crop
    assert crop.mean() == pytest.approx(255 * min(side / 150, 1) ** 2, rel=0.05, abs=0.1)
    assert (crop[:40] == 0).all()
