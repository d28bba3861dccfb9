"""``dps test``: the suites from any folder where dps is installed."""

import argparse
import difflib
import os
import sys
from dataclasses import fields
from pathlib import Path

import click

from dps import locations, options
from dps.cli.shared import main

CONFIGURATION_FILE = locations.PACKAGE / "pytest.ini"

ABOUT = """\
Run the suites: which known flaws does a metric have?

Words before the first option name suites (attacks, invariants, judgments, probes, same,
thresholds, throughput) or probes (rotate, translate, ...); without one, all suites run but
attacks, thresholds and throughput. Everything from the first option on goes to pytest,
whose own options work, too: -n 2, -k, -v, -x.
"""

EXAMPLES = """\
examples:
  dps test --metric sort                             the probes, and what must hold of every metric
  dps test translate rotate --network alexnet        two probes on one network
  dps test --metric my_variant.py:quantiles --against sort
  dps test probes --metric my_metric.py:distance --gate strict
  dps test same --metric my_port.py:lpips --same-as lpips:alex
  dps test thresholds --network alexnet              up to which severity does a metric hold?
  dps test attacks --metric sort --network alexnet
  dps test judgments --judgments kadid10k/ --metric lpips:alex

exit codes: 0 nothing regressed, 1 something did, 2 interrupted, 4 the question was
wrong, 5 nothing was selected
"""


@main.command(name="test", context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[SUITE | PROBE]... [OPTION]...")
def test_(arguments: tuple[str, ...]) -> None:
    """Run the suites on a metric; dps test --help shows the options."""
    if {"-h", "--help"} & set(arguments):
        usage, layout = "dps test [SUITE | PROBE]... [OPTION]...", argparse.RawDescriptionHelpFormatter
        parser = argparse.ArgumentParser("dps test", usage, ABOUT, EXAMPLES, formatter_class=layout, add_help=False)
        options.add_to(parser.add_argument_group("options"))
        click.echo(parser.format_help(), nl=False)
        return
    ours = [options.flag(option.name) for option in fields(options.Options)]
    for name in (word.partition("=")[0] for word in arguments if word.startswith("--")):
        if name not in ours and (meant := difflib.get_close_matches(name, ours, n=1, cutoff=0.8)):  # none of pytest's
            raise click.NoSuchOption(name, possibilities=meant)
    import pytest

    # with the configuration of the package: nothing of the project in the working directory changes the run
    first = next((place for place, text in enumerate(arguments) if text.startswith("-")), len(arguments))
    here, there = Path.cwd(), locations.data("suites")
    suites = {path.stem.removeprefix("test_"): path for path in sorted(there.glob("test_*.py"))}
    probes = [name for name in arguments[:first] if name not in suites]
    paths = [path for name, path in suites.items() if name in arguments[:first] or (name == "probes" and probes)]
    for variable in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        os.environ.pop(variable, None)
    command = ["-c", str(CONFIGURATION_FILE), f"--rootdir={here}", f"--confcutdir={there}"]
    command += [f"--select-probe={name}" for name in probes]
    if not any(word.startswith("--hypothesis") for word in arguments):  # at its end it imports all of it
        command += ["-p", "no:hypothesispytest"]
    sys.exit(pytest.main([*map(str, paths or [there]), *command, *arguments[first:]]))
