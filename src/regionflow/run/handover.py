"""The shell command of a rule whose jobs run in residents, and by which the executor knows them."""

RUN = "exec {params.client} > {log:q} 2>&1 <<< {params.job:q}"
