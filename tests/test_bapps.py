"""BAPPS bapps: reading, verifying, fetching from a server on this machine, and the synthetic stand-in."""

import contextlib
import gzip
import hashlib
import io
import json
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import PIL.Image
import pytest
import requests

from dps.errors import JudgmentsError
from dps.images import digest
from dps.judgments import bapps, fetching, synthetic
from dps.judgments.dataset import Dataset
from dps.scenes.rng import Rng
from tests.bapps_folders import counts
from tests.conftest import PAIRS, TRIPLETS


@pytest.fixture
def copy(written: Path, tmp_path: Path) -> Path:
    """The same, to be damaged."""
    return Path(shutil.copytree(written, tmp_path / "copy"))


def read_all(folder: Path) -> None:
    for shard in bapps.read(folder).shards:
        shard.read()


def assert_refused(folder: Path, *parts: str) -> str:
    """One line, with these parts."""
    with pytest.raises(JudgmentsError) as caught:
        read_all(folder)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
    return message


# ------------------------------------------------------------------------------------- the stand-in


def test_a_shard_is_what_it_says(small: Dataset) -> None:
    assert [str(shard) for shard in small.shards[:2]] == ["2afc/noise/000", "2afc/blur/000"]
    for shard in small.shards:
        content = shard.read()
        compared = {"2afc": 2, "jnd": 1}[shard.kind]
        assert content.stacks[0].shape == (shard.count, 1 + compared, 64, 64, 3)
        assert content.stacks[0].dtype == np.uint8
        assert content.judgments.shape == (shard.count,)
        assert shard.read_judgments() == content


@pytest.mark.parametrize("family", synthetic.FAMILIES)
def test_a_stronger_distortion_changes_more(family: str) -> None:
    original = synthetic.synthesize(triplets=1).shards[0].read().stacks[0][0, 0]
    distort = synthetic.FAMILIES[family]
    images = [distort(original, level / 16, Rng(1)) for level in range(1, 17)]
    assert len({digest([image]) for image in [original, *images]}) == 17
    assert all(image.shape == original.shape and image.dtype == np.uint8 for image in images)
    changed = [float(np.square(image.astype(float) - original).mean()) for image in images]
    assert changed == sorted(changed) or family == "shift"  # where a pattern may meet itself again


def test_judges_prefer_the_milder_one_and_err_near_the_threshold() -> None:
    def mean(kind: str, *compared: float) -> float:
        judgments = [synthetic.judge(kind, compared, Rng(i, kind)) for i in range(400)]
        steps = synthetic.JUDGES[kind]
        assert all(round(judgment * steps) / steps == judgment for judgment in judgments)
        return float(np.mean(judgments))

    assert mean("2afc", 1, 0.1) > 0.99  # the second one is milder
    assert mean("2afc", 0.1, 1) < 0.01
    assert mean("2afc", 9 / 16, 8 / 16) == pytest.approx(1 / (1 + np.exp(-1)), abs=0.03)
    assert mean("jnd", 0.0) > 0.95
    assert mean("jnd", 4 / 16) == pytest.approx(0.5, abs=0.05)
    assert mean("jnd", 8 / 16) < 0.05


def test_a_triplet_depends_on_its_number_alone(small: Dataset) -> None:
    more = synthetic.synthesize(triplets=TRIPLETS + 1, pairs=PAIRS)
    assert (more.shards[0].read().stacks[0][:TRIPLETS] == small.shards[0].read().stacks[0]).all()
    assert (more.shards[0].read().judgments[:TRIPLETS] == small.shards[0].read().judgments).all()
    assert synthetic.synthesize(TRIPLETS, PAIRS, seed=1).shards[0].read_judgments() != small.shards[0].read_judgments()


