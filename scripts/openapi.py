"""Prints the service's OpenAPI document: the snapshot that the tests compare with."""

import json

from app.main import create_app
from app.settings import Settings

if __name__ == "__main__":
    print(json.dumps(create_app(Settings()).openapi(), indent=1))
