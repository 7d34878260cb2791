"""The page at `/`, from files of this package; knows nothing of faces. What it does is in `app/static/`."""

from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parent / "static"
HEADERS = {
    # Nothing inline and nothing from elsewhere; `blob:` are the visitor's own pictures, which stay in the browser.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "camera=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


class _Files(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response


_PEOPLE = '  <script type="module" src="page/people.js"></script>\n</head>'


def install(service: FastAPI, gallery: bool) -> None:
    """Serves `/` and `/page/`: no route of the contract, so the OpenAPI document does not name them.

    Only with a `gallery` the page loads what shows its view of people.
    """
    files = _Files(directory=FOLDER)
    text = (FOLDER / "index.html").read_text(encoding="utf-8")
    with_people = text.replace("</head>", _PEOPLE)

    async def index(request: Request) -> Response:
        if gallery:
            return HTMLResponse(with_people, headers=HEADERS)
        return await files.get_response("index.html", request.scope)

    service.add_route("/", index, include_in_schema=False)
    service.mount("/page", files)
