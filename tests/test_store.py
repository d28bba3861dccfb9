"""Distances on disk: found again, never mixed up, never trusted when damaged."""

import functools
import json
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
import torch
from torch import Tensor, nn

from dps import metrics, store
from dps.errors import UsageError
from dps.metrics import FeatureMetric, Metric, Term, Variant, pixel_distance
from dps.store import Key

CONTENT = "5ea857013cc9" * 5 + "0000"


def key_of(name: str = "sort", network: str | None = "alexnet", **changed: Any) -> Key:
    variant = Variant(metric=metrics.named(name), network=network, normalization=network and "unit")
    asked = {"weights_sha256": "443c", "reduction": "sum", "preprocessing": "as they are", "device": "cpu", **changed}
    return store.key_of(variant, **asked).of(CONTENT)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return store.prepare(tmp_path / "store")


def distances(seed: int = 0, count: int = 256) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.random.default_rng(seed).random((count, 2))


def the_file(folder: Path) -> Path:
    (entry,) = store.kept(folder)
    return entry.path


# ------------------------------------------------------------------------------------- kept and found


def test_what_was_kept_is_found_to_the_last_bit(kept: Path) -> None:
    odd = np.array([[0.1, np.nan], [np.inf, 5e-324], [-0.0, 1 / 3]])
    store.keep(kept, key_of(), odd)
    found = store.look_up(kept, key_of())
    assert found is not None
    assert found.tobytes() == odd.tobytes()
    assert found.shape == odd.shape


def test_what_was_not_kept_is_not_found(kept: Path) -> None:
    assert store.look_up(kept, key_of()) is None
    store.keep(kept, key_of(), distances())
    assert store.look_up(kept, key_of("mean")) is None


def test_a_file_is_named_by_its_key_alone(kept: Path, tmp_path: Path) -> None:
    other = store.prepare(tmp_path / "other")
    for folder in (kept, other):
        store.keep(folder, key_of(), distances())
    assert the_file(kept).read_bytes() == the_file(other).read_bytes()
    assert the_file(kept).relative_to(kept) == Path(key_of().address[:2], f"{key_of().address}.safetensors")


def test_everything_that_distances_depend_on_changes_the_address() -> None:
    keys = [
        key_of(),
        key_of().of("0" * 64),
        key_of("mean"),
        key_of("2*sort"),
        key_of("sort+mean"),
        key_of(network="vgg16"),
        key_of(weights_sha256="2ecb"),
        key_of(reduction="mean"),
        key_of(preprocessing="upside down"),
        key_of(device="cuda"),
        key_of(precision="bfloat16"),
        replace(key_of(), normalization="none"),
        key_of("pixel", None),
    ]
    assert len({key.address for key in keys}) == len(keys)


def test_the_number_of_a_device_does_not_matter() -> None:
    assert key_of(device="cuda:1") == key_of(device="cuda")


def test_where_there_is_no_network_its_reduction_does_not_matter() -> None:
    assert key_of("pixel", None, reduction="mean") == key_of("pixel", None)


def test_distances_of_another_form_are_refused(kept: Path) -> None:
    for wrong in (distances().astype(np.float32), distances()[0]):
        with pytest.raises(ValueError, match="distances must be float64"):
            store.keep(kept, key_of(), wrong)  # type: ignore[arg-type]


def test_a_slice_is_kept_as_what_it_shows(kept: Path) -> None:
    sliced = distances()[::2, :1]
    store.keep(kept, key_of(), sliced)
    assert np.array_equal(store.look_up(kept, key_of()), sliced)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------- what a metric does


def as_user_metric(folder: Path, source: str, name: str = "mine") -> FeatureMetric | Metric:
    (folder / "mine.py").write_text(source)
    return metrics.named(f"{folder / 'mine.py'}:{name}")


@pytest.mark.parametrize("takes", ["a", "a, b"])
def test_a_users_metric_is_told_by_its_source(tmp_path: Path, takes: str) -> None:
    def definition(source: str) -> str:
        return store.definition(as_user_metric(tmp_path, source))

    first = definition(f"def mine({takes}):\n    return a\n")
    assert definition(f"def mine({takes}):\n    return a\n") == first
    assert definition(f"def helper(): ...\ndef mine({takes}):\n    return a\n") != first
    (tmp_path / "elsewhere").mkdir()
    elsewhere = as_user_metric(tmp_path / "elsewhere", f"def mine({takes}):\n    return a\n")
    assert store.definition(elsewhere) == first  # the same, whatever the path


