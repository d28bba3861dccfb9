"""Distances on disk: found again, never mixed up, never trusted when damaged."""

import logging
import multiprocessing
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import pytest

from dps import metrics, store
from dps.errors import StoreError
from dps.metrics import Metric, Variant, pixel_distance

CONTENT = "5ea857013cc9" * 5 + "0000"


def key_of(name: str = "sort", network: str | None = "alexnet", normalization: str = "unit", **changed: Any) -> str:
    variant = Variant(metric=metrics.named(name), network=network, normalization=network and normalization)
    options = {"weights_sha256": "443c", "reduction": "sum", "preprocessing": "none", "device": "cpu", **changed}
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


def test_what_was_not_kept_is_not_found(kept: Path) -> None:
    store.keep(kept, SORT, CONTENT, distances())
    assert store.look_up(kept, key_of("mean"), CONTENT) is None
    assert store.look_up(kept, SORT, "0" * 64) is None


def test_a_file_is_named_by_its_key_alone(kept: Path, tmp_path: Path) -> None:
    other = store.prepare(tmp_path / "other")
    for folder in (kept, other):
        store.keep(folder, SORT, CONTENT, distances())
    assert the_file(kept).read_bytes() == the_file(other).read_bytes()
    assert the_file(kept).relative_to(kept) == the_file(other).relative_to(other)
    assert the_file(kept).parent.name == the_file(kept).name[:2]


def test_everything_that_distances_depend_on_changes_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [
        SORT,
        key_of("mean"),
        key_of("2*sort"),
        key_of("sort+mean"),
        key_of(network="vgg16"),
        key_of(weights_sha256="2ecb"),
        key_of(reduction="mean"),
        key_of(preprocessing="upside down"),
        key_of(device="cuda"),
        key_of(normalization="none"),
        key_of("pixel", None),
    ]
    monkeypatch.setattr(store, "own_source", lambda *_parts: "another version of what measures")
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


def test_distances_of_another_form_are_refused(kept: Path) -> None:
    for wrong in (distances().astype(np.float32), distances()[0]):
        with pytest.raises(ValueError, match="distances must be float64"):
            store.keep(kept, SORT, CONTENT, wrong)  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------- damage, versions


def test_any_damaged_bit_is_noticed(kept: Path, caplog: pytest.LogCaptureFixture) -> None:
    store.keep(kept, SORT, CONTENT, distances(count=3))
    path = the_file(kept)
    good = path.read_bytes()
    for position in range(len(good)):
        data = bytearray(good)
        data[position] ^= 1 << position % 7
        path.write_bytes(data)
        assert store.look_up(kept, SORT, CONTENT) is None, f"byte {position}"
    said = f"{path}: damaged (ValueError: its checksum is wrong); not used, it is measured again."
    assert caplog.messages == [said] * len(good)


@pytest.mark.parametrize("length", [0, 4, 100, -1])
def test_a_file_that_is_cut_short_is_noticed_and_replaced(
    kept: Path, length: int, caplog: pytest.LogCaptureFixture
) -> None:
    store.keep(kept, SORT, CONTENT, distances())
    path = the_file(kept)
    path.write_bytes(path.read_bytes()[:length])
    assert store.look_up(kept, SORT, CONTENT) is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    store.keep(kept, SORT, CONTENT, distances())
    assert np.array_equal(store.look_up(kept, SORT, CONTENT), distances())  # type: ignore[arg-type]


def test_a_file_under_the_name_of_another_is_noticed(kept: Path, caplog: pytest.LogCaptureFixture) -> None:
    store.keep(kept, SORT, CONTENT, distances(1))
    path = the_file(kept)
    other = path.read_bytes()
    path.unlink()
    store.keep(kept, key_of("mean"), CONTENT, distances(2))
    the_file(kept).write_bytes(other)
    assert store.look_up(kept, key_of("mean"), CONTENT) is None
    assert "damaged" in caplog.text


@pytest.mark.parametrize(("note", "version"), [('{"schema": 1}', "1"), ("[]", "unknown"), ("{", "unknown")])
def test_a_store_of_another_version(kept: Path, note: str, version: str) -> None:
    (kept / "dps-store.json").write_text(note)
    with pytest.raises(
        StoreError, match=f"a store of version {version}, but this dps has version 2. Name another folder"
    ):
        store.prepare(kept)


def test_a_store_that_lost_its_note_is_still_a_store(kept: Path) -> None:
    """So is one that another process is just making."""
    store.keep(kept, SORT, CONTENT, distances())
    (kept / "dps-store.json").unlink()
    assert store.prepare(kept) == kept
    assert store.look_up(kept, SORT, CONTENT) is not None


