"""``python -m dps`` is the ``dps`` command."""

from dps.cli import main

main(prog_name="dps")
