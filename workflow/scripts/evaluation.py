"""Rule evaluation: the scores of all variants to one table for each kind; masks with the seconds that an image took."""

from typing import Any

from regionflow.formats.evaluation import Scores, read_scores, write_rows
from regionflow.formats.records import seconds_per_image
from regionflow.run.job import Job


def run(job: Job) -> None:
    for kind, table in job.outputs.items():
        scores = [read_scores(path) for path in job.input_list(kind)]
        write_rows(table, ({**s.variant, **row, **cost(kind, s)} for s in scores for row in s.scores))


def cost(kind: str, scores: Scores) -> dict[str, Any]:
    """Of masks the mean seconds per image, by the records of the jobs; empty where the logs are gone."""
    if kind != "masks":
        return {}
    return {"seconds_per_image": seconds_per_image("masks", "segmenter").get(scores.variant["segmenter"])}
