"""Errors and exit codes of the commands, and options that several commands take."""

import argparse
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

import dps
from dps.errors import DpsError, UsageError
from dps.options import Options, flag

if TYPE_CHECKING:
    from dps.probes import Probe
    from dps.session.configuration import RunConfiguration

Command = TypeVar("Command", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)

INTERRUPTED, USAGE_ERROR = 2, 4
"""Exit codes, as of pytest."""


class CommandGroup(click.Group):
    """Commands whose expected errors end in one line and with the exit codes of the suites."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command, and exit with its code."""
        try:
            super().main(*args, **{**extra, "standalone_mode": False})
        except click.Abort:
            click.echo("interrupted", err=True)
            sys.exit(INTERRUPTED)
        except click.ClickException as error:
            error.show()
        except DpsError as error:
            click.ClickException(str(error)).show()
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            click.ClickException(f"{where}{error.strerror or error}.").show()
        else:
            sys.exit(0)
        sys.exit(USAGE_ERROR)


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(dps.__version__, prog_name="dps")
def main() -> None:
    """Test an image similarity metric for the known flaws of such metrics.

    \b
        dps weights install                    # once
        dps test --metric sort                 # which flaws does this metric have?
        dps explain translate/face-005 --metric spatial --out explained

    Exit codes: 0 nothing regressed, 1 something did, 2 interrupted, 4 usage error.
    """  # noqa: D301 - \b keeps the lines below as they are


def from_options(*names: str, **changes: Any) -> Callable[[Command], Command]:
    """Return a decorator that adds the options of fields of `Options`, with some settings changed."""

    def add(command: Command) -> Command:
        for name in reversed(names):
            option = next(option for option in fields(Options) if option.name == name)
            action, read = option.metadata.get("action"), option.metadata.get("type")
            settings: dict[str, Any] = {
                "help": option.metadata["help"],
                "metavar": option.metadata.get("metavar"),
                "multiple": action == "append",
                "is_flag": action == "store_true",
                "default": option.default,
                "type": _reader(read) if read else None,
                **changes,
            }
            if settings.get("required"):
                del settings["default"]  # any default, also None, is a value
            command = click.option(flag(name), name, **settings)(command)
        return command

    return add


def _reader(read: Callable[[str], Any]) -> Callable[[str], Any]:
    def read_value(text: str) -> Any:
        try:
            return read(text)
        except argparse.ArgumentTypeError as error:
            raise click.BadParameter(str(error)) from None

    return read_value


PROBES = from_options(
    "probes", help="A probe file (YAML), or a folder of them, instead of the built-in probes. Repeatable."
)
CASES = from_options("cases")
SIZE = from_options("size", help="Draw scenes at N x N pixels, a multiple of 32.")
IMAGES = from_options("images", help="A folder of photographs in place of the contents of all probes that have any.")
WEIGHTS = from_options("weights")


def variant(command: Command) -> Command:
    """Add the options that select one variant."""
    one = {"multiple": False, "show_default": True}
    for add in (
        from_options("reduction", "device", "weights"),
        from_options("normalization", default="none", help="none, or unit: channels divided by their L2 norm.", **one),
        from_options(
            "network",
            default=None,
            multiple=False,
            help="Any listed by dps networks. Default: alexnet, or the network of a tuned metric's file.",
        ),
        from_options("metric", default="sort", help="Any listed by dps metrics, or a sum of them.", **one),
    ):
        command = add(command)
    return command


def configured(metric: str, network: str | None, normalization: str, **options: Any) -> "RunConfiguration":
    """Return the configuration of one variant, by default on AlexNet unless its metric fixes the network."""
    from dps.session.configuring import configure_measurement

    names = [network] if network else [] if metric.endswith((".yaml", ".yml")) else ["alexnet"]
    configuration = configure_measurement(
        Options(metric=[metric], network=names, normalization=[normalization], **options)
    )
    variant, *others = configuration.variants
    if others:
        raise UsageError(
            f"{len(others) + 1} variants, {variant} and so on; name one metric, one network and one normalization."
        )
    return configuration


def load(
    paths: tuple[str, ...], cases: int | None = None, size: int | None = None, images: str | None = None
) -> "list[Probe]":
    """Return the probes selected by options, by default the built-in ones."""
    from dps import photographs, probes

    photos = photographs.in_folder(Path(images)) if images else []
    return probes.load([Path(path) for path in paths] or [probes.BUILT_IN], cases, size, photos)


def command_line() -> str:
    """Return the command in the syntax of a shell."""
    return shlex.join(["dps", *sys.argv[1:]])


def echo_wrapped(sentences: Iterable[str]) -> None:
    """Print each sentence, wrapped to the width of the terminal."""
    from dps.report import tables

    for sentence in sentences:
        click.echo("\n".join(tables.wrapped(sentence, shutil.get_terminal_size().columns)))
