"""The pytest plugin of the suites: thin hooks and fixtures; the library does the work. Other runs are left alone."""

import contextlib
import gc
import hashlib
import itertools
import os
import re
import warnings
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dps import locations, options
from dps.options import pytest_addoption
from dps.recorder import RECORD, Recorder

if TYPE_CHECKING:
    from dps.agreement import Subset
    from dps.image_pairs import ImagePair
    from dps.invariants import Check
    from dps.metrics import Variant
    from dps.probes import Case
    from dps.rows import Row
    from dps.session.configuration import RunConfiguration
    from dps.session.session import Session
    from dps.thresholds import GradedDistortion

__all__ = ["pytest_addoption"]

SUITES = locations.data("suites")

BY_NAME = ("test_attacks", "test_throughput", "test_thresholds")
"""Suites that take long and run only where they are named."""

ARGUMENTS = (
    ("case", "variant"),
    ("subset", "variant"),
    ("graded", "variant"),
    ("variant", "bound"),
    ("variant",),
    ("variants",),
)
"""The arguments of the suites' tests."""


def pytest_configure(config: pytest.Config) -> None:
    """Check options, files and weights before anything is measured."""
    for place, path in enumerate(_paths(config)):
        if path == SUITES.resolve() / "test_bapps.py":
            config.args[place] = config.args[place].replace(path.name, "test_judgments.py")
    config.addinivalue_line("markers", "users: of users' and third parties' metrics alone")
    if not _suites_selected(config):
        return
    from dps import photographs, thresholds
    from dps.errors import DpsError
    from dps.session import configuring

    config.addinivalue_line("filterwarnings", "default")  # ours are errors; a metric under test may warn
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            excluded = getattr(config, "workerinput", {}).get("dps_excluded")
            configured = configuring.configure(options.from_namespace(config.option), excluded)
            if _names(config, "test_thresholds"):
                configuring.check_images(
                    [graded.probe(images=configured.images) for graded in thresholds.GRADED_DISTORTIONS], configured
                )
            for photograph in configured.images or photographs.built_in() if _names(config, "test_attacks") else ():
                photograph.path()  # a WeightsError where it is missing
    except DpsError as error:
        raise pytest.UsageError(str(error)) from None
    if not configured.same_as and _names(config, "test_same"):
        raise pytest.UsageError("test_same.py: name the metric that others must be the same as; pass --same-as METRIC.")
    if not configured.datasets and _names(config, "test_judgments"):
        raise pytest.UsageError(
            "test_judgments.py: needs people's judgments; pass --judgments PATH (BAPPS: get it with: dps bapps fetch "
            "DIR), or --judgments synthetic for a drawn stand-in."
        )
    if configured.same_as and not any((SUITES / "test_same.py").is_relative_to(path) for path in _paths(config)):
        raise pytest.UsageError("--same-as: nothing is compared; name the suite: dps test same --same-as METRIC")
    if configured.options.transfer and not _names(config, "test_attacks"):
        raise pytest.UsageError("--transfer: nothing is attacked; name the suite: dps test attacks --transfer")
    suites = Suites(config, configured)
    config.pluginmanager.register(suites, "dps-suites")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(config, configured, suites.ids, suites.close), "dps-recorder")


def _suites_selected(config: pytest.Config) -> bool:
    """Return whether the arguments name a suite or their folder; refuse the suites of another copy of dps."""
    if config.option.help or config.option.version:
        return False
    paths = _paths(config)
    for folder in (folder for path in paths for folder in (path, path.parent, path / "suites")):
        is_copy = folder.name == "suites" and (folder.parent / "dps" / "plugin.py").is_file()
        if is_copy and folder != SUITES.resolve():
            raise pytest.UsageError(
                f"{folder} belongs to another copy of dps than the one that is imported, {locations.PACKAGE}. "
                "Install that copy, or run: dps test"
            )
    return any(path.is_relative_to(SUITES) or SUITES.is_relative_to(path) for path in paths)


