"""``dps test``: the suites from any folder where dps is installed."""

import argparse
import difflib
import itertools
import os
import sys
from dataclasses import fields
from pathlib import Path
from typing import NoReturn

import click

from dps import locations, options
from dps.cli.shared import main

ABOUT = """\
Run the suites: test a metric for known flaws.

Words before the first option are suites (attacks, invariants, judgments, probes, same,
thresholds, throughput) or probes (rotate, translate, ...); the default is all suites except
attacks, thresholds and throughput. Everything from the first option on is passed to pytest;
its own options work, too: -n 2, -k, -v, -x.
"""

EXAMPLES = """\
examples:
  dps test --metric sort                             probes, and invariants of all metrics
  dps test translate rotate --network alexnet        two probes on one network
  dps test --metric my_variant.py:quantiles --against sort
  dps test probes --metric my_metric.py:distance --gate strict
  dps test same --metric my_port.py:lpips --same-as lpips:alex
  dps test thresholds --network alexnet              highest severities that a metric withstands
  dps test attacks --metric sort --network alexnet
  dps test judgments --judgments kadid10k/ --metric lpips:alex

exit codes: 0 nothing regressed, 1 something did, 2 interrupted, 4 usage error,
5 nothing was selected
"""


class OptionParser(argparse.ArgumentParser):
    """Reports the first fault in one line."""

    def error(self, message: str) -> NoReturn:
        """Raise a click.UsageError."""
        raise click.UsageError(message)


@main.command(name="test", context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[SUITE | PROBE]... [OPTION]...")
def test_(arguments: tuple[str, ...]) -> None:
    """Run the suites on a metric; dps test --help shows the options."""
    usage, layout = "dps test [SUITE | PROBE]... [OPTION]...", argparse.RawDescriptionHelpFormatter
    parser = OptionParser(
        "dps test", usage, ABOUT, EXAMPLES, formatter_class=layout, add_help=False, allow_abbrev=False
    )
    options.add_to(parser.add_argument_group("options"))
    if {"-h", "--help"} & set(arguments):
        click.echo(parser.format_help(), nl=False)
        return
    flags = [options.flag(option.name) for option in fields(options.Options)]
    for name in (word.partition("=")[0] for word in arguments if word.startswith("--")):
        if name not in flags and (similar := difflib.get_close_matches(name, flags, n=1, cutoff=0.8)):
            raise click.NoSuchOption(name, possibilities=similar)
    parser.parse_known_args([word for word in arguments if word != "--"])  # before pytest reports faults in four lines
    import pytest

    names = list(itertools.takewhile(lambda word: not word.startswith("-"), arguments))
    folder = locations.data("suites")
    suites = {path.stem.removeprefix("test_"): path for path in sorted(folder.glob("test_*.py"))}
    probes = [name for name in names if name not in suites]
    paths = [path for name, path in suites.items() if name in names or (name == "probes" and probes)]
    for variable in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):  # the user's project must not change the run
        os.environ.pop(variable, None)
    command = ["-c", str(locations.PACKAGE / "pytest.ini"), f"--rootdir={Path.cwd()}", f"--confcutdir={folder}"]
    command += [f"--select-probe={name}" for name in probes]
    if not any(word.startswith("--hypothesis") for word in arguments):  # its plugin imports all of Hypothesis
        command += ["-p", "no:hypothesispytest"]
    sys.exit(pytest.main([*map(str, paths or [folder]), *command, *arguments[len(names) :]]))
