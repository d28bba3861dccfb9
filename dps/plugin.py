"""The pytest plugin of the suites: thin hooks and fixtures; the library does the work. Other runs it leaves alone."""

import contextlib
import gc
import hashlib
import os
import re
import shlex
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dps import locations, options
from dps.options import pytest_addoption

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

RECORD = "dps"
"""The user property of a test report that carries plain data to where the rows of a run are collected."""

MOST_SIGNS = 50
"""Dots of progress that a run of the probes shows, however many cases there are."""

MOST_FAILURES = 3
"""Failed cases that pytest shows one by one; of more the report shows counts and the three worst."""

SUITES = locations.data("suites")


def pytest_configure(config: pytest.Config) -> None:
    """Check everything that options, files and weights can tell, before anything is measured."""
    for place, path in enumerate(_paths(config)):
        if path == SUITES.resolve() / "test_bapps.py":
            config.args[place] = config.args[place].replace(path.name, "test_judgments.py")
    config.addinivalue_line("markers", "users: of users' and third parties' metrics alone")
    if not _suites_selected(config):
        return
    from dps import photographs, thresholds
    from dps.errors import DpsError
    from dps.session import configuration

    config.addinivalue_line("filterwarnings", "default")  # ours are errors; a metric under test may warn
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            excluded = getattr(config, "workerinput", {}).get("dps_excluded")
            configured = configuration.configure(options.from_namespace(config.option), excluded)
            if _names(config, "test_thresholds"):
                configuration.check_images(
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
    if configured.options.transfer and not _names(config, "test_attacks"):
        raise pytest.UsageError("--transfer: nothing is attacked; name the suite: dps test attacks --transfer")
    suites = Suites(config, configured)
    config.pluginmanager.register(suites, "dps-suites")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(suites), "dps-recorder")


def _suites_selected(config: pytest.Config) -> bool:
    """Return whether a run's arguments name one of the suites, or a folder of them; refuse those of another copy."""
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
    """Return whether the arguments name a suite itself."""
    return any(suite in argument for argument in config.args)


def _paths(config: pytest.Config) -> list[Path]:
    """Return the files and folders that the arguments name."""
    arguments = [argument.partition("::")[0] for argument in config.args]
    return [(config.invocation_params.dir / argument).resolve() for argument in arguments]


