"""The gate: sentinel metrics that must not get through, baselines, another metric to compare with, what CI shows."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from dps import probes
from dps.baseline import Baseline, write
from dps.options import Options
from dps.report import gate
from dps.report.gate import GateOutcome
from dps.report.results import RunRecords
from dps.rows import VariantKey
from dps.session.configuration import RunConfiguration
from dps.session.configuring import configure
from dps.session.floors import Floor
from tests import rows
from tests.running import ROOT, SUITES, TINY, Run, Suite, suite  # noqa: F401 - a fixture

pytest_plugins = ["pytester"]

SENTINELS = """
import torch

calls = 0

def edges(a, b):
    ours, theirs = ((each[..., 1:] - each[..., :-1]).abs() for each in (a, b))
    return (ours - theirs).square().mean((1, 2, 3)) + 1e-3 * (a - b).square().mean((1, 2, 3))

def always_zero(a, b):
    return torch.zeros(len(a))

DICE = torch.Generator().manual_seed(0)  # by chance, one in some thousand draws would be what is right

def random_but_for_itself(a, b):
    return torch.rand(len(a), generator=DICE) * (a != b).any(1).any(1).any(1)

def minus_l2(a, b):
    return -(a - b).square().mean((1, 2, 3)).sqrt()

def of_the_batch(a, b):
    return edges(a, b) / edges(a, b).max()

def throws_on_the_7th_call(a, b):
    global calls
    calls += 1
    if calls == 7:
        raise RuntimeError("the seventh")
    return edges(a, b)

def form_of_the_batch(features):
    return (features - features.mean(0)).flatten(2)
"""

EDGES, PIXEL = ("--probes=tiny.yaml", "--metric=sentinels.py:edges"), ("--probes=tiny.yaml", "--metric=pixel")


@pytest.fixture(autouse=True)
def here(pytester: pytest.Pytester) -> Path:
    """Where the suites run: a folder with the sentinels."""
    (pytester.path / "sentinels.py").write_text(SENTINELS, encoding="utf-8")
    return pytester.path


def summary(done: Run) -> list[str]:
    """The gate's lines of a run."""
    lines: list[str] = done.results["run"]["gate_outcome"]["summary"]
    return lines


# ------------------------------------------------------------------------------------------------ sentinels


def test_a_sentinel_passes_no_case_and_each_has_its_row(suite: Suite) -> None:
    alone = r"the distance of the original to the distorted image is .* in a batch and .* alone"
    errors = {"random_but_for_itself": alone, "minus_l2": "negative, so not a distance", "of_the_batch": alone}
    names = ",".join(f"sentinels.py:{name}" for name in ("always_zero", *errors))
    done = suite("--probes=tiny.yaml", f"--metric={names}", "--gate=strict")
    assert done.code == 1
    assert done.outcomes == {"failed": 12}
    for row in done.rows:
        assert row["passed"] is False
        assert row["margin"] is None
        assert re.search(errors.get(row["metric"].partition(":")[2], "^$"), row.get("error", ""))


def test_a_metric_that_throws_once_fails_that_case_alone(suite: Suite) -> None:
    done = suite("--probes=tiny.yaml", "--metric=sentinels.py:throws_on_the_7th_call", "--cases=6", "--gate=strict")
    assert done.code == 1
    assert done.outcomes == {"passed": 5, "failed": 1}
    found = {row["case"]: row.get("error") for row in done.rows if not row["passed"]}  # two calls a case
    assert found == {"rings-003": "metric 'sentinels.py:throws_on_the_7th_call': RuntimeError: the seventh"}


def test_a_comparison_that_looks_at_the_batch_is_broken(suite: Suite) -> None:
    done = suite(
        "--probes=tiny.yaml", "--network=alexnet", "--normalization=none", "--gate=strict",
        "--metric=sort,sentinels.py:form_of_the_batch",
    )  # fmt: skip
    assert done.outcomes == {"passed": 3, "failed": 3}
    error = "metric 'sentinels.py:form_of_the_batch': represents an image differently alone than in a batch"
    assert all(row["error"].startswith(error) for row in done.rows if row["metric"] != "sort")


