"""A real Slurm of one node with two pretended cards on this machine, for as long as a `with` block lasts.

Needs root, and slurmctld, slurmd and munged (Debian: `apt-get install --no-install-recommends slurm-wlm munge`).
Nothing is written outside the given folder but /etc/slurm/slurm.conf, a link that goes again.
"""

import os
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "scontrol")
SETTINGS = Path("/etc/slurm/slurm.conf")
PREFIX = "slurm-"
"""How the name of the folder in the temporary folder begins."""
CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=26827
SlurmdPort=26828
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,bf_interval=2
GresTypes=gpu
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=none
KillWait=10
PropagateResourceLimits=NONE
NodeName={host} NodeAddr=127.0.0.1 NodeHostname={host} CPUs=4 RealMemory=64000 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=1-0 DefaultTime=60 State=UP
"""


def why_not() -> str | None:
    """Why there can be no such cluster here; None if there can."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if os.getuid() != 0:
        return "only root may start it"
    if SETTINGS.is_symlink() and SETTINGS.readlink().match(f"{tempfile.gettempdir()}/{PREFIX}*/slurm.conf"):
        SETTINGS.unlink()  # of a test that was killed
    return f"{SETTINGS} is there: this machine has a Slurm of its own" if SETTINGS.exists() else None


@contextmanager
def cluster(folder: Path) -> Iterator[None]:
    """Start the daemons and stop them."""
    host = socket.gethostname().split(".")[0]
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(parents=True)
    (folder / "munge").chmod(0o711)
    folder.chmod(0o755)
    key = folder / "munge/munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    for number in range(2):  # any numbers that no driver has
        os.mknod(folder / f"card{number}", 0o666 | stat.S_IFCHR, os.makedev(239, number))
    (folder / "slurm.conf").write_text(CONF.format(host=host, folder=folder))
    (folder / "gres.conf").write_text(f"NodeName={host} Name=gpu File={folder}/card[0-1] Flags=nvidia_gpu_env\n")
    SETTINGS.parent.mkdir(exist_ok=True)
    SETTINGS.symlink_to(folder / "slurm.conf")
    munge = folder / "munge"
    try:
        _start("munged", f"--key-file={key}", f"--socket={munge}/munge.socket", f"--pid-file={munge}/munged.pid",
             f"--log-file={munge}/munged.log", f"--seed-file={munge}/munged.seed")  # fmt: skip
        _start("slurmctld", "-f", f"{folder}/slurm.conf", "-i")
        _start("slurmd", "-f", f"{folder}/slurm.conf", "-N", host)
        deadline = time.monotonic() + 60
        while "idle" not in _run("sinfo", "-h", "-o", "%t"):
            assert time.monotonic() < deadline, (folder / "slurmctld.log").read_text()[-2000:]
            time.sleep(0.5)
        yield
    finally:
        subprocess.run(["scancel", "--user=root"], check=False)
        for path in (folder / "slurmd.pid", folder / "slurmctld.pid", munge / "munged.pid"):
            if path.is_file():
                _end(int(path.read_text()))
        SETTINGS.unlink()


def _end(process: int) -> None:
    """End a daemon, and wait until it has written what it keeps."""
    os.kill(process, 15)
    deadline = time.monotonic() + 30
    while Path(f"/proc/{process}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def _start(*command: str) -> None:
    """Start a daemon, which would keep a pipe open for ever."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
