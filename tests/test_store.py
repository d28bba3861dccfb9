"""Distances on disk: found again, never mixed up, never trusted when damaged."""

import logging
import multiprocessing
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import platformdirs
import pytest

from dps import metrics, networks, store
from dps.errors import StoreError
from dps.metrics import Metric, Variant, pixel_distance
from dps.networks import Network

CONTENT = "5ea857013cc9" * 5 + "0000"


def key_of(
    name: str = "sort", network: str | Network | None = "alexnet", normalization: str = "unit", **changed: Any
) -> str:
    network = networks.named(network) if isinstance(network, str) else network
    of_network = (network.name, normalization) if network else (None, None)
    variant = Variant(metric=metrics.named(name), network=of_network[0], normalization=of_network[1])
    options = {"network": network, "reduction": "sum", "preprocessing": "none", "device": "cpu", **changed}
    return store.key_of(variant, **options)


SORT = key_of()


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return store.prepare(tmp_path / "store")


def distances(seed: int = 0, count: int = 256) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.random.default_rng(seed).random((count, 2))


def the_file(folder: Path) -> Path:
    (path,) = folder.glob("??/*.npy")
    return path


# ------------------------------------------------------------------------------------- kept and found


def test_what_was_kept_is_found_to_the_last_bit(kept: Path) -> None:
    odd = np.array([[0.1, np.nan], [np.inf, 5e-324], [-0.0, 1 / 3]])
    store.keep(kept, SORT, CONTENT, odd)
    found = store.look_up(kept, SORT, CONTENT)
    assert found is not None
    assert (found.tobytes(), found.shape) == (odd.tobytes(), odd.shape)
    assert np.array_equal(np.load(the_file(kept)), odd, equal_nan=True)  # NumPy reads it, too

    assert store.look_up(kept, key_of("mean"), CONTENT) is None
    assert store.look_up(kept, SORT, "0" * 64) is None


def test_everything_that_distances_depend_on_changes_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [
        SORT,
        key_of("mean"),
        key_of("2*sort"),
        key_of("sort+mean"),
        key_of(network="vgg16"),
        key_of(network="alexnet@features.1"),
        key_of(network=replace(networks.named("alexnet"), weights=networks.named("vgg16").weights)),
        key_of(network=replace(networks.named("alexnet"), mean=(0.5, 0.5, 0.5))),
        key_of(reduction="mean"),
        key_of(preprocessing="upside down"),
        key_of(device="cuda"),
        key_of(normalization="none"),
        key_of("pixel", None),
    ]
    monkeypatch.setattr(store, "package_source", lambda *_parts: "another version of what measures")
    keys.append(key_of())
    assert len(set(keys)) == len(keys)


def test_what_distances_do_not_depend_on_does_not_change_the_key() -> None:
    assert key_of(device="cuda:1") == key_of(device="cuda")
    assert key_of("pixel", None, reduction="mean") == key_of("pixel", None)


def test_how_a_metric_of_images_is_read_changes_its_definition() -> None:
    plain = Metric(name="m", distance=pixel_distance)
    others = [replace(plain, similarity_at_identity=1.0), replace(plain, input_range=(-1.0, 1.0))]
    assert len({store.definition(metric) for metric in [plain, *others]}) == 3
    assert store.definition(replace(plain, provenance="mine 1.0")) == store.definition(plain)  # only ours is trusted


# -------------------------------------------------------------------------------------------- damage


def test_damage_is_noticed_named_and_mended(kept: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Any wrong bit, a file that is cut short, and the file of another key."""
    store.keep(kept, key_of("mean"), CONTENT, distances(1, count=3))
    other = the_file(kept).read_bytes()
    store.remove(kept)
    store.keep(kept, SORT, CONTENT, distances(count=3))
    path = the_file(kept)
    good = path.read_bytes()
    flipped = [good[:i] + bytes([good[i] ^ 1 << i % 7]) + good[i + 1 :] for i in range(0, len(good), 9)]
    damaged = [other, *flipped, *(good[:length] for length in (0, 4, 100, -1))]
    for data in damaged:
        path.write_bytes(data)
        assert store.look_up(kept, SORT, CONTENT) is None, data
    assert caplog.messages == [
        f"{path}: damaged (ValueError: its checksum is wrong); ignored and measured again."
    ] * len(damaged)
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    store.keep(kept, SORT, CONTENT, distances(count=3))
    assert path.read_bytes() == good


def test_a_folder_that_cannot_be_a_store(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(
        StoreError, match=r"contains other files, such as thesis\.tex; name a new folder for the store\.$"
    ):
        store.prepare(tmp_path)
    with pytest.raises(StoreError, match=r"tex/store: the store cannot be written \(.+\); its entries are kept"):
        store.prepare(tmp_path / "thesis.tex/store")


def test_a_store_that_must_not_be_written_or_read(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)  # whoever runs this may be root
    with pytest.raises(StoreError, match=r"cannot be written \(Permission denied\)"):
        store.prepare(kept)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(StoreError, match=r"cannot be read \(Permission denied\); name another folder for the store"):
        store.look_up(kept, SORT, CONTENT)


# ------------------------------------------------------------------------------------ many processes


def keep_many(folder: Path, start: int) -> None:
    """Write and read 20 files."""
    for number in range(start, start + 20):
        content = f"{number % 20:064d}"
        store.prepare(folder)
        store.keep(folder, SORT, content, distances(number % 20))
        assert np.array_equal(store.look_up(folder, SORT, content), distances(number % 20))  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # PyTorch has threads; these only write files
def test_processes_share_a_store(tmp_path: Path) -> None:
    """All make it at once, and write the same files in different order."""
    with multiprocessing.get_context("fork").Pool(3) as pool:
        pool.starmap(keep_many, [(tmp_path / "store", start) for start in (0, 0, 13)], chunksize=1)
    assert store.size(tmp_path / "store")[0] == 20
    assert not list(tmp_path.glob("**/*.part"))


# ------------------------------------------------------------------------------------ size and remove


def test_removing_leaves_what_is_not_the_stores(kept: Path) -> None:
    store.keep(kept, SORT, CONTENT, distances())
    shards, size = store.size(kept)
    assert (shards, size) == (1, the_file(kept).stat().st_size)
    assert size > 256 * 2 * 8
    the_file(kept).with_name(".dps-written.part").touch()
    (kept / "ab").mkdir(exist_ok=True)
    (kept / "ab/notes.txt").touch()
    assert store.remove(kept) == (1, size)
    found = sorted(path.name for path in kept.glob("**/*") if path.is_file())
    assert found == [".dps-written.part", "notes.txt"]
    assert store.prepare(kept) == kept
    assert store.look_up(kept, SORT, CONTENT) is None
    assert store.remove(kept / "none") == store.size(kept / "none") == (0, 0)


@pytest.mark.parametrize("answer", [RuntimeError("could not determine the home directory"), Path("~/.cache/dps")])
def test_a_user_without_a_home_is_told_to_name_the_store(answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As different versions of platformdirs have it."""
    monkeypatch.setattr(platformdirs, "user_cache_path", Mock(side_effect=[answer]))
    with pytest.raises(StoreError, match=r"^no home folder in which to keep .*; pass --store DIR\.$"):
        store.default_folder()