def test_a_folder_that_cannot_be_a_store(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(StoreError, match=r"holds other things, and no dps-store\.json; name a new folder"):
        store.prepare(tmp_path)
    with pytest.raises(StoreError, match=r"tex/store: the store cannot be written \(.+\); what is in it is kept"):
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


def test_a_full_disk_leaves_nothing_behind(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    store.keep(kept, SORT, CONTENT, distances())
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match=r"cannot be written \(No space left on device\); what is in it is kept"):
            store.keep(kept, key_of("mean"), CONTENT, distances())
    assert store.size(kept) == (1, the_file(kept).stat().st_size)
    assert not list(kept.glob("**/*.part"))


def test_a_file_appears_only_when_it_is_on_the_disk(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before the end, nothing has the name yet."""
    seen = []
    monkeypatch.setattr(os, "fsync", lambda _handle: seen.append(store.size(kept)[0]))
    store.keep(kept, SORT, CONTENT, distances())
    assert seen == [0]
    assert store.size(kept)[0] == 1


# ------------------------------------------------------------------------------------ many processes


def keep_many(folder: Path, start: int, count: int = 40) -> None:
    """Write and read 40 files, which may go away at any time where `count` is larger."""
    for number in range(start, start + count):
        content = f"{number % 40:064d}"
        store.prepare(folder)
        store.keep(folder, SORT, content, distances(number % 40))
        if count == 40:
            assert np.array_equal(store.look_up(folder, SORT, content), distances(number % 40))  # type: ignore[arg-type]


def remove_much(folder: Path, done: Any) -> None:
    while not done.is_set():
        store.size(folder)
        store.remove(folder)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # PyTorch has threads; these only write files
def test_processes_share_a_store(tmp_path: Path) -> None:
    """All make it at once, and write the same files in different order."""
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=keep_many, args=(tmp_path / "store", start)) for start in (0, 0, 13, 39)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert store.size(tmp_path / "store")[0] == 40
    assert not list(tmp_path.glob("**/*.part"))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_processes_write_while_others_remove(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    done = context.Event()
    writers = [context.Process(target=keep_many, args=(tmp_path / "store", 0, 80)) for _ in range(2)]
    removers = [context.Process(target=remove_much, args=(tmp_path / "store", done)) for _ in range(2)]
    for process in (*writers, *removers):
        process.start()
    for process in writers:
        process.join()
    done.set()
    for process in removers:
        process.join()
    assert [process.exitcode for process in (*writers, *removers)] == [0, 0, 0, 0]
    keep_many(tmp_path / "store", 0)  # and it is as good as new
    assert store.size(tmp_path / "store")[0] == 40


# ------------------------------------------------------------------------------------ size and remove


def test_removing_leaves_what_is_not_the_stores(kept: Path) -> None:
    store.keep(kept, SORT, CONTENT, distances())
    shards, size = store.size(kept)
    assert (shards, size) == (1, the_file(kept).stat().st_size)
    assert size > 256 * 2 * 8
    killed, written = (the_file(kept).with_name(f".dps-{name}.part") for name in ("killed", "written"))
    killed.touch()
    written.touch()
    os.utime(killed, (0, time.time() - 4000))  # an hour is 3600 seconds
    (kept / "ab").mkdir(exist_ok=True)
    (kept / "ab/notes.txt").touch()
    (kept / "ab" / ("ab" * 32 + ".safetensors")).touch()  # as version 1 had it
    (kept / "dps-store.json").write_text('{"schema": 1}')
    assert store.remove(kept) == (2, size)
    found = sorted(path.name for path in kept.glob("**/*") if path.is_file())
    assert found == [".dps-written.part", "dps-store.json", "notes.txt"]
    assert store.prepare(kept) == kept
    assert store.look_up(kept, SORT, CONTENT) is None
    assert store.remove(kept / "none") == store.size(kept / "none") == (0, 0)


def test_the_default_folder_is_in_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    assert store.default_folder() == Path(platformdirs.user_cache_dir("dps")) / "store"


@pytest.mark.parametrize("answer", [RuntimeError("could not determine the home directory"), Path("~/.cache/dps")])
def test_a_user_without_a_home_is_told_to_name_the_store(answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As different versions of platformdirs have it."""

    def homeless(_name: str) -> Path:
        if isinstance(answer, Exception):
            raise answer
        return Path(answer)

    monkeypatch.setattr(platformdirs, "user_cache_path", homeless)
    with pytest.raises(
        StoreError, match=r"^there is no home folder to keep measured distances in; pass --store DIR\.$"
    ):
        store.default_folder()
