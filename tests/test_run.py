"""A run: what its options ask for, refused before anything is measured, and measured once when looked up."""

import argparse
import itertools
import shlex
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from torch import Tensor

from dps import options, probes
from dps.errors import DpsError, ProbeError, WeightsError
from dps.images import Triple
from dps.measurement import Engine
from dps.metrics import Variant
from dps.networks import Network, extractor
from dps.options import Options
from dps.probes import Case
from dps.rows import Row
from dps.session.configuration import RunConfiguration
from dps.session.configuring import BUILT_IN_BASELINE, configure
from dps.session.floors import Floor
from dps.session.session import Session
from tests.refusals import refusal
from tests.running import TINY

INVERT = str(probes.BUILT_IN / "invert.yaml")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ask(**options: Any) -> RunConfiguration:
    """A configuration of options, with what is not given as by default."""
    return configure(Options(**{"report_dir": "report", **options}))


def tiny(name: str = "tiny", size: int = 32, draw: int = 3) -> str:
    path = Path(f"{name}.yaml")
    text = TINY.replace("probe: tiny", f"probe: {name}").replace("draw: 3", f"draw: {draw}")
    path.write_text(text.replace("size: 32", f"size: {size}"), encoding="utf-8")
    return str(path)


def why(**options: Any) -> str:
    """What is wrong with options, in one line."""
    return refusal(lambda: ask(**{"metric": ["pixel"], "probes": [INVERT], **options}), DpsError)


# ------------------------------------------------------------------------------------------- good questions


def test_no_option_asks_for_everything() -> None:
    configuration = ask()
    assert [str(variant) for variant in configuration.variants][:6] == [
        "squeezenet-none-spatial",
        "squeezenet-none-sort",
        "squeezenet-none-mean",
        "squeezenet-none-spatial+sort",
        "squeezenet-none-spatial+mean",
        "squeezenet-unit-spatial",
    ]
    assert len(configuration.variants) == 5 * 4 * 2 + 1
    assert str(configuration.variants[-1]) == "pixel"
    assert [probe.name for probe in configuration.probes] == sorted(
        path.stem for path in probes.BUILT_IN.glob("*.yaml")
    )
    assert list(configuration.networks) == ["squeezenet", "alexnet", "vgg16", "efficientnet_lite0"]
    assert (
        configuration.gate,
        configuration.options.reduction,
        configuration.options.device,
        configuration.floors,
    ) == (
        "baseline",
        "sum",
        "cpu",
        (),
    )
    assert Path(configuration.baseline.where) == BUILT_IN_BASELINE
    assert (configuration.narrowed, configuration.update, configuration.against) == (False, None, None)


def test_lists_may_be_repeated_and_name_a_thing_twice() -> None:
    configuration = ask(
        metric=["sort, mean", "sort"], network=["alexnet"], normalization=["unit,none"], probes=[tiny()], cases=2
    )
    expected = ["alexnet-unit-sort", "alexnet-unit-mean", "alexnet-none-sort", "alexnet-none-mean"]
    assert [str(variant) for variant in configuration.variants] == expected
    assert [case.name for case in configuration.probes[0].cases] == ["tiny/rings-000", "tiny/dots-001"]


def test_a_metric_of_images_needs_no_weights() -> None:
    assert ask(metric=["pixel"], weights="/nowhere").networks == {}


def test_floors_are_read() -> None:
    configuration = ask(metric=["pixel"], require=["translate>=0.9, invert>=1", "rotate >= .5"])
    assert configuration.floors == (
        Floor(name="translate", limit=0.9),
        Floor(name="invert", limit=1),
        Floor(name="rotate", limit=0.5),
    )
    assert [str(floor) for floor in configuration.floors] == ["translate>=0.9", "invert>=1", "rotate>=0.5"]


