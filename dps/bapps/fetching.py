"""Downloading BAPPS: a broken download goes on where it was, and nothing is unpacked but what belongs there.

Everything happens in `WORK` inside the folder; a part of BAPPS gets its name in the folder when it is whole.
"""

import gzip
import re
import shutil
import tarfile
import tempfile
import time
import urllib.parse
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import filelock
import requests
from tqdm import tqdm

from dps.bapps.folders import DESCRIPTION, SPLIT, faults_of
from dps.errors import BappsError, one_line

BASE = "https://perceptual-similarity.s3.us-west-2.amazonaws.com/dataset"

WORK = ".dps-fetch"
"""Where archives are kept until they are unpacked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """One file to download.

    Attributes:
        file: its name on the server.
        kind: the folder that it fills; ``val`` of it is all that is taken.
        into: where its members' names begin, relative to the BAPPS folder.
    """

    file: str
    kind: str
    into: str


ARCHIVES = (
    Archive(file="twoafc_val.tar.gz", kind="2afc", into="2afc"),  # members val/SUBSET/...
    Archive(file="jnd.tar.gz", kind="jnd", into="."),  # members jnd/val/SUBSET/...
)

TRIES = 4
"""How often in a row a download may gain nothing before it is given up."""

STREAM_ERROR: type[Exception] = requests.exceptions.BaseHTTPError  # type: ignore[attr-defined]
"""What breaks off while a body is read; it is urllib3's, which requests brings."""

TIMEOUTS = (20.0, 60.0)
"""Seconds to connect, and to wait for the next bytes."""

REDIRECTS = 5

UNPACKED_AT_MOST = 64 * 2**30
"""Bytes; BAPPS's validation set is far below."""

AGAIN = "run the same command again to go on"


def fetch(folder: Path, *, base: str = BASE, pause: float = 1.0) -> tuple[str, ...]:
    """Download and unpack what a folder lacks of BAPPS's validation set: 1.3 GB.

    A terminal shows how far it is. A folder with a description of its own is filled and checked as that says.

    Args:
        folder: is made where it is missing; will hold ``2afc`` and ``jnd``.
        base: the address that the archives are below.
        pause: seconds to wait after a failure, twice as long each time.

    Returns:
        The archives that were fetched; none if everything was there.

    Raises:
        BappsError: there is no connection, the server has something else, an archive wants to write outside of
            the folder, what is in it is not all of BAPPS, or the folder cannot be written. What was downloaded
            is kept where it can be of use, and the folder never looks like BAPPS before it is.
    """
    with _writing(folder):
        work = folder / WORK
        work.mkdir(parents=True, exist_ok=True)
        with _alone(work):
            fetched = tuple(archive.file for archive in ARCHIVES if _fetch(archive, folder, base, pause))
            shutil.rmtree(work)
    return fetched


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or folder
        raise BappsError(f"{where}: cannot be written ({error.strerror or error}); when it can be, {AGAIN}.") from None


@contextmanager
def _alone(work: Path) -> Iterator[None]:
    """One process at a time."""
    try:
        with filelock.FileLock(work / "lock", timeout=0):
            yield
    except filelock.Timeout:
        raise BappsError(f"{work.parent}: another process is fetching into it; wait for that one.") from None


def _fetch(archive: Archive, folder: Path, base: str, pause: float) -> bool:
    """Fetch one part of BAPPS, if it is not there."""
    target = folder / archive.kind / SPLIT
    if target.exists():
        if faults := faults_of(folder, archive.kind):
            raise BappsError(f"{faults[0]} Remove {target} and run the same command again to fetch it anew.")
        return False
    url = f"{base}/{archive.file}"
    path = folder / WORK / archive.file
    if not path.exists():
        download(url, path, pause=pause)
    with tempfile.TemporaryDirectory(dir=folder / WORK, prefix="unpacked.") as temporary:
        made = Path(temporary)
        if (folder / DESCRIPTION).exists():
            shutil.copy(folder / DESCRIPTION, made)
        try:
            unpack(path, made / archive.into, PurePosixPath(archive.kind, SPLIT).relative_to(archive.into))
            faults = faults_of(made, archive.kind)
        except BappsError as error:
            faults = [f"{error}"]
        if faults:
            path.unlink()
            what = faults[0].replace(f"{made}/", "").replace(f"{path}: ", "")
            raise BappsError(f"{url}: not what it should be, so it was removed: {what}")
        target.parent.mkdir(exist_ok=True)
        (made / archive.kind / SPLIT).replace(target)
    path.unlink()
    return True