# ------------------------------------------------------------------------------------------------ baselines


def test_a_metric_that_turns_constant_fails_against_its_baseline(suite: Suite, here: Path) -> None:
    done = suite(*EDGES, "--update-baseline=mine.json")
    assert done.code == 0
    assert "recorded: mine.json" in done.lines
    recorded = (here / "mine.json").read_text(encoding="utf-8")
    assert suite(*EDGES, "--update-baseline=mine.json", "--cases=1").code == 0  # a narrowed run changes only its own
    assert (here / "mine.json").read_text(encoding="utf-8") == recorded
    assert suite(*EDGES, "--baseline=mine.json").code == 0
    constant = SENTINELS.replace(
        "    ours, theirs =", "    return (a - b).abs().amax((1, 2, 3)).sign()\n    ours, theirs ="
    )
    (here / "sentinels.py").write_text(constant, encoding="utf-8")
    done = suite(*EDGES, "--baseline=mine.json")
    assert done.code == 1
    assert done.outcomes == {"failed": 3}
    assert summary(done)[:2] == ["against the baseline: 3 regressed", "  tiny: 3 of 3"]


def test_a_failure_that_the_baseline_knows_is_expected(suite: Suite) -> None:
    assert suite(*PIXEL, "--update-baseline=mine.json").code == 0
    done = suite(*PIXEL, "--baseline=mine.json")
    assert (done.code, done.outcomes) == (0, {"xfailed": 3})
    assert summary(done) == ["against the baseline: 3 unchanged"]
    done = suite("--probes=tiny.yaml", "--metric=pixel,sentinels.py:edges", "--baseline=mine.json")
    assert (done.code, done.outcomes) == (0, {"xfailed": 3, "passed": 3})  # a variant that it does not know
    assert summary(done) == ["against the baseline: 3 unchanged, 3 passed (not in the baseline)"]


def test_what_the_built_in_baseline_does_not_know_is_measured_and_fails_nothing(suite: Suite) -> None:
    built_in = f"--probes={probes.BUILT_IN / 'invert.yaml'}"
    for options in (PIXEL, (built_in, "--metric=sentinels.py:minus_l2", "--cases=2")):  # a probe, and a metric
        done = suite(*options)
        assert done.code == 0
        assert set(done.outcomes) == {"xfailed"}
        assert summary(done) == [
            f"{len(done.rows)} verdicts are not in the baseline, measured and not gated; to gate what is new: "
            "--gate strict, --baseline FILE or --against METRIC"
        ]
        assert done.results["run"]["gate_outcome"]["holds"] is None
    for gate_of in ("strict", "baseline"):
        done = suite(*PIXEL, f"--gate={gate_of}")
        assert (done.code, done.outcomes) == (1, {"failed": 3})
        assert "distorted at 0.76313, but reference 'gray' at 0.19127" in done.text


def test_a_probe_of_a_users_is_not_the_built_in_one_of_that_name(suite: Suite, here: Path) -> None:
    text = (probes.BUILT_IN / "invert.yaml").read_text(encoding="utf-8")
    (here / "mine").mkdir()
    (here / "mine" / "invert.yaml").write_text(text.replace("probe: invert", "probe: invert\nsize: 64"))
    done = suite("--probes=mine", "--metric=pixel", "--cases=2")
    assert done.code == 0
    assert {row["standing"] for row in done.rows} == {"failed (not in the baseline)"}
    done = suite(f"--probes={probes.BUILT_IN / 'invert.yaml'}", "--metric=pixel", "--cases=2")
    assert {row["standing"] for row in done.rows} == {"unchanged"}


# ------------------------------------------------------------------------------------------- by hand


@pytest.fixture
def strict(here: Path, monkeypatch: pytest.MonkeyPatch) -> RunConfiguration:
    """A configuration of three cases of one variant, with --gate strict."""
    monkeypatch.chdir(here)
    Path("tiny.yaml").write_text(TINY, encoding="utf-8")
    options: Any = {"report_dir": "report", "metric": ["pixel"], "probes": ["tiny.yaml"], "gate": "strict"}
    return configure(Options(**options))


