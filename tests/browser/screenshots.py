"""Pictures of the main pages for the documentation: `python -m tests.browser.screenshots [FOLDER]`.

Each in light and dark, at a desktop and a phone, of a shop whose past and clock are always the same.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, HttpCredentials, ViewportSize, sync_playwright

from tests.browser.pages import Visitor
from tests.browser.shop import Shop
from tests.browser.site import PASSWORD, Site, served

PICTURES = Path(__file__).parent.parent.parent / "docs" / "images" / "page"
PAGES = {
    "overview": "/",
    "pipeline": "/pipelines/shop",
    "backups": "/backups",
    "backup": "/pipelines/shop/backups/{backup}?at=file:///mnt/backup",
    "restore": "/pipelines/shop/backups/{backup}/restore?at=file:///mnt/backup",
}
SCREENS: dict[str, ViewportSize] = {
    "desktop": {"width": 1280, "height": 900},
    "phone": {"width": 390, "height": 844},
}
_TALLEST = 1600  # px
_COLOURS = 48
_LARGEST = 120_000  # bytes


def take(browser: Browser, site: Site, folder: Path) -> None:
    """All pictures, into the folder."""
    files = (one.id for one in site.shop.shop.list().backups if len(one.contents) == 2)
    backup = max(files)
    for screen, size in SCREENS.items():
        for colours in ("light", "dark"):
            context = browser.new_context(
                viewport=size,
                color_scheme=colours,
                reduced_motion="reduce",
                locale="en-GB",
                timezone_id="UTC",
                http_credentials=HttpCredentials(username="anna", password=PASSWORD),
            )
            visitor = Visitor(context.new_page(), site)
            for name, address in PAGES.items():
                visitor.go(address.replace("{backup}", backup))
                (folder / f"{name}-{screen}-{colours}.png").write_bytes(picture(visitor, size))
            context.close()
            assert visitor.wrong == []


def picture(visitor: Visitor, size: ViewportSize) -> bytes:
    """The page that is shown, from its top, in few colours, so that it is small."""
    full = visitor.page.evaluate("() => document.documentElement.scrollHeight")
    height = min(int(full), _TALLEST)
    whole = visitor.page.screenshot(
        full_page=True, animations="disabled", clip={"x": 0, "y": 0, "width": size["width"], "height": height}
    )
    small = io.BytesIO()
    image = Image.open(io.BytesIO(whole)).convert("RGB")
    few = image.quantize(_COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(small, "png", optimize=True)
    assert small.tell() <= _LARGEST, f"{visitor.address} makes a picture of {small.tell()} bytes"
    return small.getvalue()


def main(folder: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("chromium is not installed: on Debian, `apt-get install chromium fonts-dejavu-core`")
    folder.mkdir(parents=True, exist_ok=True)
    # Of a name that may be read on a page, as the address of a database that could not be found.
    root = Path(tempfile.gettempdir(), "shop")
    root.mkdir(mode=0o700)
    os.environ["XDG_STATE_HOME"] = str(root / "state-home")
    try:
        shop = Shop(root)
        shop.live()
        with served(shop) as site, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, chromium_sandbox=os.geteuid() != 0)
            take(browser, site, folder)
            browser.close()
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES)