def test_two_metrics_of_one_file_are_told_apart(tmp_path: Path) -> None:
    source = "def mine(a):\n    return a\ndef other(a):\n    return -a\n"
    assert store.definition(as_user_metric(tmp_path, source)) != store.definition(
        as_user_metric(tmp_path, source, "other")
    )


def test_a_metric_that_another_module_defines_is_told_by_the_file_that_names_it_too(tmp_path: Path) -> None:
    def definition(eps: str) -> str:
        source = f"import functools, torch\nfrom dps.comparisons import sort\nmine = sort\nEPS = {eps}\n"
        return store.definition(as_user_metric(tmp_path, source))

    assert definition("1") != definition("2")
    assert definition("1") != store.definition(metrics.named("sort"))


class Weighted(nn.Module):
    """A metric with parameters."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))
        self.register_buffer("flag", torch.tensor([True]))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.weight * (a - b).square().mean(dim=(1, 2, 3))


def test_a_modules_parameters_count() -> None:
    def definition(distance: Any) -> str:
        return store.definition(Metric(name="weighted", distance=distance))

    assert definition(Weighted(1.0)) == definition(Weighted(1.0))
    assert definition(Weighted(1.0)) != definition(Weighted(2.0))
    assert definition(Weighted(1.0).forward) != definition(Weighted(2.0).forward)
    assert definition(functools.partial(Weighted(1.0))) != definition(functools.partial(Weighted(2.0)))


def test_how_a_metric_of_images_is_read_counts() -> None:
    made = [
        Metric(name="m", distance=pixel_distance),
        Metric(name="m", distance=pixel_distance, similarity_at_identity=1.0),
        Metric(name="m", distance=pixel_distance, input_range=(-1.0, 1.0)),
    ]
    assert len({store.definition(metric) for metric in made}) == 3


def test_a_metric_without_source_cannot_be_kept() -> None:
    with pytest.raises(UsageError, match="metric 'size': no file holds its source, so its distances cannot be kept"):
        store.definition(FeatureMetric(name="size", terms=(Term(name="size", comparison=len),)))  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------- damage, versions


def test_any_damaged_bit_is_noticed(kept: Path, caplog: pytest.LogCaptureFixture) -> None:
    ours = distances(count=3)
    store.keep(kept, key_of(), ours)
    path = the_file(kept)
    good = path.read_bytes()
    for position in range(len(good)):
        data = bytearray(good)
        data[position] ^= 1 << position % 7
        path.write_bytes(data)
        assert store.look_up(kept, key_of()) is None, f"byte {position}"
    assert len(caplog.messages) == len(good)
    assert caplog.messages[-1] == f"{path}: damaged (its checksum does not hold); not used, it is measured again."
    assert all("\n" not in message for message in caplog.messages)


@pytest.mark.parametrize("length", [0, 4, 100, -1])
def test_a_file_that_is_cut_short_is_noticed_and_can_be_kept_anew(
    kept: Path, length: int, caplog: pytest.LogCaptureFixture
) -> None:
    store.keep(kept, key_of(), distances())
    path = the_file(kept)
    path.write_bytes(path.read_bytes()[:length])
    assert store.look_up(kept, key_of()) is None
    assert [entry.key for entry in store.kept(kept)] == [{}]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    store.keep(kept, key_of(), distances())
    assert np.array_equal(store.look_up(kept, key_of()), distances())  # type: ignore[arg-type]


def test_a_file_under_anothers_name_is_noticed(kept: Path, caplog: pytest.LogCaptureFixture) -> None:
    store.keep(kept, key_of("mean"), distances())
    wrong = kept / key_of().address[:2] / f"{key_of().address}.safetensors"
    wrong.parent.mkdir(exist_ok=True)
    the_file(kept).rename(wrong)
    assert store.look_up(kept, key_of()) is None
    assert "damaged (it belongs to something else)" in caplog.text


def test_a_store_of_another_version(kept: Path) -> None:
    (kept / "dps-store.json").write_text('{"schema": 2}')
    with pytest.raises(UsageError, match=r"a store of version 2, but this dps keeps version 1\. Name another folder"):
        store.prepare(kept)
    (kept / "dps-store.json").write_text("[]")
    with pytest.raises(UsageError, match="a store of unknown version"):
        store.prepare(kept)


def test_a_store_that_lost_its_note_is_still_a_store(kept: Path) -> None:
    """So is one that another process is just making."""
    store.keep(kept, key_of(), distances())
    (kept / "dps-store.json").unlink()
    assert store.prepare(kept) == kept
    assert store.look_up(kept, key_of()) is not None


def test_a_folder_of_other_things_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UsageError, match=r"holds other things, and no dps-store\.json; name a new folder"):
        store.prepare(tmp_path)


def test_a_store_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"file/store: the store cannot be written \(.+\); what is in it is kept"):
        store.prepare(tmp_path / "file/store")


def test_a_store_that_must_not_be_written(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)  # whoever runs this may be root
    with pytest.raises(UsageError, match=r"cannot be written \(Permission denied\)"):
        store.prepare(kept)


def test_a_file_that_must_not_be_read(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    key = key_of()
    store.keep(kept, key, distances())
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UsageError, match=r"cannot be read \(Permission denied\); name another folder for the store"):
        store.look_up(kept, key)


def test_a_full_disk_leaves_nothing_behind(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    store.keep(kept, key_of(), distances())
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(UsageError, match=r"cannot be written \(No space left on device\); what is in it is kept"):
            store.keep(kept, key_of("mean"), distances())
    assert [entry.key["metric"] for entry in store.kept(kept)] == ["sort"]
    assert not list(kept.glob("**/*.part"))


def test_a_file_appears_only_when_it_is_on_the_disk(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before the end, nothing has the name yet."""
    seen = []
    monkeypatch.setattr(os, "fsync", lambda _handle: seen.append(list(store.kept(kept))))
    store.keep(kept, key_of(), distances())
    assert seen == [[]]
    assert len(list(store.kept(kept))) == 1


