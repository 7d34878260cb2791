"""Serves the same networks in the plainest way, as written in an afternoon: to compare with, not to use.

`uvicorn --factory benchmarks.plain_service:build`. It has no limits, no queue and no batches: the handler does one
picture after the other.
"""

from fastapi import FastAPI, UploadFile

from model import bundle
from model.decision import Policy
from model.embedding.embedder import Embedder, Embedding, distances
from model.images import decode


def build() -> FastAPI:
    service = FastAPI()
    embedder = Embedder(bundle.load(bundle.find("default")))
    policy = Policy(embedder.manifest)

    async def embedding_of(image: UploadFile) -> Embedding:
        face = embedder.faces.find(decode(await image.read()))
        embedding: Embedding = embedder.embed([face.crop])[0]
        return embedding

    @service.post("/verify")
    async def verify(image1: UploadFile, image2: UploadFile) -> dict[str, float | bool]:
        distance = float(distances(await embedding_of(image1), await embedding_of(image2)))
        return {"same": policy.decide(distance).same, "distance": distance}

    return service
