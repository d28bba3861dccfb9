"""What the commands share: how they end, and options that are declared once in `dps.options`."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

import dps
from dps.errors import DpsError
from dps.options import Options, flag

if TYPE_CHECKING:
    from dps.probes import Probe
    from dps.session.configuration import RunConfiguration

Command = TypeVar("Command", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)

WRONG_QUESTION, INTERRUPTED = 4, 2
"""Exit codes, the same as pytest's and the suites'."""


class Refused(click.ClickException):
    """The command cannot be run as it was typed."""

    exit_code = WRONG_QUESTION


class CommandGroup(click.Group):
    """Commands whose deliberate errors end in one line, with the exit codes of the suites."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command, and exit with its code."""
        try:
            super().main(*args, **{**extra, "standalone_mode": False})
        except click.exceptions.Exit as end:
            sys.exit(end.exit_code)
        except click.Abort:
            click.echo("interrupted", err=True)
            sys.exit(INTERRUPTED)
        except click.ClickException as error:
            error.show()
            sys.exit(WRONG_QUESTION)
        sys.exit(0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except DpsError as error:
            raise Refused(str(error)) from None
        except BrokenPipeError:
            raise  # whoever read the output has seen enough; click ends quietly
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise Refused(f"{where}{error.strerror or error}.") from None


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(dps.__version__, prog_name="dps")
def main() -> None:
    """Test an image-similarity metric for the flaws that such metrics are known to have.

    \b
        dps weights install                    # once
        dps test --metric sort                 # which flaws does this metric have?
        dps explain translate/face-005 --metric spatial --out explained

    Exit codes: 0 nothing regressed, 1 something did, 2 interrupted, 4 the question was wrong.
    """  # noqa: D301 - \b keeps the lines below as they are


def _reader(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return what argparse reads a value with, with errors of click."""

    def read_value(text: str) -> Any:
        try:
            return read(text)
        except argparse.ArgumentTypeError as error:
            raise click.BadParameter(str(error)) from None

    return read_value


def from_options(name: str, **changes: Any) -> Callable[[Command], Command]:
    """Return a click option that `dps.options` declares, with some settings changed."""
    option = next(option for option in fields(Options) if option.name == name)
    settings: dict[str, Any] = {"help": option.metadata["help"], "metavar": option.metadata["metavar"] or None}
    action = option.metadata.get("action")
    settings |= {"multiple": action == "append", "is_flag": action == "store_true", "default": option.default}
    if read := option.metadata.get("type"):
        settings["type"] = _reader(read)
    return click.option(flag(name), name, **{**settings, **changes})


PROBES = from_options(
    "probes", help="A probe file (YAML), or a folder of them, instead of the built-in probes. Repeatable."
)
CASES = from_options("cases")
SIZE = from_options("size", help="Draw scenes at N x N pixels, a multiple of 32.")
IMAGES = from_options("images", help="A folder of photographs in place of the contents of all probes that have any.")
WEIGHTS = from_options("weights")


def variant(command: Command) -> Command:
    """Add the options that name one variant."""
    one = {"multiple": False, "show_default": True}
    for option in (
        WEIGHTS,
        from_options("device"),
        from_options("reduction"),
        from_options("normalization", default="none", help="none, or unit: channels divided by their L2 norm.", **one),
        from_options(
            "network",
            default=None,
            multiple=False,
            help="Any that dps networks lists. Default: alexnet, or the one of a tuned metric's file.",
        ),
        from_options("metric", default="sort", help="Any that dps metrics lists, or a sum of them.", **one),
    ):
        command = option(command)
    return command


def configured(metric: str, network: str | None, normalization: str, **options: Any) -> "RunConfiguration":
    """Return the configuration of one variant, by default on AlexNet where its metric does not fix the network."""
    from dps.session.configuring import configure_measurement

    names = [network] if network else [] if metric.endswith((".yaml", ".yml")) else ["alexnet"]
    return configure_measurement(Options(metric=[metric], network=names, normalization=[normalization], **options))


def load(
    paths: tuple[str, ...], cases: int | None = None, size: int | None = None, images: str | None = None
) -> "list[Probe]":
    """Return the probes that options name, or the built-in ones."""
    from dps import photographs, probes

    chosen = photographs.in_folder(Path(images)) if images else []
    return probes.load([Path(path) for path in paths] or [probes.BUILT_IN], cases, size, chosen)
