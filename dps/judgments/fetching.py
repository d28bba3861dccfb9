"""Download of BAPPS: interrupted downloads are resumed, and only complete parts appear in the folder.

Everything else is in its subfolder `WORK`.
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
"""Name of each part's archive on the server, and the folder in which it is extracted."""

WORK = ".dps-fetch"

TRIES = 4
"""Number of consecutive failures without progress after which a download fails."""

CHUNK = 2**15
"""Number of bytes per write, and the most that an interrupted download loses."""

RESUME = "run the same command again to resume"


def fetch(folder: Path, *, base: str = BASE, pause: float = 1.0) -> dict[str, str]:
    """Download and extract the missing parts of BAPPS's validation set, 1.3 GB in all.

    A terminal shows the progress. The parts are checked against the folder's description, see `bapps.DESCRIPTION`.

    Args:
        pause: seconds to wait after a failure, doubled with each consecutive one.

    Returns:
        SHA-256 of each downloaded archive; empty if the folder was complete.

    Raises:
        JudgmentsError: the connection failed, an archive is missing, incomplete, or would write outside of the folder,
            or the folder cannot be written. Partial downloads that can be resumed are kept; the folder is a BAPPS
            folder only once it is complete.
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
            f"{where}: cannot be written ({error.strerror or error}). Once it can be, {RESUME}."
        ) from None
    return digests


def _fetch(kind: str, url: str, into: str, folder: Path, pause: float) -> str:
    """Download and extract one part of BAPPS; return the SHA-256 of the archive."""
    archive = folder / WORK / url.rpartition("/")[2]
    if not archive.exists():
        part = archive.with_name(archive.name + ".part")
        _download(url, part, pause)
        part.replace(archive)
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    with tempfile.TemporaryDirectory(dir=folder / WORK) as temporary:
        extracted = Path(temporary)
        if (folder / DESCRIPTION).exists():
            shutil.copy(folder / DESCRIPTION, extracted)
        try:
            _extract(archive, extracted / into)
            if faults := index_of(extracted, (kind,)).faults:
                raise JudgmentsError(faults[0].replace(f"{extracted}/", ""))
        except JudgmentsError as error:
            archive.unlink()
            raise JudgmentsError(f"{url}: not the expected archive, removed: {error}") from None
        (folder / kind).mkdir(exist_ok=True)
        (extracted / kind / SPLIT).replace(folder / kind / SPLIT)
    archive.unlink()
    return digest


def _download(url: str, part: Path, pause: float) -> None:
    """Download the rest of a file; resume after failures."""
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
            reason = f"connection failed or interrupted ({type(error).__name__})"
        failures = 0 if part.stat().st_size > before else failures + 1
    size = part.stat().st_size
    raise JudgmentsError(f"{url}: {reason}; {size:,} bytes are kept. Check the network and {RESUME}.")


def _resume(url: str, part: Path) -> None:
    """Request the rest of a file and append it.

    Raises:
        JudgmentsError: another request cannot succeed.
        requests.RequestException: the file is still incomplete; the text of a `requests.HTTPError` is the reason.
    """
    size = part.stat().st_size
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={size}-"} if size else {})
    with requests.get(url, headers=headers, stream=True, timeout=(20.0, 60.0)) as response:
        if url.startswith("https:") and not response.url.startswith("https:"):
            raise JudgmentsError(f"{url}: redirected to {response.url}, which is not encrypted; not downloaded.")
        status, reason = response.status_code, f"the server responded {response.status_code} {response.reason}"
        if status == codes.requested_range_not_satisfiable:  # the file was complete, or has changed on the server
            part.write_bytes(b"")
        if status >= 500 or status in (codes.requested_range_not_satisfiable, codes.too_many_requests):
            raise requests.HTTPError(reason)
        if status not in (codes.ok, codes.partial_content):
            raise JudgmentsError(
                f"{url}: {reason}. BAPPS may have moved: see https://github.com/richzhang/PerceptualSimilarity."
            )
        start = size if status == codes.partial_content else 0
        length = int(response.headers.get("Content-Length") or 0)
        response.raw.headers.pop("Content-Encoding", None)  # else requests would decompress the archive
        with (
            part.open("ab" if start else "wb") as file,
            tqdm(desc=part.stem, total=start + length, initial=start, unit="B", unit_scale=True, disable=None) as bar,
        ):
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))


def _extract(archive: Path, folder: Path) -> None:
    """Extract a ``.tar.gz`` file; a JudgmentsError if it is damaged or would write outside of the folder."""
    folder.mkdir(exist_ok=True)
    try:
        with gzip.open(archive) as unzipped, tarfile.open(fileobj=unzipped, mode="r:") as tar:
            tar.extractall(folder, filter="data")
            while unzipped.read(2**20):  # gzip verifies its checksum at the end of the file
                pass
    except tarfile.FilterError as error:
        raise JudgmentsError(f"it contains an unsafe member ({one_line(error)}).") from None
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise JudgmentsError(f"damaged archive ({one_line(error)}); is a proxy in between?") from None