def test_the_stand_in_is_the_same_everywhere(small: Dataset) -> None:
    """Recorded with NumPy 2.4 on x86-64."""
    assert {str(shard): shard.read_judgments().digest[:12] for shard in small.shards} == {
        "2afc/noise/000": "c97d631d6620",
        "2afc/blur/000": "41507fece303",
        "2afc/shift/000": "74d0107c98a8",
        "2afc/contrast/000": "e00946524740",
        "jnd/noise/000": "3f839ffa6c0a",
        "jnd/blur/000": "76c2f580a6d0",
    }


def test_the_stand_in_has_four_families_in_shards_of_256_and_pairs() -> None:
    made = synthetic.synthesize(triplets=600, pairs=1)
    families = ("noise", "blur", "shift", "contrast")
    assert (made.name, made.groups) == ("synthetic", {"all": families})
    assert counts(made) == {"2afc": dict.fromkeys(families, 600), "jnd": {"noise": 1, "blur": 1}}
    assert [(s.number, s.count) for s in made.subsets("2afc")["blur"]] == [(0, 256), (1, 256), (2, 88)]


# ------------------------------------------------------------------------------------------- bapps


def test_a_written_folder_reads_as_what_was_written(small: Dataset, written: Path) -> None:
    found = bapps.read(written)
    assert (found.name, found.about, counts(found), found.groups) == (
        small.name,
        small.about,
        counts(small),
        dict(small.groups),
    )
    for ours, theirs in zip(found.shards, small.shards, strict=True):
        assert str(ours) == str(theirs)
        assert (ours.read().stacks[0] == theirs.read().stacks[0]).all()
        assert (ours.read_judgments().judgments == theirs.read_judgments().judgments).all()
    assert sorted(path.name for path in (written / "2afc/val/noise").iterdir()) == ["judge", "p0", "p1", "ref"]
    assert sorted(path.name for path in (written / "jnd/val/blur").iterdir()) == ["p0", "p1", "same"]
    assert sorted(path.name for path in written.iterdir()) == ["2afc", "dps-dataset.json", "jnd"]


def test_looking_gives_what_reading_gives_and_decodes_nothing(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards = bapps.read(copy).shards
    labels = [shard.read() for shard in shards]
    monkeypatch.setattr(PIL.Image, "open", None)
    assert [shard.read_judgments() for shard in shards] == labels


def test_a_changed_file_changes_the_digest_and_a_hidden_one_is_ignored(copy: Path) -> None:
    (copy / "2afc/val/blur/p1/.hidden").touch()
    shard = bapps.read(copy).shards[0]
    before = shard.read_judgments()
    np.save(copy / "2afc/val/noise/judge/000001.npy", np.array([0.55]))
    after = shard.read_judgments()
    assert after != before
    assert after.judgments[1] == 0.55


def test_images_are_resized_with_pillows_bilinear_filter(copy: Path) -> None:
    large = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    image = PIL.Image.fromarray(large)
    image.save(copy / "2afc/val/noise/p1/000000.png")
    found = bapps.read(copy).shards[0].read().stacks[0][0, 2]
    assert (found == np.asarray(image.resize((64, 64), PIL.Image.Resampling.BILINEAR))).all()


def test_a_judgment_that_python_2_wrote_is_read(copy: Path) -> None:
    path = copy / "2afc/val/noise/judge/000000.npy"
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1L,), }"
    header = header.ljust(117) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + np.float64(0.4).tobytes())
    assert bapps.read(copy).shards[0].read().judgments[0] == 0.4


def test_a_folder_that_is_not_bapps(tmp_path: Path) -> None:
    assert_refused(tmp_path / "none", "none: no such folder. Get BAPPS with: dps bapps fetch")
    assert bapps.verify(tmp_path / "none").faults == [f"{tmp_path / 'none'}: no such folder."]
    assert_refused(
        tmp_path,
        f"{tmp_path}: not a BAPPS folder: it contains no 2afc/val or jnd/val. Get BAPPS with: dps bapps fetch",
    )


def test_a_folder_within_says_to_name_the_one_above(written: Path) -> None:
    for below in ("2afc", "2afc/val", "jnd"):
        assert_refused(written / below, "not a BAPPS folder", "Pass the folder that contains 2afc and jnd.")


