"""Downloading BAPPS: a download that breaks off is resumed, and a part of BAPPS is in the folder when it is complete.

Until then everything is in `WORK` inside the folder.
"""

import gzip
import hashlib
import shutil
import tarfile
import tempfile
import time
import zlib
from pathlib import Path

import filelock
import requests
from requests import codes
from tqdm import tqdm

from dps import files
from dps.errors import JudgmentsError, one_line
from dps.judgments.bapps import DESCRIPTION, SPLIT, index_of

BASE = "https://perceptual-similarity.s3.us-west-2.amazonaws.com/dataset"

ARCHIVES = {
    "2afc": ("twoafc_val.tar.gz", "2afc"),  # members val/SUBSET/...
    "jnd": ("jnd.tar.gz", "."),  # members jnd/val/SUBSET/...
}
"""For each part of BAPPS the archive's name on the server, and the folder that its members' names are relative to."""

WORK = ".dps-fetch"
"""The folder of archives that are not unpacked yet."""

DIGESTS = "SHA256SUMS"
"""The file of the digests of the archives that were fetched, as ``sha256sum`` writes them."""

TRIES = 4
"""Failures in a row without a byte gained after which a download fails."""

TIMEOUTS = (20.0, 60.0)
"""Seconds to connect, and to wait for the next bytes."""

CHUNK = 2**15
"""Bytes that are written at once; fewer are lost where a download breaks off."""

RESUME = "run the same command again to resume"


def fetch(folder: Path, *, base: str = BASE, pause: float = 1.0) -> dict[str, str]:
    """Download and unpack what a folder lacks of BAPPS's validation set: 1.3 GB.

    A terminal shows the progress. A folder with a description of its own is filled and checked as that says. After a
    failure it waits for a `pause` in seconds, twice as long each time.

    Returns:
        The archives that were fetched, each with its SHA-256; none if everything was there.

    Raises:
        JudgmentsError: there is no connection, the server has something else, an archive wants to write outside of
            the folder, is incomplete or has another digest than before, or the folder cannot be written. What was
            downloaded is kept where it can be of use, and the folder never looks like BAPPS before it is.
    """
    try:
        (folder / WORK).mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / WORK / "lock", blocking=False):
            digests = {name: _fetch(kind, name, into, folder, base, pause) for kind, (name, into) in ARCHIVES.items()}
            shutil.rmtree(folder / WORK)
    except filelock.Timeout:
        raise JudgmentsError(f"{folder}: another process is fetching into it; wait for that one.") from None
    except OSError as error:
        where = error.filename or folder
        raise JudgmentsError(
            f"{where}: cannot be written ({error.strerror or error}); when it can be, {RESUME}."
        ) from None
    return {name: digest for name, digest in digests.items() if digest}


def _fetch(kind: str, name: str, into: str, folder: Path, base: str, pause: float) -> str:
    """Fetch one part of BAPPS, if it is not there, and return the archive's digest."""
    target = folder / kind / SPLIT
    if target.exists():
        if faults := index_of(folder, (kind,)).faults:
            raise JudgmentsError(f"{faults[0]} Remove {target} and run the same command again to fetch it.")
        return ""
    url, archive = f"{base}/{name}", folder / WORK / name
    if not archive.exists():
        _download(url, archive, pause)
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    sums = (folder / DIGESTS).read_text(encoding="utf-8") if (folder / DIGESTS).exists() else ""
    recorded = {file: text for text, _, file in (line.partition("  ") for line in sums.splitlines())}
    with tempfile.TemporaryDirectory(dir=folder / WORK, prefix="unpacked.") as temporary:
        unpacked = Path(temporary)
        if (folder / DESCRIPTION).exists():
            shutil.copy(folder / DESCRIPTION, unpacked)
        try:
            if (expected := recorded.setdefault(name, digest)) != digest:
                raise JudgmentsError(f"SHA-256 {digest[:12]}.. but {expected[:12]}.. stands in {folder / DIGESTS}.")
            _unpack(archive, unpacked / into)
            if faults := index_of(unpacked, (kind,)).faults:
                raise JudgmentsError(faults[0].replace(f"{unpacked}/", ""))
        except JudgmentsError as error:
            archive.unlink()
            raise JudgmentsError(f"{url}: not what it should be, so it was removed: {error}") from None
        target.parent.mkdir(exist_ok=True)
        (unpacked / kind / SPLIT).replace(target)
    files.write(folder / DIGESTS, "".join(f"{text}  {file}\n" for file, text in recorded.items()).encode())
    archive.unlink()
    return digest