# -------------------------------------------------------------------------------------------- bad questions


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": ["srot"]}, "unknown metric 'srot'. Did you mean 'sort'? Known: lpips:alex, "),
        (
            {"network": ["alexnt"]},
            "unknown network 'alexnt'. Did you mean 'alexnet'? Known: alexnet, efficientnet_lite0, file.py:name, "
            "squeezenet, timm:NAME, torchvision:NAME, vgg16.",
        ),
        ({"normalization": ["uint"]}, "unknown normalization 'uint'. Did you mean 'unit'? Known: none, unit."),
        ({"reduction": "some"}, "unknown reduction 'some'. Known: mean, sum."),
        ({"gate": "strickt"}, "unknown gate 'strickt'. Did you mean 'strict'? Known: "),
        ({"device": "cdua"}, "unknown device 'cdua'. Did you mean 'cuda'? Known: cpu, cuda, mps."),
        (
            {"require": ["invert"]},
            "--require 'invert': write PROBE[/STRATUM]>=X with X from 0 to 1, as in 'translate>=0.9'.",
        ),
        ({"require": ["invert>=2"]}, "--require 'invert>=2': write PROBE[/STRATUM]>=X with X from 0 to 1"),
        ({"require": ["invert>=nan"]}, "--require 'invert>=nan': write PROBE[/STRATUM]>=X with X from 0 to 1"),
        (
            {"require": ["invret>=1"]},
            "--require 'invret>=1': unknown probe or score 'invret'. Did you mean 'invert'? Known: invert.",
        ),
        ({"probes": ["nowhere.yaml"]}, "nowhere.yaml: no such file or folder of probes."),
    ],
)
def test_a_misspelt_option_is_refused_in_one_line(options: dict[str, Any], message: str) -> None:
    assert why(**options).startswith(message)
    assert not Path("report").exists()


def test_weights_that_a_folder_lacks_are_named(here: Path) -> None:
    name = "torchvision:resnet18"
    with pytest.raises(
        WeightsError, match=rf"weights of {name} are missing; the folder needs resnet18\.safetensors or"
    ):
        ask(weights=str(here), metric=["sort"], network=[name])


def test_weights_of_a_folder_that_do_not_fit_are_refused_before_anything_is_measured(here: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(1)}, here / "squeezenet.pth")
    with pytest.raises(WeightsError, match=r"^weights of squeezenet: .* shape \(1,\)|^weights of squeezenet: tensor"):
        ask(weights=str(here), metric=["sort"], network=["squeezenet"])


def test_a_device_that_is_not_here_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_such_device(*_args: object, **_kwargs: object) -> Tensor:
        raise RuntimeError("no driver")

    monkeypatch.setattr(torch, "empty", no_such_device)
    assert why(device="cuda:1") == "device 'cuda:1' is not available here; use --device cpu."


def test_a_report_folder_that_is_a_file_is_refused() -> None:
    Path("report").write_text("mine", encoding="utf-8")
    assert why() == "--report-dir report: cannot be written (File exists); name a folder that can."
    assert why(report_dir="report/deeper").startswith("--report-dir report/deeper: cannot be written (Not a directory)")
    assert Path("report").read_text(encoding="utf-8") == "mine"


def test_images_too_small_for_a_network_are_refused_with_their_line(here: Path) -> None:
    with pytest.raises(ProbeError) as caught:
        ask(metric=["sort"], network=["alexnet"], probes=[tiny(size=30)])
    found = "tiny.yaml:5: case 'rings-000': images of 30 pixels are too small for alexnet, which needs 31 or more."
    assert str(caught.value) == found
    assert why(metric=["piq:ms_ssim"], probes=[tiny(size=30)]) == (
        "tiny.yaml:5: case 'rings-000': images of 30 pixels are too small for piq:ms_ssim, which needs 161 or more."
    )
    assert ask(metric=["pixel"], probes=[tiny(size=30)])  # no network, no smallest size
    assert ask(metric=["sort"], network=["vgg16"], probes=[tiny(size=30)])


