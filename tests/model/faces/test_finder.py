import makers
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from service.drawn_faces import portrait

from model import bundle
from model.bundle import finder_of
from model.faces.copies import Detections, Floats
from model.faces.face import Box, CropGeometry, Landmarks, NoFaceFound
from model.faces.finder import AlignedFaceFinder, WholePicture, as_detected
from model.images import Rgb

TUTORIAL = CropGeometry(height=56, width=46, channels=1, subsample=2)


def test_the_tutorial_keeps_every_second_pixel_exactly() -> None:
    grey = makers.face(1)
    found = WholePicture(TUTORIAL).find(np.repeat(grey[..., np.newaxis], 3, axis=-1))
    np.testing.assert_array_equal(found.crop, grey[::2, ::2][np.newaxis])
    assert found.box == Box(0, 0, 92, 112)
    assert (found.score, found.count, found.warnings) == (None, 1, ("no_detector",))


@pytest.mark.parametrize(("height", "width"), [(300, 200), (200, 300), (33, 1000)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_picture_becomes_the_shape_that_the_network_takes(height: int, width: int, channels: int) -> None:
    picture = np.stack([makers.face(i, 0, width, height) for i in range(3)], axis=-1)
    geometry = CropGeometry(height=20, width=16, channels=channels, subsample=3)  # type: ignore[arg-type]
    found = WholePicture(geometry).find(picture)
    assert found.crop.shape == (channels, 20, 16)
    assert found.crop.dtype == np.uint8
    assert found.quality.size_px == min(height, width)


def test_proportions_are_kept_by_cutting_not_by_stretching() -> None:
    wide = np.zeros((112, 400, 3), np.uint8)
    wide[:, 154:246] = 200  # the middle 92 columns
    assert (WholePicture(TUTORIAL).find(wide).crop[:, :, 2:-2] == 200).all()


DEFAULT = bundle.load(bundle.SHIPPED / "default")
FINDER = finder_of(DEFAULT)


def test_a_drawn_face_is_cropped_with_its_landmarks_in_place() -> None:
    found = FINDER.find(portrait(2))
    geometry = DEFAULT.manifest.crop
    assert found.crop.shape == (3, geometry.height, geometry.width)
    assert found.crop.flags.c_contiguous
    assert (found.count, found.warnings) == (1, ())
    assert found.score is not None
    assert 0.8 < found.score <= 1
    assert found.box.x < 160 < found.box.x + found.box.width
    assert found.quality.size_px == min(found.box.width, found.box.height)
    left, right = np.array(geometry.landmarks)[:2].round().astype(int)
    grey = found.crop.mean(axis=0)
    for x, y in (left, right):  # the eyes are the darkest within a dozen pixels
        assert grey[y - 4 : y + 5, x - 6 : x + 7].min() < grey[y + 12 : y + 20, x - 6 : x + 7].min() - 40


@pytest.mark.parametrize("scale", [0.5, 2, 6.5])
def test_landmarks_grow_with_the_picture(scale: float) -> None:
    picture = Image.fromarray(portrait(4))
    larger = picture.resize([round(side * scale) for side in picture.size], Image.Resampling.LANCZOS)
    once, again = FINDER.find(np.asarray(picture)), FINDER.find(np.asarray(larger))
    moved = (np.array(again.landmarks) + 0.5) / scale - 0.5
    assert np.abs(moved - np.array(once.landmarks)).max() < 5  # pixels, of a face of 140


def test_no_face_is_an_error_never_a_crop() -> None:
    with pytest.raises(NoFaceFound):
        FINDER.find(np.full((200, 200, 3), 120, np.uint8))


def test_of_two_faces_the_larger_counts_and_a_warning_says_so() -> None:
    small = np.asarray(portrait(3))[::2, ::2]
    picture = np.concatenate([portrait(5), np.pad(small, ((0, 160), (0, 0), (0, 0)), mode="edge")], axis=1)
    found = FINDER.find(picture)
    assert found.count == 2
    assert found.warnings == ("several_faces",)
    assert found.box.x + found.box.width < 320


class Detected:
    """A detector that sees the same boxes in every picture."""

    def __init__(self, *boxes: tuple[float, float, float, float]) -> None:
        self._boxes = np.array(boxes, np.float32)

    def find(self, _: NDArray[np.uint8]) -> Detections:
        places = np.array([(0.3, 0.35), (0.7, 0.35), (0.5, 0.55), (0.35, 0.8), (0.65, 0.8)], np.float32)
        corners, sides = self._boxes[:, :2], self._boxes[:, 2:] - self._boxes[:, :2]
        return Detections(self._boxes, np.full(len(sides), 0.9, np.float32), corners[:, None] + places * sides[:, None])


def finder(*boxes: tuple[float, float, float, float]) -> AlignedFaceFinder:
    return AlignedFaceFinder(Detected(*boxes), as_detected, DEFAULT.manifest.crop)


@pytest.mark.parametrize(
    ("boxes", "main"),
    [
        ([(20, 20, 60, 60), (100, 20, 180, 100)], 1),  # the larger
        ([(100, 100, 180, 180), (-60, 20, 40, 120)], 0),  # what lies beyond the picture does not count
        ([(0, 0, 84, 84), (110, 110, 190, 190)], 1),  # a little larger, but in the corner
    ],
)
def test_the_main_face_is_large_and_not_at_the_border(boxes: list[tuple[int, int, int, int]], main: int) -> None:
    picture = np.full((300, 300, 3), 120, np.uint8)
    found = finder(*boxes).find(picture)
    x1, y1, x2, y2 = boxes[main]
    assert found.box == Box(x1, y1, x2 - x1, y2 - y1)
    assert "several_faces" in found.warnings


def test_a_face_cut_by_the_border_is_boxed_within_the_picture() -> None:
    found = finder((-30, 50, 90, 170)).find(np.full((300, 300, 3), 120, np.uint8))
    assert found.box == Box(0, 50, 90, 120)
    assert found.quality.size_px == 120
    assert "face_cut" in found.warnings


def test_a_face_wholly_beyond_the_picture_is_none() -> None:
    with pytest.raises(NoFaceFound):
        finder((310, 310, 400, 400)).find(np.zeros((300, 300, 3), np.uint8))


def test_the_main_faces_landmarks_are_refined_before_it_is_aligned() -> None:
    picture, seen = np.zeros((300, 300, 3), np.uint8), []

    def refine(_: Rgb, box: Floats, landmarks: Landmarks) -> Landmarks:
        seen.append(box.tolist())
        return landmarks + 2

    once = finder((20, 20, 60, 60), (100, 20, 180, 100)).find(picture)
    again = AlignedFaceFinder(Detected((20, 20, 60, 60), (100, 20, 180, 100)), refine, DEFAULT.manifest.crop)
    moved = again.find(picture)
    assert seen == [[100, 20, 180, 100]]
    assert once.landmarks is not None
    assert moved.landmarks is not None
    np.testing.assert_allclose(np.array(moved.landmarks) - np.array(once.landmarks), 2, atol=1e-4)


def test_all_faces_are_found_the_largest_first_and_no_more_than_asked_for() -> None:
    boxes = [(20, 20, 60, 60), (100, 20, 180, 100), (310, 310, 400, 400), (200, 200, 260, 260)]
    found_by, picture = finder(*boxes), np.full((300, 300, 3), 120, np.uint8)
    found = list(found_by.find_all(picture, 50))
    assert [face.box.width for face in found] == [80, 60, 40]  # the one beyond the picture is none
    assert all("several_faces" not in face.warnings for face in found)
    assert [face.box for face in found_by.find_all(picture, 2)] == [face.box for face in found[:2]]
    np.testing.assert_array_equal(found[0].crop, found_by.find(picture).crop)
    with pytest.raises(NoFaceFound):
        next(finder((310, 310, 400, 400)).find_all(picture, 50))


def test_without_a_detector_the_whole_picture_is_the_only_face() -> None:
    picture = np.full((112, 92, 3), 120, np.uint8)
    (only,) = WholePicture(TUTORIAL).find_all(picture, 50)
    assert only.box == Box(0, 0, 92, 112)