def row(case: str, margin: float | None = 0.5, **changed: Any) -> dict[str, Any]:
    """A row of ``pixel``; one without a margin could not be measured."""
    names = {"probe": "tiny", "case": case, **rows.PIXEL}
    return rows.row(margin, **{**names, **(rows.UNMEASURED if margin is None else {}), **changed})


def judged(
    configuration: RunConfiguration, cases: list[dict[str, Any]], *, interrupted: bool = False, **records: Any
) -> GateOutcome:
    """The gate's outcome of some rows."""
    document = {"cases": cases, "run": {}, "scores": [], "drawn": {}} | records.pop("document", {})
    return gate.judge(configuration, RunRecords(cases=cases, **records), document, interrupted=interrupted)


def test_a_case_that_a_full_run_lacks_is_missing(strict: RunConfiguration) -> None:
    cases = [case.id for case in strict.probes[0].cases]
    known = {(f"tiny/{case}", VariantKey(None, None, "pixel")): 0.5 for case in (*cases, "gone")}
    whole = dataclasses.replace(
        strict, gate="baseline", baseline=Baseline(where="mine.json", margins=known), narrowed=False
    )
    outcome = judged(whole, [row(case) for case in cases])
    assert outcome.holds is False
    assert outcome.summary == [
        "1 missing, though the baseline has them:",
        "  tiny/gone-pixel: in the baseline, but not measured",
        "against the baseline: 3 unchanged",
    ]
    for asked_for_less, broken_off in ((True, False), (False, True)):
        narrowed = dataclasses.replace(whole, narrowed=asked_for_less)
        assert judged(narrowed, [row(case) for case in cases], interrupted=broken_off).holds


def test_changed_verdicts_are_counted_and_those_that_do_not_fail_explained(strict: RunConfiguration) -> None:
    then = {"a": -0.5, "b": 0.004, "c": 0.5, "d": 0.5}
    known = {(f"tiny/{case}", VariantKey(None, None, "pixel")): margin for case, margin in then.items()}
    baseline = Baseline(where="mine.json", margins=known, images={"tiny/e": "f" * 64})
    now = [row("a"), row("b", -0.004), row("c", -0.5), row("d"), row("e")]
    outcome = judged(dataclasses.replace(strict, gate="baseline", baseline=baseline), now)
    changed = "passed (margin +50.0%) in the baseline, now distorted at 2, but reference 'gray' at 1 (margin -50.0%)"
    assert outcome.summary == [
        "against the baseline: 1 regressed, 1 of other images, 1 improved, 1 inconclusive, 1 unchanged",
        "  tiny: 2 of 5",
        f"  worst: tiny/c-pixel: {changed}",
        "  worst: tiny/e: its images have SHA-256 1ade1ade1ade.. but ffffffffffff.. in mine.json, so it is a "
        "different case. If this is intended: dps test --update-b...",
        "1 improved: to record it, repeat the command with --update-baseline mine.json",
        "1 inconclusive: the margin moved by at most 0.01; not failed",
    ]
    assert (outcome.holds, outcome.failed) == (False, 2)


def test_what_one_error_kept_from_being_measured_is_one_line_of_the_summary(strict: RunConfiguration) -> None:
    excluded = dataclasses.replace(strict, gate="off", excluded={"other": "it ended its process"})
    outcome = judged(excluded, [row("a", None), row("b", None), row("c", None, error="another")])
    assert outcome.summary == [
        "not measured at all:",
        "  other: it ended its process",
        "3 could not be measured:",
        "  tiny/a-pixel and 1 more: it broke",
        "  tiny/c-pixel: another",
    ]
    assert outcome.lines[3:] == ["  tiny/a-pixel: it broke", "  tiny/b-pixel: it broke", "  tiny/c-pixel: another"]
    assert outcome.not_measured == 3


