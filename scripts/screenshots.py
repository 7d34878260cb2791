"""Takes screenshots of the page with drawn faces: the README's, and others at three widths, light and dark."""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import terminal
from PIL import Image
from playwright.sync_api import Browser
from service.browser import Visitor, chromium
from service.drawn_faces import portrait
from service.process import serving

WIDTHS = {"phone": 360, "tablet": 800, "desktop": 1280}
PERSON = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--readme", type=Path, default=Path("scripts/results/page.png"), help="the README's picture")
    parser.add_argument("--out", type=Path, default=Path("runs/screenshots"), help="folder of the others")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder, serving() as service, chromium() as browser:
        photos = [Path(folder) / f"photo{picture}.png" for picture in range(2)]
        for picture, path in enumerate(photos):
            Image.fromarray(portrait(PERSON, picture)).save(path)
        for name, width in WIDTHS.items():
            for scheme in ("light", "dark"):
                take(browser, service.address, photos, options.out / f"{name}-{scheme}.png", width, scheme)
        take(browser, service.address, photos, options.readme, 760, "light")


def take(browser: Browser, address: str, photos: list[Path], path: Path, width: int, scheme: str) -> None:
    """The whole page after a comparison, in a window of this width."""
    with Visitor(browser, address, viewport={"width": width, "height": 800}, color_scheme=scheme) as visitor:
        visitor.compare(*photos)
        print(f"{path}: {visitor.verdict}")
        visitor.page.screenshot(path=path, full_page=True)


if __name__ == "__main__":
    with terminal.one_line_errors():
        main()
