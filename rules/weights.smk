"""Published weights that are not there yet. Files that are there are never outputs, so that no run can remove them."""

import re
from pathlib import Path

from regionflow.weights.files import PUBLISHED

MISSING_WEIGHTS = [file for file in PUBLISHED if not Path("weights", file).exists()]


wildcard_constraints:
    weights="|".join(map(re.escape, MISSING_WEIGHTS)) or "(?!)",


rule weights:
    """Download weights; a broken download is resumed, and only a file with the right sha256 gets the name."""
    output:
        weights="weights/{weights}",
    log:
        "logs/weights/{weights}.log",
    conda:
        "../envs/regionflow.yaml"
    params:
        client=slot,
        job=job("weights"),
    shell:
        "exec {params.client} > {log:q} 2>&1 <<< {params.job:q}"
