"""Rules region_parquet and named_parquet: a CSV table of regions to a Parquet file."""

from regionflow.formats.parquet import write_parquet
from regionflow.run.job import Job


def run(job: Job) -> None:
    print(f"{write_parquet(job.input('table'), job.outputs['parquet'])} regions")