# ---------------------------------------------------------------------------------------------- download


class _BrokeOff(Exception):  # noqa: N818 - not an error yet
    """The download failed for now; why, in a few words."""


def download(url: str, path: Path, *, pause: float = 1.0) -> None:
    """Download a gzip archive.

    What a broken download got lies beside the path, ending in ``.part``, and the next one goes on from there if
    the server says that the file is still the same one (RFC 9110: ``Range`` with ``If-Range``).

    Args:
        url: its address.
        path: where the whole file goes.
        pause: seconds to wait after a failure, twice as long each time; after `TRIES` failures in a row with
            nothing gained it is given up.

    Raises:
        BappsError: there is no connection, or the server has no such file, or something else there.
    """
    part = path.with_name(path.name + ".part")
    most, failures = _size(part), 0
    with requests.Session() as session:
        while True:
            try:
                _go_on(session, url, part)
                break
            except _BrokeOff as error:
                why = str(error)
            except (requests.RequestException, STREAM_ERROR) as error:
                why = _in_words(error)
            gained, most = _size(part) > most, max(most, _size(part))
            failures = 0 if gained else failures + 1
            if failures == TRIES:
                raise BappsError(f"{url}: {why}; {_size(part):,} bytes are kept. Check the network, and {AGAIN}.")
            time.sleep(pause * 2**failures)
    with part.open("rb") as file:
        start = file.read(64)
    if not start.startswith(b"\x1f\x8b"):
        part.unlink()
        raise BappsError(f"{url}: not a gzip file (is a proxy in between?), it begins with {start[:24]!r}.")
    _stamp(part).unlink(missing_ok=True)
    part.replace(path)


def _go_on(session: requests.Session, url: str, part: Path) -> None:
    """Ask for what is missing of a file and add it.

    Raises:
        _BrokeOff: it is still not whole.
        BappsError: it never will be.
    """
    have = _size(part)
    headers = {"Accept-Encoding": "identity"}
    if have and _stamp(part).exists():
        headers |= {"Range": f"bytes={have}-", "If-Range": _stamp(part).read_text(encoding="ascii")}
    with _get(session, url, headers) as response:
        total, first = _extent(response, have)
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            if total == have:
                return
            part.unlink()
            raise _BrokeOff("the server has a shorter file than was fetched before")
        _check_answer(response, url)
        if first not in (0, have):
            raise _BrokeOff(f"the server went on at byte {first:,} when asked for {have:,}")
        if first == 0:
            part.unlink(missing_ok=True)
            _stamp(part).unlink(missing_ok=True)
            if same := _validator(response):
                _stamp(part).write_text(same, encoding="ascii")
        _save(response, part, total, first)
    if total is not None and _size(part) != total:
        raise _BrokeOff(f"the download broke off at {_size(part):,} of {total:,} bytes")


def _save(response: requests.Response, part: Path, total: int | None, first: int) -> None:
    bar = tqdm(
        desc=part.name.removesuffix(".part"),
        total=total,
        initial=first,
        unit="B",
        unit_scale=True,
        unit_divisor=1024,
        disable=None,
    )
    with bar, part.open("ab") as file:
        for chunk in response.raw.stream(2**18, decode_content=False):
            file.write(chunk)
            bar.update(len(chunk))


def _get(session: requests.Session, url: str, headers: dict[str, str]) -> requests.Response:
    """Ask, following redirects, but never from https to anything else."""
    asked = url
    for _ in range(REDIRECTS + 1):
        response = session.get(asked, headers=headers, stream=True, timeout=TIMEOUTS, allow_redirects=False)
        if not response.is_redirect:
            return response
        response.close()
        target = urllib.parse.urljoin(asked, response.headers["location"])
        before, after = (urllib.parse.urlsplit(address).scheme for address in (asked, target))
        if after not in ("https", before):
            raise BappsError(f"{url}: redirects to {target}, which is less safe; not followed.")
        asked = target
    raise BappsError(f"{url}: redirects more than {REDIRECTS} times; not followed.")


