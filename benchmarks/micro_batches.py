"""Features of photos of one size: jobs that go to a resident several at a time, against a plain batched loop.

    python benchmarks/micro_batches.py [--quick] [--photos 200] [--model vit_tiny_patch16_224]

- resident: jobs of stage features through the dispatcher and one resident, as the executor passes them on, without
  Snakemake (benchmarks/orchestration.py has that);
- loop: read, one forward pass for 16 photos, write, in one process.

One thread each. CPU seconds are those of the process that works, its imports and the model's load left out; both write
the same files. The last line is a JSON object with the figures.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from common import ROOT

BATCH = 16


def jobs_of(folder: Path, photos: int, model: str, out: str) -> list[str]:
    """The jobs as the workflow would give them."""
    from regionflow.config.load import check_config
    from regionflow.run.job import Job
    from regionflow.run.stages import runtime, stage_options

    config, problems = check_config({"extractors": {"vit": {"type": "timm", "model": model, "random_seed": 0}}})
    assert not problems, problems
    names = {"extractor": "vit"}
    options = stage_options(config, "features", names)
    return [
        Job.to_json(
            "features",
            inputs={"image": folder / f"{i}.png"},
            outputs={"features": folder / out / f"{i}.h5"},
            options=options,
            names={**names, "image": str(i)},
            runtime=runtime(config),
        )
        for i in range(photos)
    ]


def by_resident(folder: Path, jobs: list[str]) -> tuple[float, float]:
    """CPU and wall seconds of all but the first job, which loads the model."""
    from regionflow.formats.records import read_records
    from regionflow.run.dispatch import Dispatcher, Work
    from regionflow.run.slots import Slots

    (folder / "resident").mkdir()
    environment = Slots(cpu=1, gpu=0, cards=(), warm=True).environment()
    os.environ.update(environment, REGIONFLOW_SCRIPTS=str(ROOT / "workflow/scripts"), PYTHONPATH=str(ROOT / "src"))
    dispatcher, errors, over = Dispatcher({"_cores": 1}), list[str](), threading.Semaphore(0)

    def told(error: str) -> None:
        errors.append(error)
        over.release()

    def submit(some: list[str], first: int) -> None:
        logs = [folder / f"{first + i}.log" for i in range(len(some))]
        pairs = zip(some, logs, strict=True)
        dispatcher.submit(
            [Work(job.encode(), log, "cpu", "vit", {"_cores": 1}, str(folder), told) for job, log in pairs]
        )
        for _ in some:
            over.acquire()

    submit(jobs[:1], 0)
    begin = time.monotonic()
    submit(jobs[1:], 1)
    wall = time.monotonic() - begin
    dispatcher.end()
    if any(errors):
        sys.exit("\n".join(filter(None, errors)))
    records = [record for record in read_records("features") if record.names["image"] != "0"]
    return sum(record.cpu_seconds for record in records), wall


def by_loop(jobs: list[str]) -> tuple[float, float]:
    """The same of a loop that is as plain as can be, over all but the first photo."""
    from dataclasses import replace

    import numpy as np
    import torch

    from regionflow.features.pixels import frame, normalise
    from regionflow.formats.features import FeatureMap, write_features
    from regionflow.images.read import read_image
    from regionflow.run.adapters import extractor_of, provenance
    from regionflow.run.job import Job

    torch.set_num_threads(1)
    parsed = [Job.from_json(job) for job in jobs]
    extractor: Any = extractor_of(parsed[0])
    extractor.extract(np.zeros((224, 224, 3), np.uint8))
    begin, cpu = time.monotonic(), time.process_time()
    for first in range(1, len(parsed), BATCH):
        some = parsed[first : first + BATCH]
        images = [read_image(job.input("image"), **job.options["reading"]) for job in some]
        geometry = extractor.geometry(*images[0].shape[:2])
        config = extractor._config
        pixels = [frame(image, geometry, config["interpolation"]) for image in images]
        with torch.inference_mode():
            batch = torch.cat([normalise(one, config["mean"], config["std"], "cpu") for one in pixels])
            features = extractor._forward(batch).float().numpy()
        for job, values in zip(some, features, strict=True):
            made = FeatureMap(values, replace(geometry, grid=values.shape[1:]), provenance(job), None)
            write_features(
                job.outputs["features"], replace(made, image_id=job.names["image"]), job.options["extractor"]["stored"]
            )
    return time.process_time() - cpu, time.monotonic() - begin


def main() -> None:
    from helpers.scenes import save_photos
    from regionflow.formats.features import read_features

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few photos: shows that it works, not how fast it is")
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--model", default="vit_tiny_patch16_224")
    arguments = parser.parse_args()
    photos = 20 if arguments.quick else arguments.photos
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        save_photos(folder, [f"{i}.png" for i in range(photos)], height=224, width=224)
        resident, resident_wall = by_resident(folder, jobs_of(folder, photos, arguments.model, "resident"))
        (folder / "loop").mkdir()
        loop, loop_wall = by_loop(jobs_of(folder, photos, arguments.model, "loop"))
        both = [[read_features(folder / side / f"{i}.h5", str(i)) for side in ("resident", "loop")] for i in (1, 9)]
        figures = {
            "photos": photos,
            "resident_cpu_ms_per_photo": 1000 * resident / (photos - 1),
            "loop_cpu_ms_per_photo": 1000 * loop / (photos - 1),
            "resident_over_loop_cpu": resident / loop,
            "resident_over_loop_wall": resident_wall / loop_wall,
            "largest_difference": max(float(abs(a.features - b.features).max()) for a, b in both),
        }
        os.chdir(ROOT)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(*(f"{key:28}{value:10.4g}" for key, value in figures.items()), sep="\n")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
