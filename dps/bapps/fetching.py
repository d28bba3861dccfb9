"""Downloading BAPPS: a download that breaks off is resumed, and nothing is unpacked but what belongs there.

Everything happens in `WORK` inside the folder; a part of BAPPS gets its name in the folder when it is complete.
"""

import contextlib
import gzip
import hashlib
import re
import shutil
import sys
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import requests
from tqdm import tqdm

from dps import files
from dps.bapps.layout import DESCRIPTION, SPLIT, faults_of
from dps.errors import BappsError, one_line

BASE = "https://perceptual-similarity.s3.us-west-2.amazonaws.com/dataset"

WORK = ".dps-fetch"
"""The folder of archives that are not unpacked yet."""

DIGESTS = "SHA256SUMS"
"""The file of the digests of the archives that were fetched, as ``sha256sum`` writes them."""

TRIES = 4
"""Failures in a row without a byte gained after which a download fails."""

STREAM_ERROR: type[Exception] = requests.exceptions.BaseHTTPError  # type: ignore[attr-defined]
"""What breaks off while a body is read; it is urllib3's, which requests brings."""

TIMEOUTS = (20.0, 60.0)
"""Seconds to connect, and to wait for the next bytes."""

UNPACKED_LIMIT = 64 * 2**30
"""Bytes; BAPPS's validation set is far below."""

RESUME = "run the same command again to resume"


ARCHIVES = {
    "2afc": ("twoafc_val.tar.gz", "2afc"),  # members val/SUBSET/...
    "jnd": ("jnd.tar.gz", "."),  # members jnd/val/SUBSET/...
}
"""For each part of BAPPS the archive's name on the server, and the folder that its members' names are relative to."""


def fetch(folder: Path, *, base: str = BASE, pause: float = 1.0) -> dict[str, str]:
    """Download and unpack what a folder lacks of BAPPS's validation set: 1.3 GB.

    A terminal shows the progress. A folder with a description of its own is filled and checked as that says.

    Args:
        folder: is made where it is missing; will hold ``2afc``, ``jnd`` and `DIGESTS`.
        base: the address that the archives are below.
        pause: seconds to wait after a failure, twice as long each time.

    Returns:
        The archives that were fetched, each with its SHA-256; none if everything was there.

    Raises:
        BappsError: there is no connection, the server has something else, an archive wants to write outside of
            the folder, is incomplete or has another digest than before, or the folder cannot be written. What was
            downloaded is kept where it can be of use, and the folder never looks like BAPPS before it is.
    """
    try:
        (folder / WORK).mkdir(parents=True, exist_ok=True)
        with _one_process_at_a_time(folder):
            fetched = {name: _fetch(kind, name, into, folder, base, pause) for kind, (name, into) in ARCHIVES.items()}
            shutil.rmtree(folder / WORK)
    except OSError as error:
        where = error.filename or folder
        raise BappsError(f"{where}: cannot be written ({error.strerror or error}); when it can be, {RESUME}.") from None
    return {name: digest for name, digest in fetched.items() if digest}


@contextlib.contextmanager
def _one_process_at_a_time(folder: Path) -> Iterator[None]:
    with (folder / WORK / "lock").open("wb") as lock:
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise BappsError(f"{folder}: another process is fetching into it; wait for that one.") from None
        yield


def _fetch(kind: str, name: str, into: str, folder: Path, base: str, pause: float) -> str:
    """Fetch one part of BAPPS, if it is not there, and return the archive's digest."""
    target = folder / kind / SPLIT
    if target.exists():
        if faults := faults_of(folder, kind):
            raise BappsError(f"{faults[0]} Remove {target} and run the same command again to fetch it.")
        return ""
    url, path = f"{base}/{name}", folder / WORK / name
    if not path.exists():
        download(url, path, pause=pause)
    with tempfile.TemporaryDirectory(dir=folder / WORK, prefix="unpacked.") as temporary:
        unpacked = Path(temporary)
        if (folder / DESCRIPTION).exists():
            shutil.copy(folder / DESCRIPTION, unpacked)
        try:
            digest = _checked_digest(path, folder / DIGESTS)
            unpack(path, unpacked / into, PurePosixPath(kind, SPLIT).relative_to(into))
            faults = faults_of(unpacked, kind)
        except BappsError as error:
            faults = [f"{error}"]
        if faults:
            path.unlink()
            reason = faults[0].replace(f"{unpacked}/", "").replace(f"{path}: ", "")
            raise BappsError(f"{url}: not what it should be, so it was removed: {reason}")
        target.parent.mkdir(exist_ok=True)
        (unpacked / kind / SPLIT).replace(target)
    recorded = _recorded_digests(folder / DIGESTS) | {name: digest}
    files.write(folder / DIGESTS, "".join(f"{digest}  {name}\n" for name, digest in recorded.items()).encode())
    path.unlink()
    return digest


