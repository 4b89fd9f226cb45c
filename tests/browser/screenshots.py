"""Pictures of the main pages for the documentation: `python -m tests.browser.screenshots [FOLDER]`.

Each in light and dark, at a desktop and a phone, of a shop whose past and clock are always the same.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, TypeAlias

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
Colours: TypeAlias = Literal["light", "dark"]
COLOURS: tuple[Colours, ...] = ("light", "dark")
_TALLEST = 1600  # px
_COLOURS = 48
_LARGEST = 120_000  # bytes


def take(browser: Browser, site: Site, folder: Path) -> None:
    """All pictures, into the folder."""
    backup = site.shop.newest().id
    with ExitStack() as ends:
        visitors = {
            (screen, colours): _visitor(ends, browser, site, screen, colours)
            for screen in SCREENS
            for colours in COLOURS
        }

        def show(name: str, address: str, *seen: str | re.Pattern[str]) -> None:
            for (screen, colours), visitor in visitors.items():
                visitor.go(address)
                visitor.sees(*seen)
                (folder / f"{name}-{screen}-{colours}.png").write_bytes(picture(visitor, SCREENS[screen]))

        for name, address in PAGES.items():
            show(name, address.replace("{backup}", backup))
        anna = visitors["desktop", "light"]
        show("plan", _begun(anna, "newsletter", "See what cleaning would do"), "What cleaning would do")
        with site.shop.held():
            show("operation", _begun(anna, "shop", "Run now"), re.compile(r"read, \d+ entries"))
        for visitor in visitors.values():
            assert visitor.wrong == []


def _visitor(ends: ExitStack, browser: Browser, site: Site, screen: str, colours: Colours) -> Visitor:
    context = browser.new_context(
        viewport=SCREENS[screen],
        color_scheme=colours,
        reduced_motion="reduce",
        locale="en-GB",
        timezone_id="UTC",
        http_credentials=HttpCredentials(username="anna", password=PASSWORD),
    )
    ends.callback(context.close)
    return Visitor(context.new_page(), site)


def _begun(visitor: Visitor, pipeline: str, button: str) -> str:
    """The address of the operation that is begun so."""
    visitor.go(f"/pipelines/{pipeline}")
    visitor.click("button", button)
    visitor.page.wait_for_url("**/operations/*")
    return visitor.address


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
