"""An inner run: snakemake on the unchanged rules for one shard's images, or for the whole set between two phases.

`python -m regionflow.run.inner SLOTS JOB SUMMARY ARGUMENTS...` is the command of rules `shard` and `shard_set`
(rules/shards.smk). SLOTS says whose slots it uses. JOB is a file of `write_job`, which the Snakefile of the inner run
finds by the environment. When the run has succeeded, SUMMARY says what is there.
"""

import ctypes
import hashlib
import json
import os
import runpy
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from regionflow.base.files import write_text
from regionflow.base.options import canonical_json
from regionflow.exports.photos import suffix_of
from regionflow.formats.shards import newest, paths_of, read_summary, summarize, write_summary
from regionflow.images.find import ImageEntry
from regionflow.run.origins import keep_alone
from regionflow.run.phases import Phase

ENVIRONMENT = "REGIONFLOW_INNER"
FOLDER = Path(".snakemake/regionflow")
"""What outer and inner runs tell each other. Names of files are hashes of what is in them: two runs never meet."""
SLOTS_OF_RUN, OWN_SLOTS = "slots-of-run", "own-slots"
"""Whether an inner run works in the slots of the outer one, on this machine, or plans its own, on a node."""
INTERRUPTED = 130
"""The exit code after Ctrl-C, as a shell has it."""
DAYS_KEPT = 14
SHOWN = 10


@dataclass(frozen=True)
class Inner:
    """The job of an inner run.

    images, versions: of the shard, by id; None for the whole set, which is found again.
    newest: for the whole set, the file of every pattern of single images that was changed last.
    """

    phase: Phase
    shard: str
    config: dict[str, Any]
    images: dict[str, ImageEntry] | None = None
    versions: dict[str, str] | None = None
    newest: dict[str, str] = field(default_factory=dict)

    @classmethod
    def current(cls) -> "Inner | None":
        """The job of this run, if it is an inner one."""
        path = os.environ.get(ENVIRONMENT)
        return cls.read(Path(path)) if path else None

    @classmethod
    def read(cls, path: Path) -> "Inner":
        """Read what `write_job` wrote; for the whole set with the summaries of the shards."""
        job = json.loads(path.read_bytes())
        phase = _phase(job["phase"])
        if job["images"] is None:
            return cls(phase, job["shard"], job["config"], newest=_newest(phase, job))
        rows = json.loads(Path(job["images"]).read_bytes())
        return cls(
            phase,
            job["shard"],
            job["config"],
            {image: ImageEntry(Path(file), split) for image, file, split, _ in rows},
            {image: version for image, _, _, version in rows},
        )

    def targets(self) -> list[str]:
        """All that the inner run makes."""
        suffixes = self.suffixes()
        return [path for pattern in self.phase.patterns for path in paths_of(pattern, suffixes)]

    def suffixes(self) -> dict[str, str]:
        """Of the shard's images, by id; none for the whole set."""
        return {image: suffix_of(entry.path) for image, entry in (self.images or {}).items()}


def write_job(
    phase: Phase,
    shard: str,
    *,
    config: Mapping[str, Any],
    rows: Iterable[tuple[str, str, str, str]] | None,
    shards: Iterable[str],
    summaries: str,
) -> Path:
    """Write a job and return its file.

    Args:
        rows: id, file, split and version of each image of the shard; None for the whole set.
        shards: the names of all shards.
        summaries: the path of a summary, with {phase} and {shard} in it.
    """
    images = None if rows is None else str(_write(f"images-{shard}", canonical_json(list(rows))))
    job = {
        "phase": {**asdict(phase), "recorded": ""},
        "shard": shard,
        "config": dict(config),
        "images": images,
        "shards": list(shards) if rows is None else [],
        "summaries": summaries,
    }
    return _write(f"job-{phase.name}-{shard}", canonical_json(job))


def remember_phase(phase: Phase, wishes: Mapping[str, Any]) -> None:
    """Keep a phase and what a run's command line asks of inner runs for the nodes of a cluster, which know its name."""
    path = FOLDER / f"phase-{phase.name}.json"
    write_text(path, canonical_json({"phase": {**asdict(phase), "recorded": ""}, "wishes": dict(wishes)}))


def remembered_phase(name: str) -> tuple[Phase, dict[str, Any]] | None:
    """The phase of that name as an outer run has planned it, and its wishes."""
    path = FOLDER / f"phase-{name}.json"
    if not path.is_file():
        return None
    kept = json.loads(path.read_bytes())
    return _phase(kept["phase"]), kept["wishes"]


def clear_old(folder: Path = FOLDER, days: float = DAYS_KEPT) -> None:
    """Remove what runs of some time ago have told each other."""
    limit = time.time() - days * 86400
    for path in folder.glob("*") if folder.is_dir() else ():
        if path.is_file() and path.stat().st_mtime < limit:
            path.unlink(missing_ok=True)


def _write(name: str, text: str) -> Path:
    path = FOLDER / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    if path.exists():
        os.utime(path)
    else:
        write_text(path, text)
    return path


def _phase(fields: Mapping[str, Any]) -> Phase:
    lists = {name: tuple(fields[name]) for name in ("patterns", "rules", "after", "files")}
    pairs = {name: tuple(map(tuple, fields[name])) for name in ("reads", "jobs")}
    return Phase(**{**fields, **lists, **pairs})


def _newest(phase: Phase, job: Mapping[str, Any]) -> dict[str, str]:
    """Of the patterns that the phase reads."""
    names = {name for _, name in phase.reads}
    paths = {
        (name, shard): Path(job["summaries"].format(phase=name, shard=shard))
        for name in names
        for shard in job["shards"]
    }
    last = newest(map(read_summary, paths.values()))
    return {pattern: last[pattern] for pattern, _ in phase.reads}


def end_with_parent() -> None:
    """Have the kernel end this process in good order when its parent dies (Linux): the outer run may be killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def snakemake(arguments: list[str]) -> int:
    """Run `python -m snakemake` in this process. Returns its exit code."""
    sys.argv = ["snakemake", *arguments]
    try:
        runpy.run_module("snakemake", run_name="__main__")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:  # while it planned or waited for its turn
        print("regionflow: ended by Ctrl-C.", file=sys.stderr)
        return INTERRUPTED
    return 0


def main(slots: str, job: Path, summary: Path, arguments: list[str]) -> int:
    """Run snakemake for the job, then write the summary. Returns the exit code."""
    end_with_parent()
    if slots == OWN_SLOTS:
        os.environ.pop("REGIONFLOW_RUN", None)
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    started = time.monotonic()
    os.environ[ENVIRONMENT] = str(job)
    if code := snakemake(arguments):
        return code
    inner = Inner.read(job)
    made, missing = summarize(inner.phase.patterns, inner.suffixes(), time.monotonic() - started)
    if missing:
        more = f"\n  and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        print("\n  ".join(["regionflow: these files are missing after the run:", *missing[:SHOWN]]) + more)
        return 1
    write_summary(summary, made)
    keep_alone("shard", summary)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:]))
