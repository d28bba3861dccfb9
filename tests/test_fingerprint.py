"""Fingerprints of users' code: whatever changes what it returns, or its source, changes them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
import torch

from dps import store
from dps.fingerprint import NoFingerprintError
from dps.metrics import named
from tests.refusals import refusal

HEADER = """
import functools, os, time
from pathlib import Path
import numpy as np
import torch
from torch import nn
"""

Make = Callable[..., str]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Write a metric's file and its helpers, load it as ``--metric`` does, and return its definition."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    helpers: set[str] = set()

    def forget() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] in helpers]:
            del sys.modules[name]

    def load(source: str, files: Mapping[str, str] = MappingProxyType({})) -> str:
        helpers.update(name.partition("/")[0].removesuffix(".py") for name in files)
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        forget()
        (tmp_path / "mine.py").write_text(HEADER + source, encoding="utf-8")
        return store.definition(named(f"{tmp_path / 'mine.py'}:distance"))

    yield load
    forget()


def body(expression: str) -> str:
    return f"\ndef distance(a, b):\n    return (a - b).abs().mean((1, 2, 3)) * ({expression})\n"


CLASS = "class Metric:\n    def __init__(self, scale):\n        self.scale = scale\n    def __call__(self, a, b):\n"
CLASS += "        return (a - b).mean((1, 2, 3)) * self.scale\n"

OUTSIDE = {
    "a checkpoint": "scale = torch.load('scale.pth')" + body("scale"),
    "a checkpoint that is loaded at the first call": "@functools.cache\ndef net():\n    return torch.load('scale.pth')"
    + body("net()"),
    "a file that is read in each call": body("torch.load('scale.pth').item()"),
    "the environment": body("float(os.environ['SCALE'])"),
    "an attribute": CLASS + "distance = Metric(torch.load('scale.pth'))\n",
    "a partial": CLASS + "def full(a, b, scale):\n    return Metric(scale)(a, b)\n"
    "distance = functools.partial(full, scale=torch.load('scale.pth'))\n",
    "a comparison": "scale = torch.load('scale.pth')\ndef distance(x):\n    return scale * x.flatten(2)\n",
}


@pytest.mark.parametrize("what", OUTSIDE)
def test_what_changes_the_answer_counts_where_the_source_is_the_same(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    definitions = []
    for scale in (1.0, 1.0, 1.0001):
        torch.save(torch.tensor(scale), tmp_path / "scale.pth")
        monkeypatch.setenv("SCALE", str(scale))
        definitions.append(make(OUTSIDE[what]))
    assert definitions[0] == definitions[1] != definitions[2]


HELPERS = {
    "a name": ("from helper import scale", "scale()"),
    "a module": ("import helper", "helper.scale()"),
    "a module through another": ("import other", "other.helper.scale()"),
    "a package": ("from package.module import scale", "scale()"),
    "a package by attribute": ("import package.module", "package.module.scale()"),
    "a module of a package": ("from package import module", "module.scale()"),
    "a relative import": ("from package.relative import scale", "scale()"),
}


@pytest.mark.parametrize("what", HELPERS)
@pytest.mark.parametrize("indent", ["", "    "], ids=["at the top", "when it is called"])
def test_source_counts_where_the_answer_is_the_same(make: Make, what: str, indent: str) -> None:
    """Also that of a helper of a helper, as for images that the trial does not have."""
    line, expression = HELPERS[what]

    def load(limit: int) -> str:
        helper = f"def scale():\n    return 1\nLIMIT = {limit}\n"
        source = f"def distance(a, b):\n    {line}\n{body(expression).partition(':')[2]}"
        files = {"helper.py": helper, "other.py": "import helper\n", "package/__init__.py": ""}
        files |= {"package/module.py": helper, "package/relative.py": "from .module import scale\n"}
        return make(source if indent else f"{line}\n{body(expression)}", files)

    assert load(1) == load(1) != load(2)
    assert make(body("1")) != make(body("1.0"))


def test_a_definition_is_the_same_in_another_process_and_place(make: Make, tmp_path: Path) -> None:
    expected = make("import helper\nTAGS = {'a', 'b', 'c'}" + body("len(TAGS)"), {"helper.py": "SCALE = 1\n"})
    (tmp_path / "elsewhere").mkdir()
    for name in ("mine.py", "helper.py"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    code = (
        "import torch\nfrom dps import store\nfrom dps.metrics import named\ntorch.set_num_threads(3)\n"
        "print(store.definition(named('elsewhere/mine.py:distance')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path,
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )  # fmt: skip
    assert done.stdout.strip() == expected


def test_what_cannot_be_imported_is_no_part_of_the_source(make: Make) -> None:
    unused = "\ndef unused():\n    import broken.part, nowhere.at_all, PIL.Nothing\n    from ..beyond import it\n"
    helpers = {"broken/__init__.py": "raise SystemExit(1)\n", "broken/part.py": ""}
    assert make(body("1") + unused, helpers) == make(body("1") + unused, helpers)
    assert named("operator:sub").name == "operator:sub"  # of a module without a file


AGAIN = "it returns different numbers when it is called again"

REFUSED = {
    "random numbers": (body("torch.rand(1)"), AGAIN),
    "random numbers of NumPy": (body("np.random.rand()"), AGAIN),
    "a generator": ("rng = np.random.default_rng(0)" + body("rng.random()"), AGAIN),
    "the clock": (body("(time.perf_counter_ns() % 1000)"), AGAIN),
    "a counter": (
        "calls = 0\ndef distance(a, b):\n    global calls\n    calls += 1\n    return calls * (a - b).sum((1, 2, 3))\n",
        AGAIN,
    ),
    "an error": (
        body("float(Path('x').read_text())"),
        "it fails on images of noise (FileNotFoundError: [Errno 2] No such file or directory: 'x')",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_return_the_same_has_no_definition(make: Make, what: str) -> None:
    source, reason = REFUSED[what]
    assert refusal(lambda: make(source), NoFingerprintError) == reason