@pytest.mark.parametrize(
    ("gate_of", "margins", "expected"),
    [
        ("strict", [0.5, -0.5, -0.5], (False, 2, 0)),
        ("strict", [0.5], (True, 0, 0)),
        ("strict", [], (None, 0, 0)),
        ("off", [0.5, -0.5, -0.5], (None, 0, 0)),
        ("off", [0.5, -0.5, None], (False, 0, 1)),
        ("strict", [0.5, -0.5, None], (False, 1, 1)),
    ],
)
def test_what_is_recorded_of_a_gate(strict: RunConfiguration, gate_of: str, margins: Any, expected: Any) -> None:
    outcome = judged(dataclasses.replace(strict, gate=gate_of), [row(str(n), m) for n, m in enumerate(margins)]).row
    assert (outcome["holds"], outcome["failed"], outcome["not_measured"]) == expected


def test_many_failures_are_summarized_and_all_of_them_listed(strict: RunConfiguration) -> None:
    networks = ["alexnet" if n <= 45 else "vgg16" for n in range(1, 91)]  # each of nine probes five times
    cases = [
        row(f"{n:03}", -n / 100, probe=f"probe{n % 9}", network=network, normalization="none")
        for n, network in enumerate(networks, 1)
    ]
    outcome = judged(strict, cases)
    assert outcome.summary == [
        "strict: 90 of 90 verdicts failed",
        *(f"  probe{n}: 5 of 5 on vgg16, 5 of 5 on alexnet" for n in (0, 8, 7, 6, 5, 4)),
        "  ... and 3 more",
        *(
            f"  worst: probe{n % 9}/{n:03}-vgg16-none-pixel: distorted at 2, but reference 'gray' at "
            f"{2 - n / 50:.5g} (margin -{n}.0%)"
            for n in (90, 89, 88)
        ),
    ]
    assert len(outcome.lines) == 91
    shown = gate.as_text({"summary": [f"line {n}" for n in range(30)]}, 80, verbose=False)
    assert (len(shown), shown[-1]) == (20, "... 11 more lines with -v and in report.html")
    assert len(gate.as_text(outcome.row, 200, verbose=True)) == 91


def test_floors(strict: RunConfiguration) -> None:
    floors = (Floor(name="tiny", limit=0.5), Floor(name="2afc/cnn", limit=0.7))
    configuration = dataclasses.replace(strict, gate="off", floors=floors)
    score = {
        "dataset": "bapps",
        "kind": "2afc",
        "subset": "cnn",
        "network": None,
        "normalization": None,
        "metric": "pixel",
        "score": 0.7,
    }
    judges = score | {"metric": "human", "score": 0.1}
    assert judged(configuration, [row("a"), row("b", -0.5)], document={"scores": [score, judges]}).holds
    low = [score | {"score": 0.69}, score | {"score": None}]
    assert judged(configuration, [row("a", -0.1), row("b", -0.5), row("c")], document={"scores": low}).summary == [
        "required tiny>=0.5: pixel has 1/3",
        "required 2afc/cnn>=0.7: pixel has 0.6900",
        "required 2afc/cnn>=0.7: pixel has no score",
    ]
    assert "required tiny>=0.5: pixel has 2/2, 1 could not be measured" in (
        judged(configuration, [row("a"), row("b"), row("c", None)]).summary
    )


def test_a_floor_holds_in_each_stratum(strict: RunConfiguration) -> None:
    document = {
        "run": {"severity": {"tiny": {"by": "degrees"}}},
        "drawn": {"tiny/a": {"degrees": 10}, "tiny/b": {"degrees": 20}, "tiny/c": {"degrees": -20}},
    }
    cases = [row("a"), row("b"), row("c", -0.5)]

    def broken(name: str) -> Any:
        floors = (Floor(name=name, limit=0.6),)
        return judged(dataclasses.replace(strict, gate="off", floors=floors), cases, document=document).summary

    assert broken("tiny/10") == []
    assert broken("tiny") == ["required tiny>=0.6: pixel has 1/2 at 20"]  # 2/3 of all
    assert broken("tiny/20") == ["required tiny/20>=0.6: pixel has 1/2 at 20"]
    assert broken("tiny/30") == ["required tiny/30>=0.6: tiny has no '30'; known: 10, 20"]


def test_a_comparison_of_nothing_does_not_hold(strict: RunConfiguration) -> None:
    outcome = judged(dataclasses.replace(strict, gate="off", against="sort"), [row("a")])
    assert outcome.holds is False
    assert outcome.summary == ["against sort, 0 comparisons: 0 worse, 0 not worse, 0 cannot tell"]


