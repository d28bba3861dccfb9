"""How the parts depend on each other: imports go down one written list, and each outside dependency has one door."""

import ast
import functools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import dps

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "dps").rglob("*.py"))


def module_of(path: Path) -> str:
    """``dps.probes.loading`` of its file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imports(path: Path, *, at_once: bool = False) -> list[str]:
    """All that a file imports, wherever in it, or at once: ``dps.images`` also for ``from dps import images``."""
    file = parsed(path)
    found = []
    for node in file.body if at_once else ast.walk(file):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            assert node.module is not None
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [name if name in MODULES else node.module for name in names]
    return found


MODULES = {module_of(path) for path in FILES}


def part_of(module: str) -> str:
    """``probes`` of ``dps.probes.loading``."""
    return module.split(".")[1]


def written_list() -> list[set[str]]:
    """The list in the docstring of `dps`, top first; parts on one line import each other not at all."""
    assert dps.__doc__ is not None
    _, _, listed = dps.__doc__.partition("Imports go down this list")
    return [set(re.split(r",\s*", line.strip())) for line in listed.splitlines() if line.startswith("    ")]


def test_the_written_list_has_every_part_once() -> None:
    parts = [part for line in written_list() for part in sorted(line)]
    found = {part_of(module_of(path)) for path in FILES if module_of(path) not in ("dps", "dps.__main__")}
    assert sorted(parts) == sorted(found)


def test_imports_go_down_the_written_list() -> None:
    place = {part: number for number, line in enumerate(written_list()) for part in line}
    upwards = [
        f"{module_of(path)} imports {imported}"
        for path in FILES
        if module_of(path) not in ("dps", "dps.__main__")
        for imported in imports(path)
        if imported.startswith("dps.")
        and part_of(imported) != part_of(module_of(path))
        and not place[part_of(module_of(path))] < place[part_of(imported)]
    ]
    assert not upwards


def test_imports_inside_a_part_make_no_circle() -> None:
    below = {
        module_of(path): {other for other in imports(path) if other.startswith("dps.") and other != module_of(path)}
        for path in FILES
    }
    done: set[str] = set()

    def walk(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join([*way, module])
        if module not in done:
            for other in sorted(below.get(module, ())):
                walk(other, (*way, module))
            done.add(module)

    for module in below:
        walk(module, ())


DOORS = {
    "yaml": {"dps.yaml_files", "dps.report.published"},
    "pydantic": {
        "dps.baseline",
        "dps.probes.declarations",
        "dps.metrics.tuned_files",
        "dps.yaml_files",
        "dps.scenes.parameters",
        "dps.scenes.composition",
        "dps.distortions.images",
        "dps.distortions.scenes",
        "dps.judgments.bapps",
    },
    "torchvision": {"dps.networks.built_in", "dps.networks.libraries"},
    "jinja2": {"dps.report.page"},
    "matplotlib": {f"dps.report.{name}" for name in ("figure_style", "figures", "explain_page", "tuning_page")},
    "PIL": {"dps.images", "dps.report.sheets", "dps.judgments.shard_files"},
    "click": {
        f"dps.cli.{name}"
        for name in (
            "inspection",
            "paper",
            "people",
            "probe_files",
            "reporting",
            "resources",
            "shared",
            "testing",
            "tuning",
        )
    },
    "safetensors": {"dps.weights"},
    "pickle": {"dps.weights"},
    "hypothesis": {"dps.image_pairs", "dps.invariants"},
    "lpips": set[str](),
    "pytest": {"dps.plugin", "dps.recorder", "dps.cli.testing"},
    "_pytest": set[str](),
    "xdist": {"dps.plugin"},
}


@pytest.mark.parametrize("outside", DOORS)
def test_each_outside_dependency_has_its_doors(outside: str) -> None:
    through = {module_of(path) for path in FILES if outside in {name.split(".")[0] for name in imports(path)}}
    assert through <= DOORS[outside]


@pytest.mark.parametrize("slow", ["scipy", "matplotlib", "torchvision", "jinja2", "hypothesis"])
def test_what_takes_long_to_import_is_imported_where_it_is_used(slow: str) -> None:
    files = [*FILES, ROOT / "conftest.py"]
    assert not [path for path in files if slow in {name.split(".")[0] for name in imports(path, at_once=True)}]


def test_what_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[^a-z0-9-]", each, maxsplit=1)[0] for each in project["dependencies"]}
    named = {
        "PIL": "pillow",
        "yaml": "pyyaml",
        "xdist": "pytest-xdist",
    }
    files = [*FILES, ROOT / "conftest.py", *(ROOT / "suites").glob("*.py")]
    outside = {name.split(".")[0] for path in files for name in imports(path)} - sys.stdlib_module_names - {"dps"}
    assert {named.get(name, name) for name in outside} <= declared


def test_nothing_is_drawn_by_streams_that_numpy_may_change() -> None:
    """`Generator.random` and `integers` alone; Python's own `random` not at all."""
    for path in FILES:
        if module_of(path) == "dps.user_code.guest":  # it keeps users' random numbers apart from ours, and draws none
            continue
        assert "random" not in set(imports(path)), path
        text = path.read_text(encoding="utf-8")
        drawn = set(re.findall(r"_generator\.(\w+)", text)) | set(re.findall(r"np\.random\.(\w+)", text))
        assert drawn <= {"random", "integers", "default_rng"}, path


def test_the_options_import_neither_torch_nor_pytest() -> None:
    code = "import sys, dps.options; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(done.stdout.split())
    assert "dps" in loaded
    assert not loaded & {"torch", "torchvision", "pytest", "_pytest", "numpy", "yaml", "pydantic", "PIL"}


def test_public_names_are_there() -> None:
    assert dps.__all__ == sorted(dps.__all__)
    for name in dps.__all__:
        assert getattr(dps, name) is not None
    with pytest.raises(AttributeError, match=r"^module 'dps' has no attribute 'nothing'$"):
        dps.nothing  # noqa: B018


def test_the_version_is_written_once_more_and_the_same() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project.get("version", dps.__version__) == dps.__version__


def test_every_file_says_what_it_is_for() -> None:
    files = [*FILES, ROOT / "conftest.py", *(ROOT / "suites").glob("*.py"), *(ROOT / "tests").glob("*.py")]
    for path in files:
        assert ast.get_docstring(parsed(path)), path
