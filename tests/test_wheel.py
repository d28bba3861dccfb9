"""A wheel, installed into an environment of its own, runs the README's workflow from a folder with nothing of dps."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dps.photographs import Photograph

ROOT = Path(__file__).resolve().parents[1]
VARIANT = """
def quantiles(features):
    at = features.new_tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    return features.flatten(2).quantile(at, dim=2).permute(1, 2, 0)
"""
SMALL = ["--network", "alexnet", "--cases", "1", "--select-probe", "translate"]


def run(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTEST_ADDOPTS": "--no-such-option", "COLUMNS": "80"}
    environment = {name: value for name, value in environment.items() if not name.startswith("PYTEST_XDIST")}
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that holds the wheel; PyTorch and the rest are those of this one."""
    place = tmp_path_factory.mktemp("wheel")
    source = place / "source"
    for name in ("dps", "suites", "probes", "reports"):
        ignored = shutil.ignore_patterns("__pycache__", "latest", "pictures", "sheets")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    options = ["--quiet", "--no-deps", "--no-build-isolation"]
    assert run(*pip, "wheel", *options, "--wheel-dir", place, source, folder=place).returncode == 0
    environment = place / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    outer = [path for path in sys.path if path.endswith("site-packages")]  # their .pth files are not read from here
    (packages / "outer.pth").write_text("\n".join(outer), encoding="utf-8")
    (wheel,) = place.glob("dps-*.whl")
    done = run(*pip, "--python", environment / "bin" / "python", "install", *options[:2], wheel, folder=place)
    assert done.returncode == 0, done.stderr
    fetched = Photograph("chelsea.png").path().parent  # so that nothing has to be downloaded here
    shutil.copytree(fetched, environment / "share" / "dps" / "photographs")
    return environment / "bin"


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's project: a metric, and settings of pytest that would break every run that read them."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "my_variant.py").write_text(VARIANT, encoding="utf-8")
    (folder / "conftest.py").write_text("raise RuntimeError('of another project')\n", encoding="utf-8")
    (folder / "pyproject.toml").write_text(
        "[tool.pytest.ini_options]\naddopts = '--no-such-option'\n", encoding="utf-8"
    )
    return folder


def test_all_data_lie_in_the_environment(installed: Path, user: Path) -> None:
    code = "import dps; from dps import locations as l; print(dps.__file__, *map(l.data, l.IN_CHECKOUT), sep='\\n')"
    done = run(installed / "python", "-c", code, folder=user)
    package, *paths = [Path(line) for line in done.stdout.splitlines()]
    assert len(paths) == 5, done.stderr
    assert all(path.exists() and path.is_relative_to(installed.parent) for path in (package, *paths))
    packed, ours = ({path.name for path in folder.rglob("*.j2")} for folder in (package.parent, ROOT / "dps"))
    assert packed == ours


def test_the_workflow_runs_as_it_is_printed(installed: Path, user: Path) -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "gate-a-metric.yml").read_text(encoding="utf-8"))
    steps = [shlex.split(step["run"]) for step in workflow["jobs"]["dps"]["steps"] if "run" in step]
    install, *commands = steps
    assert install[:2] == ["pip", "install"]
    assert [command[:2] for command in commands] == [["dps", "weights"], ["dps", "test"], ["dps", "test"]]
    more: tuple[list[str], ...] = ([], [*SMALL, "--update-baseline", "my_baseline.json"], SMALL)
    for command, options in zip(commands, more, strict=True):
        done = run(installed / command[0], *command[1:], *options, folder=user)
        assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((user / "dps-report" / "results.json").read_text(encoding="utf-8"))
    assert {row["metric"] for row in results["cases"]} == {"my_variant.py:quantiles"}
    assert results["run"]["command"].startswith("dps test ")


def test_a_wrong_name_is_refused_with_the_nearest(installed: Path, user: Path) -> None:
    refused = run(installed / "dps", "test", "rotat", folder=user)
    assert refused.returncode == 4
    assert refused.stderr.startswith("ERROR: unknown suite or probe 'rotat'. Did you mean 'rotate'?")


def test_an_installed_copy_changes_no_other_run_of_pytest(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text("def test_mine():\n    pass\n", encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    command = [str(installed / "python"), "-m", "pytest", "--trace-config", "--help"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert "dps.plugin" not in done.stdout
    assert "--against" not in done.stdout
