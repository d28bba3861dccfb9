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

import requests
from requests import codes
from tqdm import tqdm

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
            the folder or is incomplete, or the folder cannot be written. What was downloaded is kept where it can be
            of use, and the folder never looks like BAPPS before it is.
    """
    digests = {}
    try:
        for kind, (name, into) in ARCHIVES.items():
            target = folder / kind / SPLIT
            if not target.exists():
                (folder / WORK).mkdir(parents=True, exist_ok=True)
                digests[name] = _fetch(kind, f"{base}/{name}", into, folder, pause)
            elif faults := index_of(folder, (kind,)).faults:
                raise JudgmentsError(f"{faults[0]} Remove {target} and run the same command again to fetch it.")
        shutil.rmtree(folder / WORK, ignore_errors=True)
    except OSError as error:
        where = error.filename or folder
        raise JudgmentsError(
            f"{where}: cannot be written ({error.strerror or error}); when it can be, {RESUME}."
        ) from None
    return digests


def _fetch(kind: str, url: str, into: str, folder: Path, pause: float) -> str:
    """Fetch one part of BAPPS, and return the archive's digest."""
    archive = folder / WORK / url.rpartition("/")[2]
    if not archive.exists():
        part = archive.with_name(archive.name + ".part")
        _download(url, part, pause)
        part.replace(archive)
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    with tempfile.TemporaryDirectory(dir=folder / WORK) as temporary:
        unpacked = Path(temporary)
        if (folder / DESCRIPTION).exists():
            shutil.copy(folder / DESCRIPTION, unpacked)
        try:
            _unpack(archive, unpacked / into)
            if faults := index_of(unpacked, (kind,)).faults:
                raise JudgmentsError(faults[0].replace(f"{unpacked}/", ""))
        except JudgmentsError as error:
            archive.unlink()
            raise JudgmentsError(f"{url}: not what it should be, so it was removed: {error}") from None
        (folder / kind).mkdir(exist_ok=True)
        (unpacked / kind / SPLIT).replace(folder / kind / SPLIT)
    archive.unlink()
    return digest


def _download(url: str, part: Path, pause: float) -> None:
    """Download a file, or what is missing of it; what is there of it is resumed after a failure."""
    part.touch()
    failures = 0
    while failures < TRIES:
        if failures:
            time.sleep(pause * 2**failures)
        before = part.stat().st_size
        try:
            _resume(url, part)
            return
        except requests.HTTPError as error:
            reason = str(error)
        except requests.RequestException as error:
            reason = f"no connection, or it broke off ({type(error).__name__})"
        failures = 0 if part.stat().st_size > before else failures + 1
    size = part.stat().st_size
    raise JudgmentsError(f"{url}: {reason}; {size:,} bytes are kept. Check the network, and {RESUME}.")


def _resume(url: str, part: Path) -> None:
    """Request what is missing of a file and add it; a JudgmentsError where it will never be complete.

    A `requests.RequestException` says that it is still not complete; the text of an `requests.HTTPError`, why.
    """
    size = part.stat().st_size
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={size}-"} if size else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUTS) as response:
        if url.startswith("https:") and not response.url.startswith("https:"):
            raise JudgmentsError(f"{url}: redirected to {response.url}, which is not encrypted; not followed.")
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
        raise JudgmentsError(f"a damaged archive ({one_line(error)}); is a proxy in between?") from None
