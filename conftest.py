"""Fixtures and thin hooks of the suites; the library does the work. Without a suite, nothing happens here."""

import contextlib
import functools
import gc
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

if TYPE_CHECKING:
    from dps.agreement import Subset
    from dps.invariants import Check, Finding
    from dps.metrics import Variant
    from dps.probes import Case
    from dps.session.configuration import RunConfiguration
from dps.session.session import CaseResult, ScoreResult, Session

QUESTION: pytest.StashKey["RunConfiguration"] = pytest.StashKey()
MEASURED: pytest.StashKey["Session"] = pytest.StashKey()
UNUSED = pytest.StashKey[object]()
ROW, DRAWN, IMAGES = "dps_row", "dps_drawn", "dps_images"
SCORES, TRIPLETS, THROUGHPUT, INVARIANT = "dps_scores", "dps_triplets", "dps_throughput", "dps_invariant"
BROKEN_OFF = "dps_broken_off"
RECORDED = {ROW, DRAWN, IMAGES, SCORES, TRIPLETS, THROUGHPUT, INVARIANT, BROKEN_OFF}
SUITES = Path(__file__).resolve().parent / "suites"


def pytest_configure(config: pytest.Config) -> None:
    """Check all that options, files and weights can tell, before anything is measured."""
    if _asks_suites(config) and not _has_workers(config):
        _ask(config)


def _has_workers(config: pytest.Config) -> bool:
    """Whether pytest-xdist is asked to run the tests in other processes, and this is not one of them."""
    return bool(config.getoption("dist", "no") != "no")


def _end_workers(config: pytest.Config) -> None:
    """Have pytest-xdist end its workers now, where it has any; when it is its turn, all are gone."""
    if workers := config.pluginmanager.getplugin("dsession"):
        workers.pytest_sessionfinish()