# ------------------------------------------------------------------------------------ many processes


def keep_many(folder: Path, start: int) -> None:
    for number in range(40):
        i = (start + number) % 40
        store.prepare(folder)
        store.keep(folder, key_of().of(f"{i:064d}"), distances(i))
        found = store.look_up(folder, key_of().of(f"{i:064d}"))
        assert np.array_equal(found, distances(i))  # type: ignore[arg-type]


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
    assert len(list(store.kept(tmp_path / "store"))) == 40
    assert not list(tmp_path.glob("**/*.part"))


def keep_much(folder: Path) -> None:
    """Write many files, which may go away at any time."""
    for i in range(80):
        store.prepare(folder)
        store.keep(folder, key_of().of(f"{i % 40:064d}"), distances(i % 40))


def remove_much(folder: Path, done: Any) -> None:
    """Empty a store again and again, and list it, until told to stop."""
    while not done.is_set():
        list(store.kept(folder))
        store.remove(folder)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_processes_write_while_others_remove(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    done = context.Event()
    writers = [context.Process(target=keep_much, args=(tmp_path / "store",)) for _ in range(2)]
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
    assert len(list(store.kept(tmp_path / "store"))) == 40


# ------------------------------------------------------------------------------------ list and remove


def test_listing_says_what_is_kept_and_how_large(kept: Path) -> None:
    store.keep(kept, key_of(), distances())
    (entry,) = store.kept(kept)
    assert entry.size == entry.path.stat().st_size > 256 * 2 * 8
    assert entry.key == json.loads(key_of().text)
    assert {"metric": "sort", "normalization": "unit", "content": CONTENT}.items() <= entry.key.items()


def test_removing_some(kept: Path) -> None:
    for name in ("sort", "mean"):
        store.keep(kept, key_of(name), distances())
    size = the_size = sum(entry.size for entry in store.kept(kept))
    removed, freed = store.remove(kept, lambda entry: entry.key.get("metric") == "mean")
    assert removed == 1
    assert [entry.key["metric"] for entry in store.kept(kept)] == ["sort"]
    assert sum(entry.size for entry in store.kept(kept)) == size - freed < the_size


def test_removing_all_leaves_what_is_not_the_stores(kept: Path) -> None:
    store.keep(kept, key_of(), distances())
    killed, written = (the_file(kept).with_name(f".dps-{name}.part") for name in ("killed", "written"))
    killed.touch()
    written.touch()
    os.utime(killed, (0, time.time() - 4000))  # an hour is 3600 seconds
    (kept / "ab").mkdir(exist_ok=True)
    (kept / "ab/notes.txt").touch()
    (kept / "dps-store.json").write_text('{"schema": 2}')  # of any version
    assert store.remove(kept)[0] == 1
    found = sorted(path.name for path in kept.glob("**/*") if path.is_file())
    assert found == [".dps-written.part", "dps-store.json", "notes.txt"]
    assert store.prepare(kept) == kept


def test_an_emptied_store_can_be_used_again(kept: Path) -> None:
    store.keep(kept, key_of(), distances())
    store.remove(kept)
    assert list(store.kept(kept)) == []
    store.prepare(kept)
    assert store.look_up(kept, key_of()) is None
    assert store.remove(kept / "none") == (0, 0)


def test_the_default_folder_is_in_the_users_cache() -> None:
    assert store.default_folder() == Path(platformdirs.user_cache_dir("dps")) / "store"