# ------------------------------------------------------------------------------------- batches and their order


def test_items_are_every_case_with_every_variant_each_unit_in_one_piece() -> None:
    options = {"network": ["alexnet,vgg16"], "normalization": ["none"], "probes": [tiny(draw=70), INVERT]}
    configuration = ask(metric=["pixel,sort,mean"], **options)
    items = list(configuration.items())
    assert Counter((case.name, str(variant)) for _, case, variant in items) == Counter(
        (case.name, str(variant))
        for probe in configuration.probes
        for case in probe.cases
        for variant in configuration.variants
    )
    units = [unit for unit, _, _ in items]
    changes = 1 + sum(a != b for a, b in itertools.pairwise(units))
    assert changes == len(set(units))  # a unit that is left is not come back to
    assert {network for _, network in units} == {"alexnet", "vgg16", None}


def test_a_batch_has_one_size_and_at_most_so_many_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dps.measurement.engine.IMAGES_AT_ONCE", 16)
    configuration = ask(metric=["pixel"], probes=[tiny("a", 96, 20), tiny("b", 48, 40), tiny("c", 96, 3)])
    batches = configuration.batches
    assert [case.name for batch in batches for case in batch] == [
        case.name for probe in configuration.probes for case in probe.cases
    ]
    assert all(len({case.shape for case in batch}) == 1 for batch in batches)
    # own images of a case are the original and the distorted one: 8 cases of 96 x 96, 32 of 48 x 48
    assert [len(batch) for batch in batches] == [8, 8, 4, 32, 8, 3]


# ----------------------------------------------------------------------------------------------- measuring