def _download(url: str, archive: Path, pause: float) -> None:
    """Download a gzip file; what is there of it ends in ``.part``, and is resumed after a failure."""
    part = archive.with_name(archive.name + ".part")
    part.touch()
    failures = 0
    with requests.Session() as session:
        if url.startswith("https:"):
            session.adapters.pop("http://")  # a redirect must not leave encryption
        while True:
            before = part.stat().st_size
            try:
                _resume(session, url, part)
                break
            except (requests.TooManyRedirects, requests.exceptions.InvalidSchema) as error:
                raise JudgmentsError(f"{url}: a redirect that is not followed ({one_line(error)}).") from None
            except requests.HTTPError as error:
                reason = str(error)
            except requests.RequestException as error:
                reason = f"no connection, or it broke off ({type(error).__name__})"
            size = part.stat().st_size
            failures = 0 if size > before else failures + 1
            if failures == TRIES:
                raise JudgmentsError(f"{url}: {reason}; {size:,} bytes are kept. Check the network, and {RESUME}.")
            time.sleep(pause * 2**failures)
    with part.open("rb") as file:
        start = file.read(24)
    if not start.startswith(b"\x1f\x8b"):
        part.unlink()
        raise JudgmentsError(f"{url}: not a gzip file (is a proxy in between?), it begins with {start!r}.")
    part.replace(archive)


def _resume(session: requests.Session, url: str, part: Path) -> None:
    """Request what is missing of a file and add it; a JudgmentsError where it will never be complete.

    A `requests.RequestException` says that it is still not complete; the text of an `requests.HTTPError`, why.
    """
    size = part.stat().st_size
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={size}-"} if size else {})
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUTS) as response:
        status, answer = response.status_code, f"the server answers {response.status_code} {response.reason}"
        if status == codes.requested_range_not_satisfiable:  # nothing is missing, or it is another file
            part.write_bytes(b"")
        if status >= 500 or status in (codes.requested_range_not_satisfiable, codes.too_many_requests):
            raise requests.HTTPError(answer)
        if status not in (codes.ok, codes.partial_content):
            raise JudgmentsError(
                f"{url}: {answer}. BAPPS may have moved: see https://github.com/richzhang/PerceptualSimilarity."
            )
        first = size if status == codes.partial_content else 0
        length = int(response.headers.get("Content-Length") or 0)
        response.raw.headers.pop("Content-Encoding", None)  # the file itself is compressed
        with (
            part.open("ab" if first else "wb") as file,
            tqdm(desc=part.stem, total=first + length, initial=first, unit="B", unit_scale=True, disable=None) as bar,
        ):
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack a ``.tar.gz`` and check its checksum; a JudgmentsError where it is damaged, or would write elsewhere."""
    folder.mkdir(exist_ok=True)
    try:
        with gzip.open(archive) as unzipped, tarfile.open(fileobj=unzipped, mode="r:") as tar:
            tar.extractall(folder, filter="data")
            while unzipped.read(2**20):
                pass
    except tarfile.FilterError as error:
        raise JudgmentsError(f"a member that must not be unpacked ({one_line(error)}).") from None
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise JudgmentsError(f"a damaged archive ({one_line(error)}).") from None