def remove_third(blur: Path) -> None:
    for path in blur.glob("*/000002.*"):
        path.unlink()


DAMAGED_SUBSETS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a missing subset": (shutil.rmtree, "2afc/val/blur: missing or empty."),
    "an unknown subset": (
        lambda blur: blur.with_name("sharpen").mkdir(),
        "2afc/val/sharpen: not a subset of synthetic, which has noise, blur, shift, contrast.",
    ),
    "ref but no p1": (lambda blur: shutil.rmtree(blur / "p1"), "blur/p1: 0 of 3 files; "),
    "unequal counts": (
        lambda blur: (blur / "p1/000001.png").unlink(),
        "blur/p1: 2 of 3 files; missing: 000001.png.",
    ),
    "unequal names": (
        lambda blur: (blur / "judge/000001.npy").rename(blur / "judge/1.npy"),
        "blur/ref: 3 of 4 files; missing: 1.png. (3 more: dps bapps verify",
    ),
    "another kind of file": (
        lambda blur: (blur / "p1/thumbs.db").touch(),
        "p1/thumbs.db: unexpected, only .png files belong here.",
    ),
    "another number than described": (remove_third, "2afc/val/blur: 2 of the 3 triplets of synthetic."),
}


@pytest.mark.parametrize("damage", DAMAGED_SUBSETS)
def test_a_damaged_subset(copy: Path, damage: str) -> None:
    change, message = DAMAGED_SUBSETS[damage]
    change(copy / "2afc/val/blur")
    assert_refused(copy, message)


def test_a_part_of_bapps_is_not_bapps(copy: Path) -> None:
    (copy / "dps-dataset.json").unlink()
    for kind in ("2afc", "jnd"):
        (copy / kind / "val/blur").rename(copy / kind / "val/cnn")
    message = assert_refused(copy, "2afc/val/traditional: missing or empty.", "Get BAPPS with: dps bapps fetch")
    assert "more: dps bapps verify" in message
    assert any("2afc/val/cnn: 3 of the 4720 triplets of bapps." in fault for fault in bapps.verify(copy).faults)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "bapps"}, "name: Value error, a folder with its own description is not BAPPS"),
        ({"counts": {"2afc": {"noise": 0}}}, "counts: 2afc: noise: Input should be greater than or equal to 1"),
        (None, "Invalid JSON"),
    ],
)
def test_a_wrong_description(copy: Path, change: dict[str, Any] | None, says: str) -> None:
    path = copy / "dps-dataset.json"
    path.write_text("{" if change is None else json.dumps(json.loads(path.read_text()) | change))
    assert_refused(copy, "dps-dataset.json: ", says)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cut_short, ": the image cannot be decoded"),
        (lambda path: path.write_bytes(b"GIF89a"), ": not an image that can be read"),
        (lambda path: PIL.Image.new("RGB", (64, 65)).save(path), ": 64 x 65 pixels, but its original has 64 x 64."),
    ],
)
def test_a_wrong_image(copy: Path, change: Callable[[Path], object], message: str) -> None:
    change(copy / "2afc/val/shift/p0/000001.png")
    assert_refused(copy, f"shift/p0/000001.png{message}")


def npy(value: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, value)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (npy(np.array([1.2])), "the judgment must be in [0, 1], found 1.2."),
        (npy(np.array([np.nan])), "the judgment must be in [0, 1], found nan."),
        (npy(np.array([0.2, 0.8])), "not an .npy file of one number ("),
        (npy(np.array([{}])), "not an .npy file of one number (ValueError: Object arrays cannot be loaded"),
        (b"0.5\n", "not an .npy file of one number ("),
    ],
)
def test_a_wrong_judgment(copy: Path, data: bytes, says: str) -> None:
    (copy / "jnd/val/noise/same/000001.npy").write_bytes(data)
    assert_refused(copy, "noise/same/000001.npy: ", says)