class Suites:
    """The hooks and fixtures of a run of the suites, on each of its processes."""

    def __init__(self, config: pytest.Config, configuration: "RunConfiguration") -> None:
        self.config, self.configuration = config, configuration
        self.ids = _ids(list(dict.fromkeys([*configuration.variants, *(one for _, one in configuration.scores())])))
        self._session: Session | None = None
        self.reported: set[Any] = set()
        """Names of cases, digests of images, and variants that were not measured, which this process has reported."""
        self._recorded: dict[str, Any] = {}
        """Plain data of the test that runs."""
        self._expected = ""
        """Why the test that runs counts as an expected failure; empty where it does not."""
        self.crash_folder: Path | None = None
        if workerinput := getattr(config, "workerinput", None):
            import torch

            torch.set_num_threads(max(1, (os.cpu_count() or 1) // workerinput["workercount"]))
            self.crash_folder = Path(workerinput["dps_crash_folder"])

    # ------------------------------------------------------------------------------------------- collection

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Leave out scores where no data set is named, and what takes long where it is not named itself."""
        by_name = ("test_attacks", "test_throughput", "test_thresholds")
        wanted = {
            SUITES / "test_judgments.py": bool(self.configuration.datasets),
            SUITES / "test_same.py": bool(self.configuration.same_as),
            **{SUITES / f"{name}.py": _names(self.config, name) for name in by_name},
        }
        return None if wanted.get(collection_path, True) else True

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make one item for each case and variant, in the order in which they are measured."""
        names, configuration, ids = metafunc.fixturenames, self.configuration, self.ids
        if "case" in names:
            items = [pytest.param(case, one, id=f"{case.name}-{ids[one]}") for _, case, one in configuration.items()]
            metafunc.parametrize(("case", "variant"), items)
        elif "subset" in names:
            items = [pytest.param(subset, one, id=f"{subset}-{ids[one]}") for subset, one in configuration.scores()]
            metafunc.parametrize(("subset", "variant"), items)
        elif "graded" in names:
            items = [
                pytest.param(graded, one, id=f"{graded.name}-{ids[one]}") for graded, one in configuration.thresholds()
            ]
            metafunc.parametrize(("graded", "variant"), items)
        elif "bound" in names:
            items = [pytest.param(one, bound, id=f"{ids[one]}-{bound}") for one, bound in configuration.attacks()]
            metafunc.parametrize(("variant", "bound"), items)
        elif "variant" in names:
            variants = configuration.variants
            metafunc.parametrize("variant", variants, ids=[ids[variant] for variant in variants])
        elif "variants" in names:
            networks = dict.fromkeys(variant.network for variant in configuration.variants)
            groups = [[each for each in configuration.variants if each.network == network] for network in networks]
            metafunc.parametrize("variants", groups, ids=[network or "no-network" for network in networks])

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Start the session: only what is selected is drawn and measured."""
        from dps.session.crashes import CrashLog
        from dps.session.session import Session

        self._items = session
        plugins = self.config.pluginmanager
        suites_alone = all(path.is_relative_to(SUITES) for path in _paths(self.config))  # other tests may want logs
        if suites_alone and plugins.has_plugin("logging-plugin"):  # with PyTorch's many loggers it takes 1 ms an item
            logging: Any = plugins.unregister(name="logging-plugin")
            self.config.add_cleanup(logging.pytest_unconfigure)

        parameters = [item.callspec.params for item in session.items if hasattr(item, "callspec")]
        selected = [(values["case"], values["variant"]) for values in parameters if "case" in values]
        scored = list(dict.fromkeys(values["variant"] for values in parameters if "subset" in values))
        gc.freeze()  # 28,000 items, which each collection of garbage would go through; with less often, 5 % of the time
        gc.set_threshold(50_000, 20, 100)
        self._session = Session(self.configuration, selected, scored, CrashLog(self.crash_folder))

    @property
    def session(self) -> "Session":
        """Return the results of this run; the first look-up of a unit measures it."""
        assert self._session is not None
        return self._session

    def close(self) -> None:
        """Let networks and cached features go: the report can use the memory."""
        if self._session is not None:
            self._session.close()
        self._session = None

    def pytest_collection_modifyitems(self, items: list[pytest.Function]) -> None:
        """Leave out what is built in where a test is marked to be of users' and third parties' metrics."""
        is_users = self.configuration.is_users
        items[:] = [i for i in items if not i.get_closest_marker("users") or is_users(i.callspec.params["variant"])]  # type: ignore[arg-type]  # pytest says object

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        """Keep the items of one unit of work on one worker."""
        if config.getvalue("dist") != "load":
            return None
        from xdist.scheduler import LoadScopeScheduling

        configuration, ids = self.configuration, self.ids
        units = {f"{case.name}-{ids[variant]}": str(unit) for unit, case, variant in configuration.items()}
        for subset, variant in configuration.scores():
            units[f"{subset}-{ids[variant]}"] = str((subset.measured_with, variant.backbone))
        for graded, variant in configuration.thresholds():
            units[f"{graded.name}-{ids[variant]}"] = str((graded.name, variant.backbone))
        units |= {ids[variant]: str(("invariants", variant.backbone)) for variant in configuration.variants}
        units |= {f"{ids[v]}-{bound}": f"attacks-{v}" for v, bound in configuration.attacks()}

        class UnitScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist carries no types
            def _split_scope(self, nodeid: str) -> str:
                if "test_reproducible_construction[" in nodeid:
                    return "construction"  # one new process makes all metrics
                return units.get(nodeid.partition("[")[2].removesuffix("]"), nodeid)

        return UnitScheduling(config, log)

    # ------------------------------------------------------------------------------------- one item of a suite

    def record(self, kind: str, data: Any) -> None:
        """Attach plain data to the report of the running test, which carries it to where a run's rows are collected."""
        self._recorded[kind] = data

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
        """Add what a test recorded, and whether its failure was expected, to the report of its call."""
        report = yield
        if call.when == "call":
            report.user_properties.append((RECORD, self._recorded))
            if self._expected and report.passed:
                report.outcome, report.wasxfail = "skipped", f"reason: {self._expected}"
            self._recorded, self._expected = {}, ""
        return report

    def fail(self, reason: str, *, expected: bool = False) -> None:
        """Fail the test that runs, in one line; or let it end, and count as a failure that was expected."""
        if not expected:
            pytest.fail(reason, pytrace=False)
        self._expected = reason  # an exception would cost a traceback, 1 ms, that nobody sees

    def judge(self, case: "Case", variant: "Variant") -> None:
        """Look a case up, record it, and fail where that counts as failing: see ``--gate``."""
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
        """Look a score up, with progress on the terminal, record it, and fail where there is none."""
        from dps.errors import StoreError
        from dps.report.results import score_rows

        capture = self.config.pluginmanager.getplugin("capturemanager")
        try:
            with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
                score = self.session.score(subset, variant)
        except StoreError as error:
            self.record("broken_off", True)
            self._items.shouldfail = str(error)  # not pytest.exit, which xdist takes for a crash of the worker
            raise pytest.fail.Exception(str(error), pytrace=False) from None
        (dataset,) = (each for each in self.configuration.datasets if each.name == subset.dataset)
        self.record("scores", score_rows(dataset, subset, variant, score))
        if self.configuration.against is not None and score.originals:
            self.record("originals", (str(subset), variant.key, score.originals))
        if score.error:
            self.fail(f"{subset}: {score.error}")

    def settle(self, variant: "Variant", row: "Row", pair: "ImagePair | None") -> None:
        """Record what came out of an invariant of a variant; fail where it is broken, unless the gate is off."""
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
        """Check an invariant of a variant, and settle what comes out."""
        from dps import invariants

        option = self.config.option
        profile, seed = (getattr(option, f"hypothesis_{name}", None) for name in ("profile", "seed"))
        examples = option.examples or (None if profile else options.EXAMPLES)
        subject = self.session.subject(variant)
        self.settle(variant, *invariants.examine(check, subject, examples=examples, derandomize=seed is None))

    def compare(self, variant: "Variant") -> None:
        """Compare a variant with the metric of ``--same-as``, and fail where they are not the same."""
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
        """Find a threshold; fail below people's, which is expected but under the strict gate."""
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
        """Attack photographs on a variant, and fail under the strict gate where fewer than half of them hold."""
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


@pytest.fixture(scope="session")  # once for the run: what pytest makes for every test costs more than a look-up
def suites(pytestconfig: pytest.Config) -> Suites:
    """Return what looks results up, records them, and says which fail."""
    plugin: Suites | None = pytestconfig.pluginmanager.getplugin("dps-suites")
    assert plugin is not None
    return plugin


class Recorder:
    """Gathers the rows of a run as its tests end, and writes and shows the report."""

    def __init__(self, suites: Suites) -> None:
        from dps.report.results import RunRecords

        self.suites, self.config, self.configuration = suites, suites.config, suites.configuration
        self.records = RunRecords()
        self.crash_folder = tempfile.TemporaryDirectory(prefix="dps-", ignore_cleanup_errors=True)
        self.crashed: set[str] = set()
        self.failed_cases: set[str] = set()
        self.shown, self.step = 0, -(-sum(1 for _ in self.configuration.items()) // MOST_SIGNS) or 1
        self.broken_off = False
        self.lines: list[str] = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give all workers of pytest-xdist one folder in which they note what they measure."""
        node.workerinput["dps_crash_folder"] = self.crash_folder.name
        node.workerinput["dps_excluded"] = dict(self.configuration.excluded)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what a test recorded, before others write it out: a JUnit file has no use for images."""
        properties: dict[str, Any] = dict(report.user_properties)
        report.user_properties = [each for each in report.user_properties if each[0] != RECORD]
        if report.when == "call":
            data = properties.get(RECORD, {})
            self.broken_off |= data.pop("broken_off", False)
            self.records.add(data)
            if "case" in data and report.failed:
                self.failed_cases.add(report.nodeid)
        elif str(report.when) == "???":  # pytest-xdist's report of the item that ended its worker
            self.crashed.add(report.nodeid.partition("[")[2].removesuffix("]"))

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Show a sign for some of many cases that do not fail, so that all of them fill a line."""
        if report.when != "call" or report.failed or "test_probe[" not in report.nodeid:
            return None
        self.shown = (self.shown + 1) % self.step
        expected = hasattr(report, "wasxfail")
        sign = "" if self.shown else "."
        return ("xfailed", sign, "XFAIL") if expected else ("passed", sign, "PASSED")

    def _add_crashed(self) -> None:
        """Add what ended its worker and was not measured by another one."""
        from dataclasses import asdict

        from dps import verdicts
        from dps.rows import case_name, case_row, variant_key

        ids = self.suites.ids
        measured = {(case_name(row), variant_key(row).label) for row in self.records.cases}
        for _, case, variant in self.configuration.items() if self.crashed else ():
            if f"{case.name}-{ids[variant]}" in self.crashed and (case.name, str(variant)) not in measured:
                verdict = verdicts.not_measured("the worker process ended while this case was measured")
                self.records.add({"case": case_row(case.probe, case.id, variant.key, asdict(verdict), None)})

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Iterator[None]:
        """Write the report; what is measured is kept when the run was interrupted, too."""
        from dps import report

        self.suites.close()
        interrupted = exitstatus == pytest.ExitCode.INTERRUPTED or self.broken_off
        self._add_crashed()
        if self.records:
            installed = self.config.inipath == locations.PACKAGE / "pytest.ini"
            words = ["dps", *sys.argv[1:]] if installed else ["pytest", *self.config.invocation_params.args]
            command = shlex.join(words)
            verbose = self.config.option.verbose > 0
            self.lines, failed = report.finish(
                self.configuration, self.records, command, interrupted=interrupted, verbose=verbose
            )
            if failed and session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
        elif interrupted:
            self.lines = report.how_to_go_on(self.configuration)
        without_result = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
        if self.broken_off or (
            self.configuration.excluded and without_result
        ):  # xdist calls the former an interruption
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        self.crash_folder.cleanup()
        gc.freeze()  # pytest collects garbage ten times now
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, exitstatus: int) -> Iterator[None]:
        """Show findings and tables below the failures, which are left out where there are many, but for ``-v``."""
        failed = terminalreporter.stats.get("failed", [])
        if len(self.failed_cases) > MOST_FAILURES and self.config.option.verbose <= 0:
            others = [report for report in failed if report.nodeid not in self.failed_cases]
            terminalreporter.stats["failed"] = others
        yield
        if failed:
            terminalreporter.stats["failed"] = failed  # for the counts of the last line
        if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and self.config.option.keyword:
            self.lines = [self._nothing_selected()]
        if self.lines:
            terminalreporter.section("verdicts")
            for line in self.lines:
                terminalreporter.line(line)

    def _nothing_selected(self) -> str:
        axes = {
            "probes": [probe.name for probe in self.configuration.probes],
            "metrics": [variant.metric.name for variant in self.configuration.variants],
            "networks": list(self.configuration.networks),
        }
        names = "; ".join(f"{axis}: {', '.join(dict.fromkeys(values))}" for axis, values in axes.items() if values)
        return f"-k {self.config.option.keyword!r} selects nothing. It matches parts of test ids, with the {names}."


def _ids(variants: Sequence["Variant"]) -> "dict[Variant, str]":
    """Return each variant's part of test ids, in characters that ``-k`` takes; a digest tells equal ones apart."""
    texts = {variant: re.sub(r"[^\w:+.\[\]-]", "_", str(variant), flags=re.ASCII) for variant in variants}
    same = Counter(texts.values())
    digests = {variant: hashlib.sha256(str(variant).encode()).hexdigest()[:6] for variant in variants}
    return {variant: text if same[text] == 1 else f"{text}-{digests[variant]}" for variant, text in texts.items()}
