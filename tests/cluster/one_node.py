"""A SLURM cluster of one node, this machine, without systemd and without accounts.

It has a pretended GPU: SLURM hands it out, and no program finds it.
"""

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from tempfile import mkdtemp

import psutil

# The plugin does not hand SLURM_CONF on, so that the config has to be where SLURM looks for it.
SETTINGS = Path("/etc/slurm")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")
PLUGIN = "snakemake_executor_plugin_slurm"
SECONDS = 30  # in which the node is up, or the daemons have ended
CONFIG = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
JobAcctGatherType=jobacct_gather/linux
AccountingStorageType=accounting_storage/none
GresTypes=gpu
MinJobAge=3600
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={mib} Gres=gpu:1 State=UNKNOWN
PartitionName=usual Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=other Nodes=ALL MaxTime=INFINITE State=UP
"""
FIELDS = {
    "rule": r"Comment=rule_(\w+?)(?:_wildcards_\S+)?\s",
    "state": r"JobState=(\w+)",
    "minutes": r"TimeLimit=(\S+)",
    "cpus": r"NumCPUs=(\d+)",
    "memory": r"MinMemoryNode=(\S+)",
    "gpus": r"TresPerJob=gres:gpu:(\d+)",
    "partition": r"Partition=(\w+)",
}


def find_obstacle() -> str | None:
    """Say what this machine lacks to be a node, if anything."""
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])
    missing = [name for name in PROGRAMS if not shutil.which(name, path=path)]
    if missing:
        return f"{', '.join(missing)} not installed: apt-get install slurm-wlm munge"
    if importlib.util.find_spec(PLUGIN) is None:
        return "no plugin: pip install -r requirements-slurm.txt"
    if os.geteuid() != 0:
        return "only root can start a cluster"
    if (SETTINGS / "slurm.conf").exists():
        return f"{SETTINGS}/slurm.conf exists: this machine belongs to a cluster"
    return None


class Cluster:
    """Daemons in a folder of their own."""

    def __init__(self):
        # The user of munge has to reach it, unlike pytest's folders.
        self.folder = Path(mkdtemp(prefix="slurm-", dir="/run"))
        self.folder.chmod(0o755)
        self.daemons = []

    def start(self) -> None:
        """Write the settings, start the daemons and wait for the node."""
        host = socket.gethostname().split(".")[0]
        mib = psutil.virtual_memory().total // 2**20 * 9 // 10
        cpus = psutil.cpu_count()
        text = CONFIG.format(host=host, folder=self.folder, cpus=cpus, mib=mib)
        (SETTINGS / "slurm.conf").write_text(text)
        (SETTINGS / "gres.conf").write_text("Name=gpu File=/dev/zero\n")
        self.start_munge()
        self.run("slurmctld", "-D", "-c")
        self.run("slurmd", "-D", "-N", host)
        self.wait_for(lambda: ask("sinfo", "--noheader", "--format=%T").split()[:1] == ["idle"])

    def start_munge(self) -> None:
        """Start munged with a key of its own."""
        own = self.folder / "munge"
        own.mkdir()
        (own / "key").write_bytes(os.urandom(128))
        (own / "key").chmod(0o400)
        for path in (self.folder, own, own / "key"):
            shutil.chown(path, "munge", "munge")
        files = {"key-file": "key", "log-file": "log", "pid-file": "pid", "seed-file": "seed"}
        options = [f"--{option}={own / name}" for option, name in files.items()]
        socket_of_it = self.folder / "munge.socket"
        munged = ["runuser", "-u", "munge", "--", "munged", "--foreground"]
        self.run(*munged, f"--socket={socket_of_it}", *options)
        self.wait_for(socket_of_it.exists)

    def run(self, *command: str) -> None:
        """Start a daemon in the foreground, with its output in a file."""
        name = f"{len(self.daemons)}.txt"
        environment = os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin"}
        with (self.folder / name).open("wb") as output:
            started = psutil.Popen(command, stdout=output, stderr=output, env=environment)
        self.daemons.append(started)

    def wait_for(self, condition) -> None:
        """Wait until something is so."""
        end = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < end, self.read_output()
            time.sleep(0.5)

    def read_output(self) -> str:
        """What the daemons have said."""
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*.txt")))

    def stop(self) -> None:
        """Cancel all jobs, end the daemons and remove what they left."""
        subprocess.run(["scancel", "--user=root"], check=False)
        for daemon in reversed(self.daemons):
            for process in [*daemon.children(recursive=True), daemon]:
                process.terminate()
            daemon.wait(SECONDS)
        for name in ("slurm.conf", "gres.conf"):
            (SETTINGS / name).unlink(missing_ok=True)
        shutil.rmtree(self.folder)


def ask(*command: str) -> str:
    """The output of a command of SLURM's."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def list_jobs() -> dict[int, dict[str, str | None]]:
    """All jobs that SLURM knows by their number: what they are and asked for."""
    jobs = {}
    for number, text in re.findall(
        r"^JobId=(\d+) (.*?)(?=^JobId=|\Z)", ask("scontrol", "show", "job"), re.M | re.S
    ):
        fields = {name: re.search(pattern, text) for name, pattern in FIELDS.items()}
        jobs[int(number)] = {name: found and found[1] for name, found in fields.items()}
    return jobs