def test_a_file_that_goes_away_after_the_folder_was_read(copy: Path) -> None:
    shard = bapps.read(copy).shards[0]
    (copy / "2afc/val/noise/ref/000000.png").unlink()
    with pytest.raises(JudgmentsError, match=r"000000\.png: cannot be read \(No such file or directory\)\."):
        shard.read_judgments()


# -------------------------------------------------------------------------------------------- verify


def test_verifying_names_every_wrong_file(copy: Path) -> None:
    (copy / "2afc/val/noise/p0/000000.png").write_bytes(b"")
    np.save(copy / "jnd/val/blur/same/000000.npy", np.array([2.0]))
    (copy / "jnd/val/noise/p1/000001.png").unlink()
    (copy / "jnd/val/noise/p1/000000.png").write_bytes(b"also where a subset's names are wrong")
    faults = bapps.verify(copy).faults
    wrong = [fault.split(": ")[0].removeprefix(f"{copy}/") for fault in faults]
    assert wrong == [
        "jnd/val/noise/p1",
        "2afc/val/noise/p0/000000.png",
        "jnd/val/noise/p1/000000.png",
        "jnd/val/blur/same/000000.npy",
    ]


# --------------------------------------------------------------------------------------------- fetch


@dataclass
class Server:
    """Serves files on this machine, and misbehaves as it is told.

    Attributes:
        files: by path; with what follows, changed by the tests.
        mishaps: what goes wrong with the next requests, in order: ``cut`` closes the connection after half of
            what was asked for, ``503`` is busy, ``ok`` is well.
        ranges: whether a part of a file can be asked for.
        asked: each request's path and ``Range``.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    mishaps: list[str] = field(default_factory=list)
    ranges: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    base: str = ""


@pytest.fixture
def server(written: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """BAPPS's server as it should be, with the small stand-in's archives."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    state = Server(
        files={
            "/twoafc_val.tar.gz": packed(written / "2afc/val", "val"),
            "/jnd.tar.gz": packed(written / "jnd", "jnd"),
        }
    )

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

        def do_GET(self) -> None:
            asked = self.headers["Range"]
            state.asked.append((self.path, asked))
            mishap = state.mishaps.pop(0) if state.mishaps else "ok"
            file = state.files.get(self.path, b"")
            first = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and state.ranges else 0
            if mishap == "503":
                status = 503
            elif self.path not in state.files:
                status = 404
            elif first >= len(file):
                status = 416
            else:
                status = 206 if first else 200
            body = file[first:] if status in (200, 206) else b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Encoding", "gzip")  # as odd servers have it
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if mishap == "cut" else body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        state.base = f"http://127.0.0.1:{listening.server_port}"
        yield state
        listening.shutdown()
        thread.join()


