"""Open a page in headless Chromium, run a script in it, and read what it left."""

import json
import re
import shutil
import subprocess
import tempfile
import time
from html import unescape
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1400,1000", "--virtual-time-budget=30000",
    "--enable-logging=stderr", "--v=0",
)  # fmt: skip
# Waits until the page is ready, runs an async function body, and leaves what it returns in the document.
DRIVER = """
<script>
addEventListener("load", async () => {
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  while (!document.body.dataset.ready && !window.problems.length) await wait(10);
  let result;
  try { result = await (async () => { %s })(); } catch (error) { result = { failed: String(error) }; }
  const out = document.createElement("pre");
  out.id = "result";
  out.textContent = JSON.stringify({ result, problems: window.problems });
  document.body.append(out);
});
</script>
"""


def seconds(page: Path, times: int = 3) -> float:
    """Wall-clock seconds to load and draw the page, beyond those for an empty one; the least of several times."""
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "empty.html"
        empty.write_text("<!doctype html><title>empty</title>")

        def once(url: str, number: int) -> float:
            picture = f"--screenshot={folder}/shot.png"
            started = time.monotonic()
            profile = f"--user-data-dir={folder}/profile-{number}"
            subprocess.run([str(CHROMIUM), *FLAGS, profile, picture, url], capture_output=True, check=True, timeout=120)
            return time.monotonic() - started

        pairs = [(once(page.resolve().as_uri(), 2 * i), once(empty.as_uri(), 2 * i + 1)) for i in range(times)]
    return min(loaded for loaded, _ in pairs) - min(blank for _, blank in pairs)


def drive(page: Path, script: str) -> tuple[Any, list[str]]:
    """What the script returns, and all errors of the page and the console."""
    assert CHROMIUM is not None
    driven = page.with_name("driven.html")
    driven.write_text(page.read_text(encoding="utf-8").replace("</body>\n</html>", DRIVER % script), encoding="utf-8")
    with tempfile.TemporaryDirectory() as profile:
        command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "--dump-dom", driven.resolve().as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    found = re.search(r'<pre id="result">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, f"the page never became ready:\n{done.stderr}"
    said = json.loads(unescape(found[1]))
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return said["result"], said["problems"] + console
