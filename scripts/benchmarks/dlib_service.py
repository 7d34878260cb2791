"""Serves dlib's networks by the package `face_recognition` in the plainest way: to compare with.

Runs in an environment of its own. 0.6 is the package's own threshold.
"""

import face_recognition
import numpy as np
from fastapi import FastAPI, HTTPException, UploadFile
from numpy.typing import NDArray


def build() -> FastAPI:
    service = FastAPI()

    def embedding_of(image: UploadFile) -> NDArray[np.float64]:
        found = face_recognition.face_encodings(face_recognition.load_image_file(image.file))
        if not found:
            raise HTTPException(422, "no face")
        embedding: NDArray[np.float64] = found[0]
        return embedding

    @service.post("/verify")
    def verify(image1: UploadFile, image2: UploadFile) -> dict[str, float | bool]:
        distance = float(np.linalg.norm(embedding_of(image1) - embedding_of(image2)))
        return {"same": distance <= 0.6, "distance": distance}

    return service
