"""Rule weights: a published checkpoint from its address to weights/."""

from regionflow.run.job import Job
from regionflow.weights.download import download
from regionflow.weights.progress import told
from regionflow.weights.published import PUBLISHED


def run(job: Job) -> None:
    checkpoint = PUBLISHED[job.names["weights"]]
    # A name that stays the same from try to try, so that the next one finds what this one leaves.
    stable = job.outputs["weights"].with_name(f"{checkpoint.file_name}.download")
    with told(checkpoint.file_name) as progress:
        sha256 = download(checkpoint.url, stable, checkpoint.sha256, checkpoint.max_bytes, progress=progress)
    print(f"{checkpoint.url}: sha256 {sha256}")
    stable.replace(job.outputs["weights"])
