"""Gathers what the tests of a run recorded, in the main process, and writes and prints the report."""

import gc
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from dps import locations

if TYPE_CHECKING:
    from dps.metrics import Variant
    from dps.session.configuration import RunConfiguration

RECORD = "dps"
"""The user property of a test report that carries plain data to the process that writes the report."""

MOST_SIGNS = 50
"""The largest number of progress dots in a run of the probes."""

MOST_FAILURES = 3
"""Failed cases that pytest lists one by one; beyond that, the report shows counts and the three worst."""


class Recorder:
    """Gathers rows as tests end, and writes and prints the report.

    Args:
        configuration: of the run.
        ids: each variant's part of test ids.
        close: releases memory before the report is written.
    """

    def __init__(
        self,
        config: pytest.Config,
        configuration: "RunConfiguration",
        ids: "Mapping[Variant, str]",
        close: Callable[[], None],
    ) -> None:
        from dps.report.results import RunRecords

        self.config, self.configuration, self.ids, self.close = config, configuration, ids, close
        self.records = RunRecords()
        self.crash_folder = tempfile.TemporaryDirectory(prefix="dps-", ignore_cleanup_errors=True)
        self.crashed: set[str] = set()
        self.failed_cases: set[str] = set()
        self.shown, self.step = 0, -(-sum(1 for _ in self.configuration.items()) // MOST_SIGNS) or 1
        self.broken_off = False
        self.lines: list[str] = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give all workers of pytest-xdist one folder for their crash logs."""
        node.workerinput["dps_crash_folder"] = self.crash_folder.name
        node.workerinput["dps_excluded"] = dict(self.configuration.excluded)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take recorded data out of a report before other plugins write it, such as images into a JUnit file."""
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
        """Print a dot for every few cases that do not fail, at most `MOST_SIGNS` in all."""
        if report.when != "call" or report.failed or "test_probe[" not in report.nodeid:
            return None
        self.shown = (self.shown + 1) % self.step
        expected = hasattr(report, "wasxfail")
        sign = "" if self.shown else "."
        return ("xfailed", sign, "XFAIL") if expected else ("passed", sign, "PASSED")

    def _add_crashed(self) -> None:
        """Add cases that ended their worker and were not measured by another one."""
        from dataclasses import asdict

        from dps import verdicts
        from dps.rows import case_name, case_row, variant_key

        measured = {(case_name(row), variant_key(row).label) for row in self.records.cases}
        for _, case, variant in self.configuration.items() if self.crashed else ():
            if f"{case.name}-{self.ids[variant]}" in self.crashed and (case.name, str(variant)) not in measured:
                verdict = verdicts.not_measured("the worker process ended while this case was measured")
                self.records.add({"case": case_row(case.probe, case.id, variant.key, asdict(verdict), None)})

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Iterator[None]:
        """Write the report, also after an interruption."""
        from dps import report

        self.close()
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
            self.lines = report.describe_resumption(self.configuration)
        without_result = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
        if self.broken_off or (self.configuration.excluded and without_result):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED  # under xdist, a run that is broken off is "interrupted"
        self.crash_folder.cleanup()
        gc.freeze()  # pytest now collects garbage ten times
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, exitstatus: int) -> Iterator[None]:
        """Print findings and tables below the failures; without ``-v``, many failed cases are not listed."""
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
