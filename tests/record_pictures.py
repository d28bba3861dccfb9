"""Make the README's images: make bench && make pictures

Of cases, of a failure, and, with Chromium, of the page of the last full run.
"""

import tempfile
from pathlib import Path

import PIL.Image
from playwright.sync_api import sync_playwright

from dps import explain, probes
from dps.options import Options
from dps.report import explain_page, sheets
from dps.session.configuring import configure_measurement
from tests.test_page import CHROMIUM, FLAGS, ROOT

PICTURES = ROOT / "reports" / "pictures"
WIDTH = 930
"""Of the contact sheet and the failure, in pixels."""

CASES = {
    "rearrange": ("mosaic-blur-002", "coffee.png-gamma-001"),
    "detail": ("face-blur-000", "chelsea.png-noise-004"),
    "moved_camera": ("bird-rotated-001", "retina.jpg-rotated-001"),
    "invert": ("zebra-002",),
    "rotate": ("chelsea.png-005-67.5",),
    "translate": ("rings-022", "coffee.png-003"),
    "color_stain": ("astronaut.png-006", "chelsea.png-017"),
    "shuffle": ("face-001-32", "astronaut.png-001-32"),
}
"""Of the contact sheet, by probe."""


def main() -> None:
    """Make all images; that of the page last, since it needs a run and a browser."""
    PICTURES.mkdir(exist_ok=True)
    built_in = probes.load([probes.BUILT_IN])
    cases = [explain.find(built_in, f"{probe}/{case}") for probe, names in CASES.items() for case in names]
    sheets.sheet(cases, WIDTH).save(PICTURES / "sheet.png", optimize=True)
    draw_failure(explain.find(built_in, "translate/rings-022"))
    draw_page(ROOT / "reports" / "latest" / "report.html")


def draw_failure(case: probes.Case) -> None:
    """Keep layer-3-spatial.png of dps explain CASE --network vgg16 --metric spatial --layers 3."""
    configuration = configure_measurement(Options(metric=["spatial"], network=["vgg16"], normalization=["none"]))
    (variant,) = configuration.variants
    explanation = explain.explain(case.name, case.draw(), variant, configuration.engine("vgg16"))
    with tempfile.TemporaryDirectory() as folder:
        explain_page.write(explanation, [3], "", "", Path(folder))
        with PIL.Image.open(Path(folder) / "layer-3-spatial.png") as image:
            size = WIDTH, round(image.height * WIDTH / image.width)
            image.convert("RGB").resize(size, PIL.Image.Resampling.LANCZOS).save(
                PICTURES / "explain.png", optimize=True
            )


def draw_page(path: Path) -> None:
    """Keep the first screen of a report, in few colors."""
    picture = PICTURES / "page.png"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        shown = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="light")
        shown.goto(path.as_uri())
        shown.screenshot(path=picture)
        browser.close()
    with PIL.Image.open(picture) as image:
        image.convert("RGB").quantize(64).save(picture, optimize=True)


if __name__ == "__main__":
    main()
