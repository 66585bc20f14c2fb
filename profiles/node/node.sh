#!/bin/sh
# A whole node by one allocation: everything runs on it as on one machine, shards and warm workers included.
#   sbatch profiles/node/node.sh [TARGETS AND OPTIONS OF SNAKEMAKE]
# Its console goes to regionflow-JOBID.log beside the Snakefile: Slurm makes no folders for logs.
# Slurm ends it two minutes before the time is up by a signal, so that nothing is left behind; submit it again to go on.
#SBATCH --job-name=regionflow
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --exclusive
#SBATCH --gpus-per-node=4
#SBATCH --mem=0
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --output=regionflow-%j.log
exec snakemake --cores "${SLURM_CPUS_ON_NODE:-all}" --rerun-incomplete "$@"
