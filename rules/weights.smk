"""Published weights that are not there yet. Files that are there are never outputs, so that no run can remove them."""

import re
from pathlib import Path

from regionflow.weights.published import PUBLISHED

MISSING_WEIGHTS = [file for file in PUBLISHED if not Path("weights", file).exists()]


wildcard_constraints:
    weights="|".join(map(re.escape, MISSING_WEIGHTS)) or "(?!)",


rule weights:
    """Download weights; a broken download is resumed, and only a file with the right sha256 gets the name."""
    output:
        weights=local("weights/{weights}"),
    log:
        "logs/weights/{weights}.log",
    conda:
        ENV
    resources:
        **needs("weights"),
    params:
        **stage("weights"),
    message:
        "Downloading {output.weights}; how far it is: {log}"
    shell:
        RUN
