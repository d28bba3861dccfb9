"""Take the README's picture of the page of the last full run, with Chromium: make bench && make pictures"""

import io
from pathlib import Path

import PIL.Image
from playwright.sync_api import sync_playwright

from tests.test_page import CHROMIUM, QUIET

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "reports" / "latest" / "report.html"
PICTURES = ROOT / "reports" / "pictures"
WIDTH, HEIGHT = 1200, 900


def main() -> None:
    """The top of the page, in few enough colors that the file is small."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        shown = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        shown.goto(PAGE.as_uri())
        taken = shown.screenshot()
        browser.close()
    PICTURES.mkdir(exist_ok=True)
    with PIL.Image.open(io.BytesIO(taken)) as image:
        image.convert("RGB").quantize(64).save(PICTURES / "page.png", optimize=True)


if __name__ == "__main__":
    main()