@pytest.fixture
def drawings(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each case is drawn."""
    counted, draw = Counter[str](), Case.draw

    def counting(case: Case) -> Triple:
        counted[case.name] += 1
        return draw(case)

    monkeypatch.setattr(Case, "draw", counting)
    return counted


def rows_of(configuration: RunConfiguration) -> dict[tuple[str, str], Row]:
    selected = [(case, variant) for _, case, variant in configuration.items()]
    measured = Session(configuration, selected)
    return {(case.name, str(variant)): measured.row(case, variant) for case, variant in selected}


def test_pixel_answers_by_hand(here: Path) -> None:
    for name, value in {"a": 100, "b": 110, "c": 105, "d": 130}.items():
        PIL.Image.fromarray(np.full((4, 4, 3), value, dtype=np.uint8)).save(f"{name}.png")
    Path("p.yaml").write_text(
        "probe: p\ncases:\n"
        "  - {id: near, original: {image: a.png}, distorted: {image: c.png}, references: [{image: b.png}, black]}\n"
        "  - {id: far, original: {image: a.png}, distorted: {image: b.png},"
        " references: [{image: d.png}, {image: c.png}]}\n"
        "  - {id: same, original: {image: a.png}, distorted: {image: b.png}, references: [{image: b.png}]}\n",
        encoding="utf-8",
    )
    found = rows_of(ask(metric=["pixel"], probes=["p.yaml"]))
    near, far, same = (found[f"p/{name}", "pixel"] for name in ("near", "far", "same"))
    assert (near["passed"], far["passed"], same["passed"]) == (True, False, False)
    assert near["distance"] == pytest.approx((5 / 255) ** 2)
    assert (near["nearest_reference"], far["nearest_reference"]) == ("b.png", "c.png")
    assert near["nearest_reference_distance"] == pytest.approx((10 / 255) ** 2)
    assert near["margin"] == pytest.approx(3)  # 100 / 25 - 1
    assert far["margin"] == pytest.approx(-0.75)  # 25 / 100 - 1
    assert same["margin"] == 0  # a tie is not strictly closer


def test_only_what_is_selected_is_drawn(drawings: Counter[str]) -> None:
    configuration = ask(metric=["pixel"], probes=[tiny(draw=6)])
    items = [(case, variant) for _, case, variant in configuration.items()]
    measured = Session(configuration, [items[1], items[4]])
    assert measured.row(*items[4])["distance"] is not None
    assert measured.row(*items[1])["distance"] is not None
    assert drawings == {"tiny/dots-001": 1, "tiny/dots-004": 1}


def test_a_case_is_drawn_once_for_all_networks_and_metrics(
    drawings: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: Counter[str] = Counter()
    load = extractor.load

    def counting(network: Network, device: Any) -> Any:
        loaded[network.name] += 1
        return load(network, device)

    monkeypatch.setattr(extractor, "load", counting)
    configuration = ask(
        metric=["pixel,sort,mean"], network=["alexnet,squeezenet"], normalization=["none"], probes=[tiny(draw=4)]
    )
    found = rows_of(configuration)
    assert len(found) == 4 * 5
    assert set(drawings.values()) == {1}
    assert loaded == {"alexnet": 1, "squeezenet": 1}
    assert len({row["images_sha256"] for row in found.values()}) == 4
    layers = {len(row["layers"]) for (_, variant), row in found.items() if "alexnet" in variant}
    assert layers == {5}


@pytest.mark.parametrize("users", [False, True])
def test_each_unit_is_measured_once_ahead_on_a_thread_unless_a_users_code_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, users: bool
) -> None:
    measured: list[tuple[int, bool]] = []
    measure = Engine.measure

    def counting(engine: Engine, triples: Sequence[Triple], variants: Sequence[Variant]) -> Any:
        if engine.extractor is not None:
            measured.append((len(triples), threading.current_thread() is threading.main_thread()))
        return measure(engine, triples, variants)

    monkeypatch.setattr(Engine, "measure", counting)
    monkeypatch.setattr("dps.measurement.engine.IMAGES_AT_ONCE", 16)
    (tmp_path / "own.py").write_text("def own(features):\n    return features.flatten(2)\n", encoding="utf-8")
    metric = f"pixel,mean,{tmp_path / 'own.py'}:own" if users else "pixel,mean"
    configuration = ask(metric=[metric], network=["alexnet"], normalization=["none"], probes=[tiny(size=96, draw=20)])
    found = rows_of(configuration)
    assert len(found) == 20 * (3 if users else 2)
    sizes = [len(batch) for batch in configuration.batches]
    assert len(sizes) > 2
    assert measured == [(size, users) for size in sizes]


def test_answers_do_not_depend_on_what_else_is_asked() -> None:
    options = {"network": ["alexnet"], "normalization": ["none"], "probes": [tiny(draw=5)]}
    everything = rows_of(ask(metric=["spatial,sort,spatial+sort"], **options))
    configuration = ask(metric=["sort"], **options)
    (case,) = [case for case in configuration.probes[0].cases if case.id == "stripes-002"]
    (variant,) = configuration.variants
    alone = Session(configuration, [(case, variant)]).row(case, variant)
    together = everything[case.name, str(variant)]
    assert alone["distance"] == pytest.approx(together["distance"], rel=1e-5)
    assert alone["nearest_reference"] == together["nearest_reference"]
    total = everything[case.name, "alexnet-none-spatial+sort"]["distance"]
    parts = [everything[case.name, f"alexnet-none-{name}"]["distance"] for name in ("spatial", "sort")]
    assert total == pytest.approx(sum(part for part in parts if part is not None), rel=1e-12)


def test_options_read_from_the_command_line_have_the_same_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    options.add_to(parser)
    assert options.from_namespace(parser.parse_args([])) == Options()
    parsed = options.from_namespace(parser.parse_args(shlex.split("--metric pixel --metric sort --cases 3")))
    assert parsed == Options(metric=["pixel", "sort"], cases=3)
    for wrong in ("0", "-1", "many", "1.5"):
        with pytest.raises(SystemExit):
            parser.parse_args(["--cases", wrong])
        assert f"must be an integer of at least 1, found '{wrong}'" in capsys.readouterr().err