def test_a_redirect_does_not_leave_encryption(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    response = SimpleNamespace(url="http://elsewhere/twoafc_val.tar.gz", status_code=200, reason="OK")
    monkeypatch.setattr("requests.get", lambda *_, **__: contextlib.nullcontext(response))
    with pytest.raises(JudgmentsError, match=r"redirected to http://elsewhere/\S+, which is not"):
        fetching.fetch(tmp_path / "bapps", base="https://here", pause=0)


Member = tuple[str, bytes]
"""A member's name, and its type as `tarfile` has it."""


def packed(folder: Path, name: str, *more: Member) -> bytes:
    """A ``.tar.gz`` of a folder under a name, and then of more."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as tar:
        tar.add(folder, name)
        for member_name, kind in more:
            member = tarfile.TarInfo(member_name)
            member.type, member.linkname, member.size = kind, "../../../../evil", int(kind == tarfile.REGTYPE)
            tar.addfile(member, io.BytesIO(b"x"))
    return file.getvalue()


@pytest.fixture
def place(written: Path, tmp_path: Path) -> Path:
    """Where to fetch to; what it should hold is described in it, since it is not BAPPS's number."""
    folder = tmp_path / "fetched"
    folder.mkdir()
    shutil.copy(written / "dps-dataset.json", folder)
    return folder


def fetch(server: Server, place: Path) -> dict[str, str]:
    """Fetch, and find nothing wrong."""
    fetched = fetching.fetch(place, base=server.base, pause=0)
    assert bapps.verify(place).faults == []
    return fetched


def assert_not_fetched(server: Server, place: Path, *parts: str) -> None:
    """One line, with these parts, and nothing that looks like BAPPS."""
    with pytest.raises(JudgmentsError) as caught:
        fetch(server, place)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
    assert not (place / "2afc/val").exists()
    with pytest.raises(JudgmentsError):
        bapps.read(place)


def test_fetching(server: Server, place: Path, small: Dataset) -> None:
    digests = {name[1:]: hashlib.sha256(data).hexdigest() for name, data in server.files.items()}
    assert fetch(server, place) == digests
    assert counts(bapps.read(place)) == counts(small)
    assert sorted(path.name for path in place.iterdir()) == ["2afc", "dps-dataset.json", "jnd"]
    assert fetch(server, place) == {}  # everything is there, so nothing is requested
    shutil.rmtree(place / "jnd")
    assert list(fetch(server, place)) == ["jnd.tar.gz"]
    assert server.asked == [("/twoafc_val.tar.gz", None), ("/jnd.tar.gz", None), ("/jnd.tar.gz", None)]


def whole_chunks(size: int) -> int:
    return size // fetching.CHUNK * fetching.CHUNK


def test_a_download_that_is_cut_is_resumed(server: Server, place: Path) -> None:
    server.mishaps = ["cut", "503", "cut"]
    fetch(server, place)
    whole = len(server.files["/twoafc_val.tar.gz"])
    half = whole_chunks(whole // 2)
    three_quarters = half + whole_chunks((whole - half) // 2)
    assert [asked for path, asked in server.asked if path == "/twoafc_val.tar.gz"] == [
        None,
        f"bytes={half}-",
        f"bytes={half}-",
        f"bytes={three_quarters}-",
    ]


def test_a_download_is_resumed_in_the_next_run(server: Server, place: Path) -> None:
    server.mishaps = ["cut", *["503"] * fetching.TRIES]
    half = whole_chunks(len(server.files["/twoafc_val.tar.gz"]) // 2)
    assert_not_fetched(
        server,
        place,
        f"/twoafc_val.tar.gz: the server responded 503 Service Unavailable; {half:,} bytes are kept. Check the network "
        "and run the same command again to resume.",
    )
    server.asked.clear()
    fetch(server, place)
    assert server.asked[0] == ("/twoafc_val.tar.gz", f"bytes={half}-")


def test_a_download_that_was_killed_at_its_end_begins_again(server: Server, place: Path) -> None:
    (place / ".dps-fetch").mkdir()
    size = (place / ".dps-fetch/twoafc_val.tar.gz.part").write_bytes(server.files["/twoafc_val.tar.gz"])
    fetch(server, place)
    assert server.asked[:2] == [("/twoafc_val.tar.gz", f"bytes={size}-"), ("/twoafc_val.tar.gz", None)]


def test_a_file_that_changed_in_the_meantime_is_removed_and_fetched_by_the_next_run(
    server: Server, place: Path
) -> None:
    server.mishaps = ["cut", *["503"] * fetching.TRIES]
    assert_not_fetched(server, place)
    server.files["/twoafc_val.tar.gz"] = gzip.compress(gzip.decompress(server.files["/twoafc_val.tar.gz"]), 9)
    assert_not_fetched(server, place, "not the expected archive, removed: damaged archive (")
    fetch(server, place)


def test_a_server_that_only_ever_sends_half_is_given_up(server: Server, place: Path) -> None:
    server.ranges = False
    server.mishaps = ["cut"] * 20
    assert_not_fetched(server, place, "/twoafc_val.tar.gz: ", " bytes are kept")
    assert len(server.asked) == fetching.TRIES + 1  # the first one gained something


def test_a_missing_archive(server: Server, place: Path) -> None:
    server.files.clear()
    assert_not_fetched(server, place, "/twoafc_val.tar.gz: the server responded 404 Not Found. BAPPS may have moved")


def test_no_network(server: Server, place: Path) -> None:
    server.base = "http://127.0.0.1:1"  # nobody listens there
    assert_not_fetched(
        server, place, "connection failed or interrupted (ConnectionError); 0 bytes are kept. Check the network and run"
    )


def flipped(data: bytes) -> bytes:
    """One wrong bit in the checksum at the end of a gzip file."""
    return data[:-8] + bytes([data[-8] ^ 1]) + data[-7:]


def with_member(name: str, kind: bytes = tarfile.REGTYPE) -> Callable[[Path], bytes]:
    return lambda val: packed(val, "val", (name, kind))


def without_an_image(val: Path) -> bytes:
    (val / "blur/p1/000001.png").unlink()
    return packed(val, "val")


FORBIDDEN, DAMAGED = "it contains an unsafe member (", "damaged archive ("
WRONG_ARCHIVES: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "above": (with_member("../../evil"), FORBIDDEN),
    "symbolic link": (with_member("val/noise/ref/odd", tarfile.SYMTYPE), FORBIDDEN),
    "wrong checksum": (lambda val: flipped(packed(val, "val")), DAMAGED),
    "cut short": (lambda val: packed(val, "val")[:-20000], DAMAGED),
    "a page": (lambda _: b"<!DOCTYPE html><html>Log in first</html>", DAMAGED),
    "an image less": (without_an_image, "2afc/val/blur/p1: 2 of 3 files"),
    "something else": (lambda val: packed(val, "README"), "2afc/val/noise: missing or empty."),
}


@pytest.mark.parametrize("wrong", WRONG_ARCHIVES)
def test_a_wrong_archive_is_removed_and_fetched_by_the_next_run(
    server: Server, place: Path, copy: Path, wrong: str
) -> None:
    archive, reason = WRONG_ARCHIVES[wrong]
    good, server.files["/twoafc_val.tar.gz"] = server.files["/twoafc_val.tar.gz"], archive(copy / "2afc/val")
    assert_not_fetched(server, place, f"/twoafc_val.tar.gz: not the expected archive, removed: {reason}")
    left = sorted(str(path.relative_to(place)) for path in place.rglob("*"))
    assert left == [".dps-fetch", "dps-dataset.json"]
    assert not list(place.parent.glob("*evil*"))
    server.files["/twoafc_val.tar.gz"] = good
    fetch(server, place)


def test_members_beside_the_wanted_ones_are_left_out(server: Server, place: Path, written: Path) -> None:
    others = [(name, tarfile.REGTYPE) for name in ("README", "/dps-evil", "train/noise/ref/0.png")]
    server.files["/twoafc_val.tar.gz"] = packed(written / "2afc/val", "./val", *others)
    fetch(server, place)
    assert sorted(path.name for path in (place / "2afc").iterdir()) == ["val"]
    assert not Path("/dps-evil").exists()


def test_what_is_there_but_wrong_is_not_overwritten(server: Server, place: Path) -> None:
    fetch(server, place)
    (place / "2afc/val/blur/p1/000001.png").unlink()
    with pytest.raises(
        JudgmentsError, match=r"missing: 000001\.png\. Remove .*2afc/val and run the same command again"
    ):
        fetch(server, place)


def test_a_folder_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        JudgmentsError, match=r"file/below.*: cannot be written .*\. Once it can be, run the same command"
    ):
        fetch(server, tmp_path / "file/below")


def test_a_full_disk_while_downloading(server: Server, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device", "archive")

    monkeypatch.setattr(requests.Response, "iter_content", full)
    assert_not_fetched(server, place, "archive: cannot be written (No space left on device)")