def _ask(config: pytest.Config) -> None:
    """Turn the options into the run's configuration."""
    from dps.errors import DpsError
    from dps.session.configuration import configure

    config.addinivalue_line("filterwarnings", "default")  # ours are errors; a metric under test may warn
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            config.stash[QUESTION] = configure(config.option)
    except DpsError as error:
        raise pytest.UsageError(str(error)) from None
    if config.stash[QUESTION].dataset is None and any("test_bapps" in argument for argument in config.args):
        raise pytest.UsageError(
            "test_bapps.py: needs people's judgments; pass --bapps DIR (get it with: dps bapps fetch DIR), or "
            "--bapps synthetic for a small stand-in."
        )
    if (worker := getattr(config, "workerinput", None)) is not None:
        import torch

        torch.set_num_threads(max(1, (os.cpu_count() or 1) // worker["workercount"]))
    else:
        config.pluginmanager.register(Recorder(config), "dps-recorder")


def _asks_suites(config: pytest.Config) -> bool:
    """Whether the run is one of the suites, or of a folder that holds them."""
    if config.option.help:
        return False
    where = config.invocation_params.dir
    paths = [(where / argument.partition("::")[0]).resolve() for argument in config.args]
    return any(path.is_relative_to(SUITES) or SUITES.is_relative_to(path) for path in paths)


@pytest.hookimpl(wrapper=True)
def pytest_sessionstart(session: pytest.Session) -> Iterator[None]:
    """Ask beside pytest-xdist's workers, which are started by now: each takes seconds to import PyTorch.

    Then capture no logs in the suites: with PyTorch's many loggers that takes 1 ms an item, as long as all else.
    """
    yield
    config, plugins = session.config, session.config.pluginmanager
    if _asks_suites(config) and _has_workers(config):
        try:
            _ask(config)
        except pytest.UsageError:
            _end_workers(config)  # pytest itself ends only sessions that started
            raise
    if QUESTION in config.stash and plugins.has_plugin("logging-plugin"):
        config.stash[UNUSED] = plugins.unregister(name="logging-plugin")


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Iterator[None]:
    """Give up the networks, and what they keep, when all is measured: the report can use their memory."""
    try:
        return (yield)
    finally:
        if MEASURED in session.config.stash:
            from dps import memory

            del session.config.stash[MEASURED]
            memory.give_back()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let pytest end as it began, but not import hypothesis for the summary of tests that did not use it."""
    plugins = session.config.pluginmanager
    if UNUSED in session.config.stash:
        plugins.register(session.config.stash[UNUSED], "logging-plugin")
    if QUESTION in session.config.stash and "hypothesis" not in sys.modules and plugins.has_plugin("hypothesispytest"):
        plugins.unregister(name="hypothesispytest")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave scores out where no data set is named."""
    configuration = config.stash.get(QUESTION, None)
    no_scores = configuration is not None and configuration.dataset is None
    return True if no_scores and collection_path == SUITES / "test_bapps.py" else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One item for each case and variant, in the order in which they are measured."""
    if "load" in metafunc.fixturenames:
        from dps import throughput

        named = any("test_throughput" in argument for argument in metafunc.config.args)
        sizes = throughput.FULL if named else throughput.BRIEF
        loads = throughput.loads(metafunc.config.stash[QUESTION].variants, sizes)
        metafunc.parametrize("load", loads, ids=str)
    if {"case", "variant"} <= set(metafunc.fixturenames):
        items = metafunc.config.stash[QUESTION].items()
        metafunc.parametrize(
            ("case", "variant"),
            [pytest.param(case, variant, id=f"{case.name}-{variant}") for _, case, variant in items],
        )
    if {"hold", "variant"} <= set(metafunc.fixturenames):
        metafunc.parametrize("variant", metafunc.config.stash[QUESTION].variants, ids=str)
    if {"subset", "variant"} <= set(metafunc.fixturenames):
        scores = metafunc.config.stash[QUESTION].scores()
        metafunc.parametrize(
            ("subset", "variant"),
            [pytest.param(subset, variant, id=f"{subset}-{variant}") for subset, variant in scores],
        )


def pytest_collection_finish(session: pytest.Session) -> None:
    """Only what is selected is drawn and measured."""
    if (configuration := session.config.stash.get(QUESTION, None)) is not None:
        from dps.session.session import Session

        calls = [item.callspec.params for item in session.items if hasattr(item, "callspec")]
        selected = [(params["case"], params["variant"]) for params in calls if "case" in params]
        scored = dict.fromkeys(params["variant"] for params in calls if "subset" in params)
        session.config.stash[MEASURED] = Session(configuration, selected, list(scored))
        gc.freeze()  # modules and items stay to the end: looking through them again and again costs 0.2 ms an item


@pytest.fixture(scope="session")
def measured(pytestconfig: pytest.Config) -> "Session":
    """All answers of this run, by case and variant; the first look-up measures a batch."""
    return pytestconfig.stash[MEASURED]


Record: TypeAlias = Callable[[str, object], None]


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Iterator[Record]:
    """Put plain data into the report of a test's call, with which it travels to where reports are gathered.

    The item itself, which stays to the end, does not keep it.
    """
    properties = request.node.user_properties
    yield lambda name, value: properties.append((name, value))
    properties[:] = [each for each in properties if each[0] not in RECORDED]


@pytest.fixture(scope="session")
def recorded() -> set[str]:
    """Names of the cases and digests of the images that this process has recorded so far."""
    return set()


@pytest.fixture
def gate(
    request: pytest.FixtureRequest, record: Record, recorded: set[str]
) -> "Callable[[Case, Variant, CaseResult], None]":
    """Record an answer, and fail where it counts as failing: see ``--gate``."""
    from dps import baseline
    from dps.report import album
    from dps.report.results import case_row

    configuration: RunConfiguration = request.config.stash[QUESTION]

    def judge(case: "Case", variant: "Variant", answer: "CaseResult") -> None:
        row = case_row(case, variant, answer)
        record(ROW, row)
        if case.name not in recorded:
            recorded.add(case.name)
            record(DRAWN, (case.name, answer.drawn))
            if answer.triple is not None:
                entry = album.entry(case.name, answer.triple, recorded)
                recorded.update(entry["images"])
                record(IMAGES, entry)
        if answer.drawing_failed:
            pytest.fail(f"{case.name}: {answer.verdict}", pytrace=False)
        if not configuration.gates(variant):
            return
        finding = baseline.compare(configuration.baseline, row)
        if finding.failed:
            pytest.fail(finding.text, pytrace=False)
        if finding.standing is baseline.Standing.EXPECTED:
            pytest.xfail(finding.text)

    return judge


@pytest.fixture
def scored(
    request: pytest.FixtureRequest, measured: "Session", record: Record
) -> "Callable[[Subset, Variant], ScoreResult]":
    """Look a score up, with progress on the terminal, and put its rows where reports find them."""
    from dps.errors import StoreError
    from dps.report.results import score_rows

    configuration: RunConfiguration = request.config.stash[QUESTION]
    dataset = configuration.dataset
    assert dataset is not None
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def look_up(subset: "Subset", variant: "Variant") -> "ScoreResult":
        score, unwritable = None, ""
        with capture.global_and_fixture_disabled():
            try:
                score = measured.score(subset, variant)
            except StoreError as error:
                unwritable = str(error)
        if score is None:
            record(BROKEN_OFF, True)
            request.session.shouldfail = unwritable  # not pytest.exit, which xdist takes for a crash of the worker
            pytest.fail(unwritable, pytrace=False)
        record(SCORES, score_rows(dataset, subset, variant, score))
        if configuration.against is not None and score.triplets:
            record(
                TRIPLETS, [(str(subset), variant.metric.name, variant.network, variant.normalization), score.triplets]
            )
        return score

    return look_up


@pytest.fixture(scope="session")
def examine(pytestconfig: pytest.Config, measured: "Session") -> "Callable[[Check, Variant], Finding]":
    """Check invariants on the networks that are loaded already; what one measured, the next ones use."""
    from dps.invariants import Subject, examine
    from dps.options import EXAMPLES

    option = pytestconfig.option
    profile, seed = (getattr(option, f"hypothesis_{name}", None) for name in ("profile", "seed"))
    examples = option.examples or (None if profile else EXAMPLES)
    variants = pytestconfig.stash[QUESTION].variants
    cache: dict[object, Any] = {}

    def examine_variant(check: "Check", variant: "Variant") -> "Finding":
        subject = Subject(variant, variants, measured.engine(variant.network), cache)
        return examine(check, subject, examples=examples, derandomize=seed is None)

    return examine_variant


@pytest.fixture(scope="session")
def unmeasured() -> "set[Variant]":
    """Variants whose invariants could not be measured, as this process has said already."""
    return set()


@pytest.fixture
def hold(
    request: pytest.FixtureRequest,
    examine: "Callable[[Check, Variant], Finding]",
    unmeasured: "set[Variant]",
    record: Record,
) -> "Callable[[Check, Variant], None]":
    """Check an invariant of a variant; fail where it is broken, unless the gate is off."""
    configuration: RunConfiguration = request.config.stash[QUESTION]

    def check_variant(check: "Check", variant: "Variant") -> None:
        finding = examine(check, variant)
        record(INVARIANT, finding.row)
        if finding.row["holds"]:
            return
        if finding.row["holds"] is None and (variant in unmeasured or not finding.row["error"]):
            pytest.skip(finding.row["error"] or finding.row["reason"])
        text = finding.explain(configuration.report_dir / "invariants")
        if finding.row["error"]:
            unmeasured.add(variant)
        elif not configuration.gates(variant):
            pytest.xfail(text)
        pytest.fail(text, pytrace=False)

    return check_variant


@pytest.fixture
def record_throughput(record: Record) -> Callable[[dict[str, Any]], None]:
    """Put a row of throughput where reports find it."""
    return functools.partial(record, THROUGHPUT)


class Recorder:
    """Gathers the rows of a run as its tests end, and writes and shows the report."""

    def __init__(self, config: pytest.Config) -> None:
        from dps.report.results import Gathered

        self.config = config
        self.gathered = Gathered()
        self.broken_off = False
        self.lines: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what a test recorded, before others write it out: a JUnit file has no use for images."""
        found: dict[str, Any] = {name: value for name, value in report.user_properties if name in RECORDED}
        report.user_properties = [each for each in report.user_properties if each[0] not in RECORDED]
        if report.when != "call":
            return
        self.broken_off |= BROKEN_OFF in found
        if isinstance(row := found.get(ROW), dict):
            self.gathered.cases.append(row)
        if drawn := found.get(DRAWN):
            self.gathered.drawn.setdefault(*drawn)
        if isinstance(images := found.get(IMAGES), dict):
            self.gathered.album.update(images)
        self.gathered.scores.extend(found.get(SCORES, ()))
        if triplets := found.get(TRIPLETS):
            self.gathered.triplets[tuple(triplets[0])] = triplets[1]
        if isinstance(row := found.get(INVARIANT), dict):
            self.gathered.invariants.append(row)
        if isinstance(row := found.get(THROUGHPUT), dict):
            self.gathered.throughput.append(row)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, error: object) -> None:
        """Get ready for the report when a worker is done, while the others still measure."""
        from dps.report import page

        if error is None:
            with contextlib.suppress(Exception):  # which is said when the report is written
                page.prepare()

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Iterator[None]:
        """Write the report while workers exit; what is measured is kept when the run was interrupted, too."""
        with ThreadPoolExecutor(1) as beside:
            beside.submit(_end_workers, self.config)  # half a second
            self.finish(session, exitstatus)
        return (yield)

    def finish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the report, and have its faults fail the run."""
        from dps import report

        interrupted = exitstatus == pytest.ExitCode.INTERRUPTED or self.broken_off
        if self.gathered:
            command = shlex.join(["pytest", *self.config.invocation_params.args])
            finished = report.finish(self.config.stash[QUESTION], self.gathered, command, interrupted=interrupted)
            self.lines = finished.lines
            if finished.failed and session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
        elif interrupted:
            self.lines = report.how_to_go_on(self.config.stash[QUESTION])
        if self.broken_off:  # xdist calls it an interruption
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
        """Show the table and what to notice in it, below all failures."""
        yield
        if self.lines:
            terminalreporter.section("verdicts")
            for line in self.lines:
                terminalreporter.line(line)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep what is measured at once on one worker."""
    if QUESTION not in config.stash or config.getvalue("dist") != "load":
        return None
    from xdist.scheduler import LoadScopeScheduling

    configuration = config.stash[QUESTION]
    units = {f"[{case.name}-{variant}]": str(unit) for unit, case, variant in configuration.items()}
    units |= {
        f"[{subset}-{variant}]": str((subset.measured_with, variant.network))
        for subset, variant in configuration.scores()
    }
    units |= {f"[{variant}]": str(("invariants", variant.network)) for variant in configuration.variants}

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist carries no types
        def _split_scope(self, nodeid: str) -> str:
            return units.get(nodeid[nodeid.find("[") :], nodeid)

    return Scheduling(config, log)
