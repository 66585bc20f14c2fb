"""logs/records/<stage>-<host>.jsonl: what every job cost, a line of JSON per job, appended by the process that ran it.

Not in results/ and no output of any rule: what a job cost is another number each time, and makes nothing stale. A job
that ran again has several lines; the last one counts. One file per host, since only the processes of one machine can
append to a file side by side. Lines that cannot be read (a machine that died in the middle of one) are left out.
"""

import json
import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

RECORDS = Path("logs/records")


@dataclass(frozen=True)
class Record:
    """What one job cost.

    Args:
        stage: which one.
        names: the wildcards of the job: image, segmenter, extractor and so on; none for the whole set.
        seconds: wall time in the worker, model loads included; of a job that was worked on together with others its
            own reading and writing and an equal share of the rest.
        cpu_seconds: the same as CPU time of the worker process.
        load_seconds: the part of `seconds` in which models were loaded.
        peak_mib: largest resident memory of the worker process during the job, in MiB, with the models it keeps.
        card_mib: largest memory that torch had taken on the card during the job, in MiB; 0 without a card.
        slot: where it ran, "gpu-0".
        threads: of the job.
        batch: how many jobs were worked on together, this one included.
        ended: when it was over, in seconds since 1970.
    """

    stage: str
    names: Mapping[str, str]
    seconds: float
    cpu_seconds: float
    load_seconds: float
    peak_mib: float
    card_mib: float
    slot: str
    threads: int
    batch: int
    ended: float


def append_record(record: Record, folder: Path = RECORDS) -> None:
    """Append one line to the file of its stage on this machine."""
    fields = {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(record).items()}
    host = re.sub(r"[^\w.]", "_", platform.node()) or "host"
    path = folder / f"{record.stage}-{host}.jsonl"
    line = json.dumps(fields, separators=(",", ":")) + "\n"
    try:
        file = path.open("ab", buffering=0)
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("ab", buffering=0)
    with file:
        file.write(line.encode())  # one write of less than a page: whole, whoever else appends


def read_records(stage: str, folder: Path = RECORDS) -> list[Record]:
    """The last record of every job of a stage, on whatever machine it ran; empty if there is none."""
    last: dict[tuple[tuple[str, str], ...], Record] = {}
    for path in sorted(folder.glob(f"{stage}-*.jsonl")):
        for record in _records(path.read_bytes().splitlines()):
            key = tuple(sorted(record.names.items()))
            if record.stage == stage and (key not in last or last[key].ended <= record.ended):
                last[key] = record
    return list(last.values())


def recent_records(stage: str, folder: Path = RECORDS, size: int = 1 << 16) -> list[Record]:
    """The records at the ends of the files of a stage, of each so many bytes: for a mean, of a set of any size."""
    records: list[Record] = []
    for path in sorted(folder.glob(f"{stage}-*.jsonl")):
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - size))
            lines = file.read().splitlines()
        records += [record for record in _records(lines) if record.stage == stage]
    return records


def seconds_per_job(records: Iterable[Record]) -> float | None:
    """Mean seconds of a job without the loading of models; of a stage per image: seconds per image. None for none."""
    seconds = [record.seconds - record.load_seconds for record in records]
    return fmean(seconds) if seconds else None


def seconds_per_image(stage: str, name: str, folder: Path = RECORDS) -> dict[str, float]:
    """Mean seconds per image of every variant of a stage that has records; `name` is the wildcard of its variants."""
    by_variant: dict[str, list[Record]] = {}
    for record in read_records(stage, folder):
        by_variant.setdefault(record.names[name], []).append(record)
    return {variant: mean for variant, of in by_variant.items() if (mean := seconds_per_job(of)) is not None}


def _records(lines: Iterable[bytes]) -> Iterable[Record]:
    for line in lines:
        try:
            yield Record(**json.loads(line))
        except (ValueError, TypeError):
            continue
