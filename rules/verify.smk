"""Whether results/ is what it claims to be: `snakemake verify`."""

import shlex
import sys


localrules:
    verify,


rule verify:
    """Name every file of results/ that is damaged or of another image or version, and remove it."""
    log:
        "logs/verify.log",
    conda:
        ENV
    threads: 4
    resources:
        **needs("verify"),
    params:
        command=shlex.join([sys.executable, "-m", "regionflow.cli", "verify"]),
    shell:
        "{params.command} results --threads {threads} 2>&1 | tee {log:q}"
