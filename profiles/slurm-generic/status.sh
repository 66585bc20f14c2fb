#!/bin/sh
# What has become of an allocation, in the words that cluster-generic-status-cmd expects. Without this command a run
# waits for ever for an allocation that Slurm has ended (scancel, time limit, memory, a node that failed).
answer=$(scontrol --oneliner show job "$1" 2>&1)
state=$(printf '%s\n' "$answer" | sed -n 's/.* JobState=\([A-Z_]*\).*/\1/p')
if [ -z "$state" ]; then # the controller has forgotten it (MinJobAge) or does not answer
    state=$(sacct --allocations --noheader --parsable2 --format=State --jobs="$1" 2>/dev/null | sed -n '1s/ .*//;1p')
    case "$state$answer" in *"Invalid job id"*) state=GONE ;; esac
fi
case "$state" in
COMPLETED) echo success ;;
BOOT_FAIL | CANCELLED | DEADLINE | FAILED | GONE | NODE_FAIL | OUT_OF_MEMORY | PREEMPTED | REVOKED | TIMEOUT) echo failed ;;
*) echo running ;;
esac
