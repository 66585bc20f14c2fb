"""Download a file: resumed where it broke off, checked, and under its final name only when it is whole."""

import urllib.error
import urllib.request
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from regionflow.base.errors import UserError
from regionflow.base.files import sha256_of

CHUNK = 1 << 20


class DownloadError(UserError):
    """A download that did not end in the right file; the message says what to do."""


def download(url: str, target: Path, sha256: str | None = None, timeout: float = 60.0) -> str:
    """Fetch `url` to `target` and return the file's sha256 in hex.

    A broken download stays as `<target>.part` and the next call asks for the rest of it. A server that does not know
    ranges sends the whole file again.

    Args:
        url: http or https address.
        target: final path; its folder is made.
        sha256: what the file must hash to; None accepts any.
        timeout: seconds without a byte until the connection counts as broken.

    Raises:
        DownloadError: no connection, an error from the server, an HTML page instead of a file, or another hash.
    """
    part = target.with_name(target.name + ".part")
    target.parent.mkdir(parents=True, exist_ok=True)
    _fetch(url, part, timeout)
    found = sha256_of(part)
    if sha256 is not None and found != sha256:
        part.unlink()
        raise DownloadError(f"{url} gave a file with sha256 {found}, not {sha256}; it was deleted. Try again.")
    part.replace(target)
    return found


def _fetch(url: str, part: Path, timeout: float) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            _refuse_html(url, response)
            _write(response, part, resume=have > 0 and response.status == 206)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have and have == _total(error.headers.get("Content-Range")):
            return  # the part was already whole
        if error.code == 416:
            part.unlink()
        raise DownloadError(f"{url} cannot be downloaded: the server answers {error.code} {error.reason}.") from None
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        size = part.stat().st_size if part.exists() else 0
        raise DownloadError(f"{url} broke off after {size} bytes ({reason}). Run again to resume.") from None


def _write(response: HTTPResponse, part: Path, resume: bool) -> None:
    expected = response.headers.get("Content-Length")
    received = 0
    with part.open("ab" if resume else "wb") as file:
        while chunk := response.read(CHUNK):
            file.write(chunk)
            received += len(chunk)
    if expected is not None and received < int(expected):
        raise ConnectionError(f"{int(expected) - received} bytes are missing")


def _refuse_html(url: str, response: HTTPResponse) -> None:
    if response.headers.get_content_type() == "text/html":
        raise DownloadError(f"{url} gives an HTML page, not a file: the link has moved or needs a login.")


def _total(content_range: str | None) -> int | None:
    """File size from a Content-Range such as `bytes */1234`."""
    size = (content_range or "").rpartition("/")[2]
    return int(size) if size.isdigit() else None