def _extent(response: requests.Response, have: int) -> tuple[int | None, int]:
    """How large the whole file is, if the server says so, and with which byte the answer begins."""
    if response.status_code == requests.codes.partial_content:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if match is None:
            raise _BrokeOff("the server sent a part without saying which")
        return int(match[2]), int(match[1])
    if response.status_code == requests.codes.requested_range_not_satisfiable:
        match = re.fullmatch(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
        return (int(match[1]) if match else None), have
    length = response.headers.get("Content-Length", "")
    return (int(length) if length.isdecimal() else None), 0


def _check_answer(response: requests.Response, url: str) -> None:
    """Tell what will pass from what will not.

    Raises:
        _BrokeOff: the server is busy or broken.
        BappsError: it has no such file, or a page in its place.
    """
    status = response.status_code
    if status >= 500 or status == requests.codes.too_many_requests:
        raise _BrokeOff(f"the server answers {status} {response.reason}")
    if status not in (requests.codes.ok, requests.codes.partial_content):
        raise BappsError(
            f"{url}: the server answers {status} {response.reason}. BAPPS may have moved: "
            "see https://github.com/richzhang/PerceptualSimilarity for where it is now."
        )
    kind = response.headers.get("Content-Type", "")
    if kind.startswith("text/"):
        raise BappsError(
            f"{url}: the server sends a page ({kind}), no archive; does this network want you to log in first?"
        )


def _validator(response: requests.Response) -> str:
    """What tells whether a file is still the same one: a strong ETag, or the time of its last change."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _in_words(error: Exception) -> str:
    words: dict[type[Exception], str] = {
        requests.exceptions.SSLError: "the server's certificate cannot be checked",
        requests.exceptions.ProxyError: "no connection through the proxy",
        requests.exceptions.Timeout: "the server did not answer in time",
        requests.exceptions.ConnectionError: "no connection to the server",
    }
    if isinstance(error, STREAM_ERROR):
        return "the server stopped sending" if "timed out" in str(error) else "the connection broke off"
    return next((text for kind, text in words.items() if isinstance(error, kind)), one_line(error))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _stamp(part: Path) -> Path:
    """Beside a part: what tells whether the server still has the same file."""
    return part.with_name(part.name + ".same")


# ------------------------------------------------------------------------------------------------ unpack


def unpack(archive: Path, folder: Path, wanted: PurePosixPath) -> None:
    """Unpack one folder of a gzip archive, with plain files and folders in it.

    Args:
        archive: a ``.tar.gz``; read to its end, so that its checksum is checked.
        folder: where names in the archive begin.
        wanted: what to unpack; other members are checked and left out.

    Raises:
        BappsError: the archive is damaged, or holds, anywhere, a link, a device, or a name that is absolute or
            contains ``..``; what was unpacked until then has to be thrown away.
    """
    room = UNPACKED_AT_MOST
    try:
        with gzip.open(archive) as unzipped, tarfile.open(fileobj=unzipped, mode="r:") as tar:
            for member in tar:
                _check_member(member, archive)
                room -= member.size
                if room < 0:
                    raise BappsError(f"{archive}: holds more than {UNPACKED_AT_MOST:,} bytes; not unpacked.")
                if PurePosixPath(member.name).is_relative_to(wanted):
                    _extract(tar, member, folder)
            while unzipped.read(2**20):
                pass
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BappsError(f"{archive}: a damaged archive ({one_line(error)}).") from None


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Write one checked member's bytes; nothing else that the archive says of it, such as owner or mode."""
    path = folder / member.name
    content = tar.extractfile(member)  # None for a folder
    (path if content is None else path.parent).mkdir(parents=True, exist_ok=True)
    if content is not None:
        with content, path.open("wb") as file:
            shutil.copyfileobj(content, file)


def _check_member(member: tarfile.TarInfo, archive: Path) -> None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or "\\" in member.name:
        raise BappsError(f"{archive}: member {member.name!r} leads out of the folder; nothing of it is used.")
    if not (member.isreg() or member.isdir()):
        raise BappsError(f"{archive}: member {member.name!r} is a link or device; nothing of it is used.")
