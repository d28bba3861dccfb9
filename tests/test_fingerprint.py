"""Fingerprints: everything that a metric can reach changes it, and what cannot be followed has none."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dps.fingerprint import NoFingerprintError, fingerprint
from dps.metrics import Metric, named

HEADER = """
import abc, collections, copy, ctypes, dataclasses, enum, functools, itertools, json, math, os, pickle, random, re
import sys, threading, time, types, weakref
from pathlib import Path
import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
"""


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Write a metric's file and its helpers, load it as ``--metric`` does, and return its fingerprint."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    helpers: dict[str, str] = {}

    def load(source: str, **files: str) -> str:
        helpers.update(files)
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/")
            path.parent.mkdir(exist_ok=True)
            Path(f"{path}.py").write_text(text, encoding="utf-8")
        for name in [name for name in sys.modules if name.partition(".")[0] in {f.partition("__")[0] for f in helpers}]:
            del sys.modules[name]
        (tmp_path / "mine.py").write_text(HEADER + source, encoding="utf-8")
        metric = named(f"{tmp_path / 'mine.py'}:distance")
        assert isinstance(metric, Metric)
        return fingerprint(metric.distance)

    yield load
    for name in helpers:
        sys.modules.pop(name.replace("__", "."), None)


def body(expression: str) -> str:
    return f"\ndef distance(a, b):\n    return (a - b).abs().mean((1, 2, 3)) * ({expression})\n"


# --------------------------------------------------------------------------------------- what counts

STATE = {
    "a plain global": "scale = {}" + body("scale"),
    "a tensor": "scale = torch.tensor({}.0)" + body("scale"),
    "a checkpoint": "scale = torch.load('head.pth', weights_only=True)" + body("scale['scale']"),
    "an array": "scale = np.array([{}])" + body("float(scale[0])"),
    "a nested container": "scale = [{{'a': ({},)}}]" + body("scale[0]['a'][0]"),
    "a slice of a shared tensor": "scale = torch.arange(9)[{}:]" + body("scale[0]"),
    "a default": "def distance(a, b, scale={}):\n    return (a - b).abs().mean((1, 2, 3)) * scale\n",
    "a keyword's default": "def distance(a, b, *, scale={}):\n    return (a - b).abs().mean((1, 2, 3)) * scale\n",
    "a closure": "def make(scale):"
    + body("scale").replace("\n", "\n    ")
    + "\n    return distance\ndistance = make({})\n",
    "a partial": "def full(a, b, scale):\n    return (a - b).mean((1, 2, 3)) * scale\n"
    "distance = functools.partial(full, scale={})\n",
    "an attribute": "class Metric:\n    def __init__(self, scale):\n        self.scale = scale\n"
    "    def __call__(self, a, b):\n        return (a - b).mean((1, 2, 3)) * self.scale\ndistance = Metric({})\n",
    "a slot": "class Metric:\n    __slots__ = ('scale',)\n    def __call__(self, a, b):\n"
    "        return (a - b).mean((1, 2, 3)) * self.scale\ndistance = Metric()\ndistance.scale = {}\n",
    "a bound method": "class Metric:\n    def __init__(self, scale):\n        self.scale = scale\n"
    "    def run(self, a, b):\n        return (a - b).mean((1, 2, 3)) * self.scale\ndistance = Metric({}).run\n",
    "a class attribute": "class Metric:\n    scale = {}\n    def __call__(self, a, b):\n"
    "        return (a - b).mean((1, 2, 3)) * self.scale\ndistance = Metric()\n",
    "an inherited class attribute": "class Base:\n    scale = {}\nclass Metric(Base):\n    def __call__(self, a, b):\n"
    "        return (a - b).mean((1, 2, 3)) * self.scale\ndistance = Metric()\n",
    "a property": "scale = {}\nclass Metric:\n    @property\n    def factor(self):\n        return scale\n"
    "    def __call__(self, a, b):\n        return (a - b).mean((1, 2, 3)) * self.factor\ndistance = Metric()\n",
    "a frozen dataclass with slots": "@dataclasses.dataclass(frozen=True, slots=True)\nclass Settings:\n"
    "    scale: float\nsettings = Settings({})" + body("settings.scale"),
    "an enumeration": "class Scale(enum.Enum):\n    A = {}" + body("Scale.A.value"),
    "a named tuple": "Settings = collections.namedtuple('Settings', 'scale')\nsettings = Settings({})"
    + body("settings[0]"),
    "a function of a function": "scale = {}\ndef inner():\n    return scale\ndef outer():\n    return inner()"
    + body("outer()"),
    "a lambda in a dictionary": "scale = {}\ntable = {{'a': lambda: scale}}" + body("table['a']()"),
    "a function in a function": "scale = {}" + body("(lambda: scale)()"),
    "a decorated function": "scale = {}\n@torch.no_grad()\ndef inner():\n    return scale" + body("inner()"),
    "a cached function": "scale = {}\n@functools.lru_cache\ndef inner():\n    return scale" + body("inner()"),
    "a cycle": "scale = [{}]\nscale.append(scale)" + body("scale[1][0]"),
    "a parameter": "class Metric(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    "        self.scale = nn.Parameter(torch.tensor({}.0))\n    def forward(self, a, b):\n"
    "        return (a - b).mean((1, 2, 3)) * self.scale\ndistance = Metric()\n",
    "a buffer that is not saved": "class Metric(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    "        self.register_buffer('scale', torch.tensor({}.0), persistent=False)\n    def forward(self, a, b):\n"
    "        return (a - b).mean((1, 2, 3)) * self.scale\ndistance = Metric()\n",
    "an attribute of a module": "net = nn.Flatten()\nnet.scale = {}" + body("net.scale"),
    "a module's mode": "net = nn.BatchNorm2d(3).train({} == 1)" + body("net(a).mean()"),
    "a hook": "net = nn.Flatten()\nscale = {}\nnet._forward_hooks[0] = lambda m, i, o: o * scale"
    + body("net(a).mean()"),
    "an attribute of a package": "torch.my_scale = {}" + body("torch.my_scale"),
    "a patched function of a package": "scale = {}\nF.my_scale = lambda: scale" + body("F.my_scale()"),
    "what getattr finds": "class Settings:\n    scale = {}\n" + body("getattr(Settings, 'sc' + 'ale')"),
    "the code alone": body("{}"),
    "what it reads when it is made": "class distance(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    "        self.read_weights(Path('head.pth'))\n    def read_weights(self, path):\n"
    "        self.scale = nn.Parameter(torch.load(path)['scale'])\n    def forward(self, a, b):\n"
    "        return (a - b).mean((1, 2, 3)) * self.scale\n",
}


@pytest.mark.parametrize("what", STATE)
def test_everything_that_a_metric_reaches_counts(make: Callable[..., str], tmp_path: Path, what: str) -> None:
    found = []
    for scale in (1, 1, 2):
        torch.save({"scale": torch.tensor(float(scale))}, tmp_path / "head.pth")
        found.append(make(STATE[what].replace("{}", str(scale)).replace("{{", "{").replace("}}", "}")))
    assert found[0] == found[1] != found[2]


HELPERS = {
    "a name": ("from helper import scale", "scale()"),
    "a constant": ("from helper import SCALE", "SCALE"),
    "a module": ("import helper", "helper.scale()"),
    "a module's constant": ("import helper", "helper.SCALE"),
    "everything": ("from helper import *", "scale()"),
    "a module through another": ("import other", "other.helper.scale()"),
    "a function through another": ("from other import twice", "twice()"),
    "a package": ("from package.module import scale", "scale()"),
    "a package by attribute": ("import package.module", "package.module.scale()"),
    "a class": ("from helper import Scale", "Scale().value()"),
    "a base class": ("import helper\nclass Mine(helper.Scale):\n    pass", "Mine().value()"),
    "all of it": ("from helper import distance", ""),
    "a comparison of a term": ("import helper\nTABLE = {'a': helper.scale}", "TABLE['a']()"),
}


@pytest.mark.parametrize("what", HELPERS)
@pytest.mark.parametrize("when", ["at the top", "when it is called"])
def test_a_helper_that_is_edited_counts(make: Callable[..., str], what: str, when: str) -> None:
    """Issue 15: also a helper of a helper."""
    line, expression = HELPERS[what]
    if when == "when it is called" and ("*" in line or "\n" in line or not expression):
        pytest.skip("not at that place")
    other = "import helper\ndef twice():\n    return 2 * helper.scale()\n"

    def load(scale: int) -> str:
        helper = (
            f"import os\nSCALE = {scale}\ndef scale():\n    return SCALE\ndef root():\n    return os.environ['A']\n"
            f"class Scale:\n    def value(self):\n        return scale()\n{body('SCALE')}"
        )
        source = f"{line}\n{body(expression) if expression else ''}"
        if when == "when it is called":
            source = f"{line}\ndef distance(a, b):\n    {line}\n    return (a - b).mean((1, 2, 3)) * {expression}\n"
        return make(source, helper=helper, other=other, package____init__="", package__module=helper)

    assert load(1) == load(1) != load(2)


def test_two_metrics_of_one_file_have_different_fingerprints(make: Callable[..., str], tmp_path: Path) -> None:
    found = make(body("1") + body("2").replace("distance", "other"))
    other = named(f"{tmp_path / 'mine.py'}:other")
    assert isinstance(other, Metric)
    assert fingerprint(other.distance) != found


def test_a_key_is_the_same_in_another_process_and_place(make: Callable[..., str], tmp_path: Path) -> None:
    source = STATE["a frozen dataclass with slots"].replace("{}", "1") + "\nTAGS = {'a', 'b', 'c'}" + body("len(TAGS)")
    expected = make(source)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.py").write_text((tmp_path / "mine.py").read_text(), encoding="utf-8")
    code = (
        "from dps.fingerprint import fingerprint\nfrom dps.metrics import named\n"
        "print(fingerprint(named('elsewhere/mine.py:distance').distance))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path,
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )  # fmt: skip
    assert done.stdout.strip() == expected


# -------------------------------------------------------------------------------------- what has none

REFUSED = {
    "open": (body("float(open('x').read())"), "distance uses open"),
    "numpy.load": (body("float(np.load('x.npy'))"), "distance uses load"),
    "a function under another name": ("from torch import load as fetch" + body("fetch('x')"), "fetch uses torch.seria"),
    "a path": ("HERE = Path('.')" + body("len(HERE.name)"), "HERE is a pathlib.PosixPath, whose state cannot be seen"),
    "a file's text": (body("float(Path('x').read_text())"), "distance uses read_text"),
    "an open file": ("file = sys.__stderr__" + body("file.errors"), "file is a _io.TextIOWrapper"),
    "the environment": (body("float(os.environ['X'])"), "distance uses environ"),
    "the environment by another name": ("from os import environ as E" + body("E['X']"), "E uses os"),
    "the working directory": ("from os import getcwd as where" + body("len(where())"), "where uses posix.getcwd"),
    "the command line": (body("len(sys.argv)"), "distance uses argv"),
    "the clock": (body("time.time()"), "distance uses time"),
    "random numbers": (body("torch.rand(1)"), "distance uses rand"),
    "random numbers of Python": ("draw = random.random" + body("draw()"), "draw is a random.Random"),
    "a generator of random numbers": ("rng = np.random.default_rng(0)" + body("rng"), "distance uses rng"),
    "a state of random numbers": ("state = torch.Generator()" + body("state.device"), "state is a torch._C.Generator"),
    "a counter": ("count = itertools.count()" + body("next(count)"), "count is a itertools.count"),
    "a generator": ("steps = (i for i in range(9))" + body("next(steps)"), "steps is a builtins.generator"),
    "a global that is assigned": (
        "calls = 0\ndef distance(a, b):\n    global calls\n    calls += 1\n    return (a - b).mean((1, 2, 3))\n",
        "distance assigns the global calls",
    ),
    "a lazily assigned global": (
        "net = None\ndef load_it():\n    global net\n    net = 1\n    return net" + body("load_it()"), "uses load_it",
    ),
    "attributes by a rule": (
        "class Rule:\n    def __getattr__(self, name):\n        return 1\nsettings = Rule()" + body("settings.a"),
        "settings has class Rule, which finds attributes by a rule of its own",
    ),
    "a thread's data": ("data = threading.local()\ndata.a = 1" + body("data.a"), "data is a _thread._local"),
    "a lock": ("lock = threading.Lock()" + body("lock.locked()"), "lock is a _thread.lock"),
    "a reference": ("net = nn.Flatten()\nref = weakref.ref(net)" + body("ref().start_dim"), "ref is a weakref"),
    "foreign code": ("libc = ctypes.CDLL(None)" + body("libc.abs(-1)"), "libc"),
    "code from text": (body("eval('1')"), "distance uses eval"),
    "names from text": (body("globals()['x']"), "distance uses globals"),
    "a name from text": (body("getattr(torch, 'load')"), "distance uses load"),
    "an import from text": (body("__import__('helper').x"), "distance uses __import__"),
    "an import in the call": ("def distance(a, b):\n    import nowhere\n    return nowhere.x\n", "imports nowhere"),
    "a network that is loaded when it is called": (
        body("torchvision.models.alexnet(weights='DEFAULT')(a).mean()"), "models uses torchvision.models",
    ),
    "a metric that is made when it is called": (
        "import lpips" + body("lpips.LPIPS()(a, b).mean()"), "LPIPS may make a LPIPS when it is called",
    ),
    "a class of one's own that is made when it is called": (
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.state = torch.load('x')\n" + body("Net().state"), "Net.__init__.__init__ uses load",
    ),
    "a sparse tensor": ("scale = torch.eye(2).to_sparse()" + body("scale.sum()"), "scale is a tensor with layout"),
    "a set of objects": ("nets = {nn.Flatten()}" + body("len(nets)"), "nets is a set of other things"),
    "a custom operator": (body("torch.ops.mine.scale(a)"), "distance uses ops"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_followed_has_no_fingerprint_and_says_why(make: Callable[..., str], what: str) -> None:
    source, reason = REFUSED[what]
    with pytest.raises(NoFingerprintError, match=re.escape(reason)) as caught:
        make(source)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:.*is deprecated:FutureWarning")
def test_torchscript_has_no_fingerprint() -> None:
    class Module(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return a - b

    one = torch.ones(1)
    for scripted in (torch.jit.trace(Module(), (one, one)), torch.jit.trace(lambda a, b: a - b, (one, one))):  # type: ignore[no-untyped-call]
        with pytest.raises(NoFingerprintError, match="whose state cannot be seen"):
            fingerprint(scripted)
