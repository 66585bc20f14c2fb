"""Download a file: resumed where it broke off, checked, and under its final name only when it is whole."""

import os
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from regionflow.base.errors import UserError
from regionflow.base.files import sha256_of

CHUNK = 1 << 20
Progress = Callable[[int, int | None], None]
"""Told the bytes that are there, and those of the whole file where the server says so."""


class DownloadError(UserError):
    """A download that did not end in the right file; the message says what to do."""

    passing = True


def download(
    url: str,
    target: Path,
    sha256: str | None = None,
    max_bytes: int | None = None,
    *,
    timeout: float = 60.0,
    progress: Progress | None = None,
) -> str:
    """Fetch `url` to `target` and return the file's sha256 in hex.

    A broken download stays as `<target>.part` and the next call asks for the rest of it. A server that does not know
    ranges sends the whole file again.

    Args:
        url: https address, or http; from https no redirect leads to anything else.
        target: final path; its folder is made.
        sha256: what the file must hash to; None accepts any.
        max_bytes: a larger file is refused before or while it comes; None takes any size.
        timeout: seconds without a byte until the connection counts as broken.
        progress: called after every megabyte.

    Raises:
        DownloadError: no connection, an error from the server, a redirect elsewhere, an HTML page instead of a file,
            a file that is too large, or another hash.
    """
    part = target.with_name(target.name + ".part")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not url.startswith(("https://", "http://")):
        raise DownloadError(f"{url} is no https address.")
    _fetch(url, part, max_bytes, timeout, progress)
    found = sha256_of(part)
    if sha256 is not None and found != sha256:
        part.unlink()
        raise DownloadError(f"{url} gave a file with sha256 {found}, not {sha256}; it was deleted. Try again.")
    part.replace(target)
    return found


class _SameScheme(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https, and from http to http: what was asked for safely does not come in the open."""

    def redirect_request(self, request: urllib.request.Request, *details: Any) -> urllib.request.Request | None:
        scheme, new = urlsplit(request.full_url).scheme, details[-1]
        if urlsplit(new).scheme not in {"https", scheme}:
            raise DownloadError(f"{request.full_url} redirects to {new}, which is not https: nothing was downloaded.")
        return super().redirect_request(request, *details)


def told_in_steps(tell: Callable[[str], None], percent: int = 5) -> Progress:
    """A progress that tells a line every so many percent, for a log."""
    last = -1

    def told(there: int, whole: int | None) -> None:
        nonlocal last
        step = there * 100 // (whole * percent) if whole else there >> 26
        if step > last:
            last = step
            tell(f"{there / 1e6:.0f} MB" + (f" of {whole / 1e6:.0f} MB ({there / whole:.0%})" if whole else ""))

    return told


def reachable(url: str, seconds: float = 5.0) -> bool:
    """Whether the name of an address's host can be looked up now; true behind a proxy, which looks up for us."""
    scheme, host = urlsplit(url).scheme, urlsplit(url).hostname or ""
    if os.environ.get(f"{scheme}_proxy") or os.environ.get(f"{scheme.upper()}_PROXY"):
        return True
    answers: list[object] = []

    def look_up() -> None:
        try:
            answers.extend(socket.getaddrinfo(host, 443))
        except OSError:
            return

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(answers)


def _fetch(url: str, part: Path, max_bytes: int | None, timeout: float, progress: Progress | None) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.build_opener(_SameScheme).open(request, timeout=timeout) as response:
            _refuse_html(url, response)
            resume = have > 0 and response.status == 206 and _start(response.headers.get("Content-Range"), have) == have
            _write(url, response, part, resume, max_bytes, progress=progress)
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


def _write(
    url: str, response: HTTPResponse, part: Path, resume: bool, max_bytes: int | None, *, progress: Progress | None
) -> None:
    """Write what comes: as much as the server announced, and no more than the file can have."""
    announced = response.headers.get("Content-Length")
    received, size = 0, part.stat().st_size if resume else 0
    if response.status == 206 and not resume:
        raise DownloadError(f"{url} gives another part of the file than was asked for; delete {part} and try again.")
    if max_bytes is not None and announced is not None and size + int(announced) > max_bytes:
        raise DownloadError(_too_large(url, size + int(announced), max_bytes))
    with part.open("ab" if resume else "wb") as file:
        while chunk := response.read(CHUNK):
            received += len(chunk)
            if max_bytes is not None and size + received > max_bytes:
                file.close()
                part.unlink()
                raise DownloadError(_too_large(url, size + received, max_bytes))
            file.write(chunk)
            if progress is not None:
                progress(size + received, None if announced is None else size + int(announced))
    if announced is not None and received != int(announced):
        raise ConnectionError(f"{int(announced) - received} bytes are missing")


def _too_large(url: str, size: int, max_bytes: int) -> str:
    return f"{url} is not the file: it has {size} bytes or more, and the file has at most {max_bytes}."


def _start(content_range: str | None, default: int) -> int:
    """First byte from a Content-Range such as `bytes 100-199/1234`; servers that leave it out mean what was asked."""
    first = (content_range or "").removeprefix("bytes ").partition("-")[0]
    return int(first) if first.isdigit() else default


def _refuse_html(url: str, response: HTTPResponse) -> None:
    if response.headers.get_content_type() == "text/html":
        raise DownloadError(f"{url} gives an HTML page, not a file: the link has moved or needs a login.")


def _total(content_range: str | None) -> int | None:
    """File size from a Content-Range such as `bytes */1234`."""
    size = (content_range or "").rpartition("/")[2]
    return int(size) if size.isdigit() else None