def _names(config: pytest.Config, suite: str) -> bool:
    """Return whether the arguments name a suite explicitly."""
    return any(suite in argument for argument in config.args)


def _paths(config: pytest.Config) -> list[Path]:
    """Return the files and folders among the arguments."""
    arguments = [argument.partition("::")[0] for argument in config.args]
    return [(config.invocation_params.dir / argument).resolve() for argument in arguments]


class Suites:
    """Hooks and fixtures of a run of the suites, one instance in each process."""

    def __init__(self, config: pytest.Config, configuration: "RunConfiguration") -> None:
        self.config, self.configuration = config, configuration
        self.ids = _ids(list(dict.fromkeys([*configuration.variants, *(one for _, one in configuration.scores())])))
        self._session: Session | None = None
        self.reported: set[Any] = set()
        """Case names, image digests and unmeasured variants that this process has already reported."""
        self._recorded: dict[str, Any] = {}
        """Plain data recorded by the current test."""
        self._expected = ""
        """Why the current test counts as an expected failure; empty if it does not."""
        self.crash_folder: Path | None = None
        if workerinput := getattr(config, "workerinput", None):
            import torch

            torch.set_num_threads(max(1, (os.cpu_count() or 1) // workerinput["workercount"]))
            self.crash_folder = Path(workerinput["dps_crash_folder"])

    # ------------------------------------------------------------------------------------------- collection

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Skip suites that lack their option, and `BY_NAME` where they are not named."""
        wanted = {
            SUITES / "test_judgments.py": bool(self.configuration.datasets),
            SUITES / "test_same.py": bool(self.configuration.same_as),
            **{SUITES / f"{name}.py": _names(self.config, name) for name in BY_NAME},
        }
        return None if wanted.get(collection_path, True) else True

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make one item for each case and variant, in the order in which they are measured."""
        if names := next((names for names in ARGUMENTS if set(names) <= set(metafunc.fixturenames)), None):
            metafunc.parametrize(names, [pytest.param(*values, id=id_) for id_, _, values in self._items(names)])

    def _items(self, names: tuple[str, ...]) -> "Iterator[tuple[str, object, tuple[Any, ...]]]":
        """Yield the id, the unit of work and the arguments of each item of a test with one of `ARGUMENTS`."""
        from dps import attacks, thresholds

        configuration, ids = self.configuration, self.ids
        variants = configuration.variants
        match names:
            case ("case", "variant"):
                for unit, case, variant in configuration.items():
                    yield f"{case.name}-{ids[variant]}", unit, (case, variant)
            case ("subset", "variant"):
                for subset, variant in configuration.scores():
                    yield f"{subset}-{ids[variant]}", (subset.measured_with, variant.backbone), (subset, variant)
            case ("graded", "variant"):
                for graded, variant in itertools.product(thresholds.GRADED_DISTORTIONS, variants):
                    yield f"{graded.name}-{ids[variant]}", (graded.name, variant.backbone), (graded, variant)
            case ("variant", "bound"):
                for variant, bound in itertools.product(variants, attacks.BOUNDS):
                    yield f"{ids[variant]}-{bound}", ("attacks", variant), (variant, bound)
            case ("variant",):
                yield from ((ids[variant], ("invariants", variant.backbone), (variant,)) for variant in variants)
            case ("variants",):
                for network in dict.fromkeys(variant.network for variant in variants):
                    group = [variant for variant in variants if variant.network == network]
                    yield network or "no-network", ("throughput", network), (group,)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Start the session, which draws and measures selected items only."""
        from dps.session.crashes import CrashLog
        from dps.session.session import Session

        self._run = session
        plugins = self.config.pluginmanager
        suites_alone = all(path.is_relative_to(SUITES) for path in _paths(self.config))  # other tests may want logs
        if suites_alone and plugins.has_plugin("logging-plugin"):  # takes 1 ms per item with PyTorch's many loggers
            logging: Any = plugins.unregister(name="logging-plugin")
            self.config.add_cleanup(logging.pytest_unconfigure)

        parameters = [item.callspec.params for item in session.items if hasattr(item, "callspec")]
        selected = [(values["case"], values["variant"]) for values in parameters if "case" in values]
        scored = list(dict.fromkeys(values["variant"] for values in parameters if "subset" in values))
        gc.freeze()  # else each garbage collection traverses 28,000 items: 5 % of the time
        gc.set_threshold(50_000, 20, 100)
        self._session = Session(self.configuration, selected, scored, CrashLog(self.crash_folder))

    @property
    def session(self) -> "Session":
        """Return the results of this run; looking up the first result of a unit measures the unit."""
        assert self._session is not None
        return self._session

    def close(self) -> None:
        """Release networks and cached features before the report is written."""
        if self._session is not None:
            self._session.close()
        self._session = None

    def pytest_collection_modifyitems(self, items: list[pytest.Function]) -> None:
        """Deselect built-in metrics in tests marked ``users``."""
        is_users = self.configuration.is_users
        items[:] = [i for i in items if not i.get_closest_marker("users") or is_users(i.callspec.params["variant"])]  # type: ignore[arg-type]  # pytest says object

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        """Run all items of a unit of work on one worker."""
        if config.getvalue("dist") != "load":
            return None
        from xdist.scheduler import LoadScopeScheduling

        units = {id_: str(unit) for names in ARGUMENTS for id_, unit, _ in self._items(names)}

        class UnitScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist carries no types
            def _split_scope(self, nodeid: str) -> str:
                if "test_reproducible_construction[" in nodeid:
                    return "construction"  # one new process makes all metrics
                return units.get(nodeid.partition("[")[2].removesuffix("]"), nodeid)

        return UnitScheduling(config, log)

    # ------------------------------------------------------------------------------------- one item of a suite

    def record(self, kind: str, data: Any) -> None:
        """Attach plain data to the report of the current test."""
        self._recorded[kind] = data

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
        """Add recorded data and the expected failure to the report of a test's call."""
        report = yield
        if call.when == "call":
            report.user_properties.append((RECORD, self._recorded))
            if self._expected and report.passed:
                report.outcome, report.wasxfail = "skipped", f"reason: {self._expected}"
            self._recorded, self._expected = {}, ""
        return report

    def fail(self, reason: str, *, expected: bool = False) -> None:
        """Fail the current test in one line, or mark it as an expected failure and let it end."""
        if not expected:
            pytest.fail(reason, pytrace=False)
        self._expected = reason  # raising would build a traceback, 1 ms, that nobody sees

    def judge(self, case: "Case", variant: "Variant") -> None:
        """Look up a case, record it, and fail the test as ``--gate`` demands."""
        from dps.images import Triple
        from dps.report import album, gate

        try:
            row = self.session.row(case, variant)
        except pytest.fail.Exception as stop:  # another plugin's, such as a timeout
            self.record("case", self.session.row(case, variant))
            return self.fail(f"{case.name}-{variant}: {stop}")
        row, reason, fails = gate.judge_case(self.configuration, row)
        self.record("case", row)
        triple = self.session.triple(case) if case.name not in self.reported else None
        if isinstance(triple, Triple):
            self.reported.add(case.name)
            self.record("drawn", (case.name, triple.drawn))
            entry = album.entry(case.name, triple, self.reported)
            self.reported.update(entry["images"])
            self.record("images", entry)
        if reason:
            self.fail(reason, expected=not fails)
        return None

    def score(self, subset: "Subset", variant: "Variant") -> None:
        """Look up a score, with progress on the terminal, record it, and fail if it could not be computed."""
        from dps.errors import StoreError
        from dps.report.results import score_rows

        capture = self.config.pluginmanager.getplugin("capturemanager")
        try:
            with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
                score = self.session.score(subset, variant)
        except StoreError as error:
            self.record("broken_off", True)
            self._run.shouldfail = str(error)  # xdist takes pytest.exit for a crashed worker
            raise pytest.fail.Exception(str(error), pytrace=False) from None
        (dataset,) = (each for each in self.configuration.datasets if each.name == subset.dataset)
        self.record("scores", score_rows(dataset, subset, variant, score))
        if self.configuration.against is not None and score.originals:
            self.record("originals", (str(subset), variant.key, score.originals))
        if score.error:
            self.fail(f"{subset}: {score.error}")

    def settle(self, variant: "Variant", row: "Row", pair: "ImagePair | None") -> None:
        """Record the result of an invariant, and fail if it is broken and the gate is on."""
        from dps import invariants

        self.record("invariant", row)
        if row["holds"]:
            return
        if row["holds"] is None and (variant in self.reported or not row["error"]):
            pytest.skip(row["error"] or row["reason"])
        text = invariants.explain(row, pair, self.configuration.report_dir / "invariants")
        if row["error"]:
            self.reported.add(variant)
        self.fail(text, expected=not row["error"] and not self.configuration.gates(variant))

    def hold(self, check: "Check", variant: "Variant") -> None:
        """Check an invariant on pairs of images that Hypothesis draws, and settle the result."""
        from dps import invariants

        option = self.config.option
        profile, seed = (getattr(option, f"hypothesis_{name}", None) for name in ("profile", "seed"))
        examples = option.examples or (None if profile else options.EXAMPLES)
        subject = self.session.subject(variant)
        self.settle(variant, *invariants.examine(check, subject, examples=examples, derandomize=seed is None))

    def compare(self, variant: "Variant") -> None:
        """Compare a variant with the metric of ``--same-as``, and fail if they differ."""
        from dps.invariants import save
        from dps.report import findings

        row, pair = self.session.compare(variant)
        self.record("same", row)
        if not row["same"]:
            lines = findings.describe_same([row])
            if pair is not None:
                folder = self.configuration.report_dir / "same"
                lines += [f"smallest pair: {pair.text}", save(pair, folder, f"{variant}")]
            self.fail("\n  ".join(lines))

    def find_threshold(self, graded: "GradedDistortion", variant: "Variant") -> None:
        """Measure a threshold; one below people's fails under the strict gate, and else is an expected failure."""
        from dps import thresholds
        from dps.report import thresholds_table

        row = self.session.threshold(graded, variant)
        self.record("threshold", row)
        if row.get("error"):
            self.fail(f"{graded.name}-{variant}: {row['error']}")
        elif thresholds.below_people(row):
            text = f"{graded.name}-{variant}: {thresholds_table.describe(row)}"
            self.fail(text, expected=self.configuration.gate != "strict")

    def attack(self, variant: "Variant", bound: int) -> None:
        """Attack photographs; if fewer than half hold, fail under the strict gate, else as expected."""
        from dps.report import attacks_table

        rows, example = self.session.attack(variant, bound)
        self.record("attacks", rows)
        own = rows[0]
        if own["error"]:
            pytest.skip(own["error"])
        if example is not None:
            self.record("images", attacks_table.example(own, example))
        if 2 * own["held"] < own["photographs"]:
            text = f"{variant}: {own['held']} of {own['photographs']} photographs hold within {bound} of 255"
            strict = self.configuration.gate == "strict" and self.configuration.gates(variant)
            self.fail(text, expected=not strict)


@pytest.fixture(scope="session")  # setting up a fixture for each test costs more than the test
def suites(pytestconfig: pytest.Config) -> Suites:
    """Return the plugin, which looks up, records and judges results."""
    plugin: Suites | None = pytestconfig.pluginmanager.getplugin("dps-suites")
    assert plugin is not None
    return plugin


def _ids(variants: Sequence["Variant"]) -> "dict[Variant, str]":
    """Return each variant's part of test ids, in characters that ``-k`` accepts; equal ones get a digest."""
    texts = {variant: re.sub(r"[^\w:+.\[\]-]", "_", str(variant), flags=re.ASCII) for variant in variants}
    same = Counter(texts.values())
    digests = {variant: hashlib.sha256(str(variant).encode()).hexdigest()[:6] for variant in variants}
    return {variant: text if same[text] == 1 else f"{text}-{digests[variant]}" for variant, text in texts.items()}
