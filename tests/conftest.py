"""Shared by the tests: the networks with their weights, loaded once, and no way to the network outside."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dps import networks
from dps.judgments import synthetic
from dps.judgments.dataset import Dataset
from dps.networks import Extractor
from tests import bapps_folders

TRIPLETS, PAIRS = 3, 2  # of each subset of the small stand-in for BAPPS


@pytest.fixture(scope="session", autouse=True)
def this_machine_alone() -> Iterator[None]:
    """No test connects to another machine."""
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test wanted to connect to {address}")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect_here)
        yield


@pytest.fixture(scope="session")
def small() -> Dataset:
    return synthetic.synthesize(TRIPLETS, PAIRS)


@pytest.fixture(scope="session")
def written(small: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small stand-in as a folder; not to be changed."""
    folder = tmp_path_factory.mktemp("bapps") / "small"
    bapps_folders.write(small, folder)
    return folder


@pytest.fixture(scope="session")
def alexnet() -> Extractor:
    return Extractor(networks.named("alexnet"))


@pytest.fixture(scope="session")
def vgg16() -> Extractor:
    return Extractor(networks.named("vgg16"))


@pytest.fixture(scope="session")
def squeezenet() -> Extractor:
    return Extractor(networks.named("squeezenet"))


@pytest.fixture(scope="session")
def efficientnet_lite0() -> Extractor:
    return Extractor(networks.named("efficientnet_lite0"))
