"""Make the README's pictures: make bench && make pictures

Of cases, of a failure, and, with Chromium, of the page of the last full run.
"""

import io
import tempfile
from pathlib import Path

import PIL.Image
from playwright.sync_api import sync_playwright

from dps import explain, probes
from dps.options import Options
from dps.report import explain_page, sheets
from dps.session.configuration import configure_measurement
from tests.test_page import CHROMIUM, QUIET

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "reports" / "latest" / "report.html"
PICTURES = ROOT / "reports" / "pictures"
WIDTH, HEIGHT = 1200, 900

CASES = (
    "invert/zebra-002",
    "invert/swirl-004",
    "invert/yin_yang-011",
    "rotate/mosaic-000-45",
    "rotate/icons-off-center-000-90",
    "rotate/rings-002-22.5",
    "translate/rings-022",
    "translate/yin_yang-013",
    "translate/icons-007",
    "color_stain/bars-001",
    "color_stain/yin_yang-003",
    "color_stain/face-005",
    "shuffle/face-001-32",
    "shuffle/mosaic-000-32",
    "shuffle/face-001-16",
    "order_rotate/rings-002",
    "order_rotate/icons-005",
    "order_translate/bars-right-001",
)
"""What the contact sheet shows: three of a probe in a row."""

ACROSS = 930
"""Of the contact sheet and the failure, in pixels."""


def main() -> None:
    """All pictures; that of the page last, since it needs a run and a browser."""
    PICTURES.mkdir(exist_ok=True)
    asked = probes.load([probes.BUILT_IN])
    save(sheets.sheet([explain.find(asked, name) for name in CASES], ACROSS), "sheet")
    save(failure(asked), "explain")
    save(top_of_page().convert("RGB").quantize(64), "page")  # text and tables: few colors, a small file


def save(image: PIL.Image.Image, name: str) -> None:
    """Write a picture as it is, as small as PNG gets it."""
    image.save(PICTURES / f"{name}.png", optimize=True)


def failure(asked: list[probes.Probe]) -> PIL.Image.Image:
    """dps explain translate/rings-022 --network vgg16 --metric spatial --layers 3 --out DIR: layer-3-spatial.png"""
    options = Options(metric=["spatial"], network=["vgg16"], normalization=["none"])
    configuration = configure_measurement(options)
    (variant,) = configuration.variants
    case = explain.find(asked, "translate/rings-022")
    explanation = explain.explain(case.name, case.draw(), variant, configuration.engine("vgg16"))
    with tempfile.TemporaryDirectory() as folder:
        explain_page.write(explanation, [3], "", "", Path(folder))
        with PIL.Image.open(Path(folder) / "layer-3-spatial.png") as image:
            return image.convert("RGB").resize(
                (ACROSS, round(image.height * ACROSS / image.width)), PIL.Image.Resampling.LANCZOS
            )


def top_of_page() -> PIL.Image.Image:
    """The first screen of the report."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        shown = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        shown.goto(PAGE.as_uri())
        taken = shown.screenshot()
        browser.close()
    return PIL.Image.open(io.BytesIO(taken))


if __name__ == "__main__":
    main()
