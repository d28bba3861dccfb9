"""Names of files that are made of other names."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dps import files


def test_a_name_keeps_what_files_may_have_and_no_folder() -> None:
    assert files.safe_name("symmetry-my_variant.py:sort+0.5*mean") == "symmetry-my_variant.py_sort+0.5_mean"
    assert files.safe_name("../../etc/passwd") == "_._.._etc_passwd"
    assert files.safe_name(".hidden") == "_hidden"


def test_a_long_name_is_shortened_and_still_its_own(tmp_path: Path) -> None:
    first, second = (files.safe_name(f"{'度' * 300}.py:{name}") for name in ("a", "b"))
    assert first.endswith(".py_a")
    assert first.startswith(hashlib.sha256(f"{'度' * 300}.py:a".encode()).hexdigest()[:8])
    assert first != second
    (tmp_path / f"identity-{first}-original.png").write_bytes(b"")  # the file system takes it


def test_a_file_that_cannot_be_written_is_named_itself(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        files.write(tmp_path / "no" / "cases.csv", b"")
    assert caught.value.filename == str(tmp_path / "no" / "cases.csv")


def test_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as reader:
        text = reader.submit(pipe.read_bytes)
        files.write(pipe, [b"whole".decode()])
        assert text.result() == b"whole"
    assert pipe.is_fifo()