def test_the_committed_baseline_is_that_of_all_built_in_cases_and_variants(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here)
    asked = configure(Options(report_dir="report"))
    known = {(case, *variant) for case, variant in asked.baseline.margins}
    assert known == {(case.name, *variant.key) for _, case, variant in asked.items()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--baseline=good.json", "--gate=off"], "--baseline good.json: nothing is compared with it under --gate off."),
        (["--baseline=good.json", "--gate=strict"], "--baseline good.json: nothing is compared with it under --gate"),
        (["--baseline=bad.json"], "bad.json: not a valid baseline: dps_baseline: Input should be 1, got '2'."),
        (["--baseline=good.json", "--metric=sort"], "good.json: recorded with weights of alexnet of SHA-256 443c443c"),
        (["--update-baseline=sentinels.py/b.json"], "--update-baseline sentinels.py: cannot be written (File exists)"),
    ],
)
def test_a_baseline_that_does_not_serve_is_exit_code_4(
    suite: Suite, here: Path, options: list[str], message: str
) -> None:
    write(here / "good.json", [rows.row()], rows.ABOUT)
    (here / "bad.json").write_text('{"dps_baseline": 2}', encoding="utf-8")
    done = suite(*PIXEL, "--network=alexnet", "--normalization=none", *options)
    assert done.code == 4
    (line,) = [line for line in done.errors if line]
    assert line.startswith(f"ERROR: {message}")
    assert not (here / "report" / "results.json").exists()


# ---------------------------------------------------------------------------------- against another metric


def test_worse_than_another_metric_is_exit_code_1_and_nothing_else_is(suite: Suite) -> None:
    done = suite(*PIXEL, "--against=sentinels.py:edges", "--cases=8")
    assert done.code == 1
    assert done.outcomes == {"passed": 8, "xfailed": 8}  # the verdicts themselves are not gated
    assert summary(done)[:2] == [
        "against sentinels.py:edges, 1 comparisons: 1 worse, 0 not worse, 0 cannot tell",
        "  tiny: pixel against sentinels.py:edges: worse (8 of 8 cases worse, 0 better, p = 0.0039)",
    ]
    done = suite(*EDGES, "--against=pixel", "--cases=8")
    assert done.code == 0
    assert summary(done)[0] == "against pixel, 1 comparisons: 0 worse, 1 not worse, 0 cannot tell"
    done = suite(*PIXEL, "--against=sentinels.py:edges", "--cases=4", "--gate=strict")
    assert (done.code, done.outcomes) == (1, {"failed": 4, "passed": 4})  # but edges is not gated
    assert summary(done)[0] == "against sentinels.py:edges, 1 comparisons: 0 worse, 0 not worse, 1 cannot tell"


def test_two_metrics_are_compared_on_the_same_triplets(suite: Suite, written: Path) -> None:
    done = suite(*EDGES, f"--bapps={written}", "--against=pixel", "--gate=off", paths=(str(SUITES / "test_bapps.py"),))
    counts = summary(done)[0]
    assert counts.startswith("against pixel, 4 comparisons: ")  # four 2AFC families; JND has no differences to test
    assert done.code == (0 if " 0 worse" in counts else 1)


# ----------------------------------------------------------------------------------------------- what CI shows


def test_the_summary_is_appended_where_github_shows_it(
    suite: Suite, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "summary.md").write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(here / "summary.md"))
    suite(*PIXEL, "--gate=strict")
    lines = (here / "summary.md").read_text(encoding="utf-8").splitlines()
    assert lines[:5] == ["before", "## dps", "", "- strict: 3 of 3 verdicts failed", "  - tiny: 3 of 3"]
    assert sum(line.startswith("  - worst: tiny/") for line in lines) == 3
    assert any(line.startswith("|") and "| pixel |" in line for line in lines)
    assert len(lines) < 24  # a screen
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(here / "nowhere" / "summary.md"))
    done = suite(*EDGES)
    assert done.code == 0
    assert "the summary was not written to" in done.text