def _checked_digest(path: Path, digests: Path) -> str:
    """Return an archive's SHA-256; BappsError where another one is recorded."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    expected = _recorded_digests(digests).get(path.name, digest)
    if digest != expected:
        raise BappsError(f"SHA-256 {digest[:12]}.. but {expected[:12]}.. stands in {digests}.")
    return digest


def _recorded_digests(digests: Path) -> dict[str, str]:
    lines = digests.read_text(encoding="utf-8").splitlines() if digests.exists() else []
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


# ---------------------------------------------------------------------------------------------- download


class _InterruptedError(Exception):
    """The download failed for now; the text says why in a few words."""


def download(url: str, path: Path, *, pause: float = 1.0) -> None:
    """Download a gzip file.

    What an interrupted download got lies beside the path, ending in ``.part``, and the next one resumes it if the
    server says that the file is still the same one (RFC 9110: ``Range`` with ``If-Range``).

    Args:
        url: its address.
        path: where the complete file goes.
        pause: seconds to wait after a failure, twice as long each time.

    Raises:
        BappsError: there is no connection, or the server has no such file, or something else there.
    """
    part = path.with_name(path.name + ".part")
    most, failures = _size(part), 0
    with requests.Session() as session:
        session.max_redirects = 5
        while True:
            try:
                _resume(session, url, part)
                break
            except (requests.TooManyRedirects, requests.exceptions.InvalidSchema) as error:
                raise BappsError(f"{url}: a redirect that is not followed ({one_line(error)}).") from None
            except _InterruptedError as error:
                reason = str(error)
            except (requests.RequestException, STREAM_ERROR) as error:
                reason = f"no connection, or it broke off ({type(error).__name__})"
            failures = 0 if _size(part) > most else failures + 1
            most = max(most, _size(part))
            if failures == TRIES:
                raise BappsError(f"{url}: {reason}; {_size(part):,} bytes are kept. Check the network, and {RESUME}.")
            time.sleep(pause * 2**failures)
    with part.open("rb") as file:
        start = file.read(24)
    if not start.startswith(b"\x1f\x8b"):
        part.unlink()
        raise BappsError(f"{url}: not a gzip file (is a proxy in between?), it begins with {start!r}.")
    _validator_of(part).unlink(missing_ok=True)
    part.replace(path)


def _resume(session: requests.Session, url: str, part: Path) -> None:
    """Request what is missing of a file and add it.

    Raises:
        _InterruptedError, requests.RequestException: it is still not complete.
        BappsError: it never will be.
    """
    size, validator = _size(part), _validator_of(part)
    headers = {"Accept-Encoding": "identity"}
    if size and validator.exists():
        headers |= {"Range": f"bytes={size}-", "If-Range": validator.read_text(encoding="ascii")}
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUTS) as response:
        if url.startswith("https:") and not response.url.startswith("https:"):
            raise BappsError(f"{url}: redirects to {response.url}, which is not encrypted; not followed.")
        status, answer = response.status_code, f"the server answers {response.status_code} {response.reason}"
        extent = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+)", response.headers.get("Content-Range", ""))
        if status == requests.codes.requested_range_not_satisfiable:
            if extent and int(extent[2]) == size:
                return
            part.unlink()
            raise _InterruptedError("the server has a shorter file than was fetched before")
        if status >= 500 or status == requests.codes.too_many_requests:
            raise _InterruptedError(answer)
        resumed = status == requests.codes.partial_content
        if resumed and (extent is None or int(extent[1] or 0) != size):
            raise _InterruptedError("the server sent another part than it was asked for")
        if not resumed and status != requests.codes.ok:
            raise BappsError(
                f"{url}: {answer}. BAPPS may have moved: see https://github.com/richzhang/PerceptualSimilarity."
            )
        total = int(extent[2]) if resumed and extent else int(response.headers.get("Content-Length") or 0)
        if not resumed:
            part.unlink(missing_ok=True)
            tag = response.headers.get("ETag", "")
            validator.write_text(tag if tag.startswith('"') else response.headers.get("Last-Modified", ""), "ascii")
            size = 0
        _save(response, part, total, size)
    if total and _size(part) != total:
        raise _InterruptedError(f"the download broke off at {_size(part):,} of {total:,} bytes")


def _save(response: requests.Response, part: Path, total: int, size: int) -> None:
    units = {"unit": "B", "unit_scale": True, "unit_divisor": 1024}
    with (
        tqdm(desc=part.stem, total=total or None, initial=size, disable=None, **units) as bar,  # type: ignore[call-overload]
        part.open("ab") as file,
    ):
        for chunk in response.raw.stream(2**18, decode_content=False):  # the file itself is compressed
            file.write(chunk)
            bar.update(len(chunk))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _validator_of(part: Path) -> Path:
    """Return the file beside a part that holds the server's ETag or the time of the last change."""
    return part.with_name(part.name + ".same")


# ------------------------------------------------------------------------------------------------ unpack


def unpack(archive: Path, folder: Path, wanted: PurePosixPath) -> None:
    """Unpack one folder of a gzip archive, with regular files and folders in it.

    Args:
        archive: a ``.tar.gz``; read to its end, so that its checksum is checked.
        folder: the folder that names in the archive are relative to.
        wanted: what to unpack; other members are left out.

    Raises:
        BappsError: the archive is damaged or too large, or what is wanted of it is a link or device or leads out of
            the folder; what was unpacked until then has to be thrown away.
    """
    room = UNPACKED_LIMIT
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with gzip.open(archive) as unzipped, tarfile.open(fileobj=unzipped, mode="r:") as tar:
            for member in tar:
                room -= member.size
                if room < 0:
                    raise BappsError(f"{archive}: holds more than {UNPACKED_LIMIT:,} bytes; not unpacked.")
                if PurePosixPath(member.name).is_relative_to(wanted):
                    if not (member.isreg() or member.isdir()):
                        raise BappsError(f"{archive}: member {member.name!r} is a link or device; not unpacked.")
                    tar.extract(member, folder, filter="data")
            while unzipped.read(2**20):
                pass
    except tarfile.FilterError as error:
        raise BappsError(f"{archive}: a member leads out of the folder ({one_line(error)}); not unpacked.") from None
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BappsError(f"{archive}: a damaged archive ({one_line(error)}).") from None
