"""Rule evaluation: the scores of all variants to one table for each kind."""

from regionflow.formats.evaluation import read_scores, write_rows
from regionflow.run.job import Job


def run(job: Job) -> None:
    for kind, table in job.outputs.items():
        scores = [read_scores(path) for path in job.input_list(kind)]
        write_rows(table, ({**s.variant, **row} for s in scores for row in s.scores))
