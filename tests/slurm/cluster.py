"""A SLURM cluster on one host: slurmctld, munged and three slurmd, for tests as root in a container or a CI machine.

`python tests/slurm/cluster.py` starts one and keeps it until it is interrupted.
"""

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ETC = Path("/etc/slurm")
NODES = {"cpu1": 17001, "gpu1": 17002, "gpu2": 17003}
MARK = "# written by the tests of Sketchscope"
SLURM_CONF = """{mark}
ClusterName=sketchscope
SlurmctldHost=localhost
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=cred_expire=15
CredType=cred/munge
StateSaveLocation={state}/ctld
SlurmdSpoolDir={state}/d.%n
SlurmctldPidFile={state}/slurmctld.pid
SlurmdPidFile={state}/slurmd.%n.pid
SlurmctldLogFile={state}/slurmctld.log
SlurmdLogFile={state}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,sched_min_interval=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
SlurmdParameters=config_overrides
ReturnToService=2
EnforcePartLimits=ALL
MinJobAge=900
KillWait=10
OverTimeLimit=0
SlurmdTimeout=15
SlurmctldTimeout=15
BatchStartTimeout=10
MessageTimeout=10
InactiveLimit=0
Waittime=0
GresTypes=gpu
NodeName=cpu1 NodeHostname=localhost Port={NODES[cpu1]} CPUs=64 RealMemory=200000 State=UNKNOWN
NodeName=gpu1 NodeHostname=localhost Port={NODES[gpu1]} CPUs=64 RealMemory=200000 Gres=gpu:fake:1 State=UNKNOWN
NodeName=gpu2 NodeHostname=localhost Port={NODES[gpu2]} CPUs=64 RealMemory=200000 Gres=gpu:fake:1 State=UNKNOWN
PartitionName=cpu Nodes=cpu1 Default=YES MaxTime=2-0 State=UP
PartitionName=gpu Nodes=gpu1,gpu2 MaxTime=2-0 State=UP
"""
GRES_CONF = """{mark}
AutoDetect=off
NodeName=gpu[1-2] Name=gpu Type=fake File={state}/dev/nvidia0
"""


class Job(NamedTuple):
    """One job as squeue last showed it."""

    id: str
    state: str
    partition: str
    node: str
    start: str
    end: str
    comment: str


def wait_until(done: Callable[[], object], what: str, seconds: float = 30, pause: float = 0.2) -> object:
    """Wait until `done` gives something true, and return that."""
    deadline = time.monotonic() + seconds
    while not (result := done()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(pause)
    return result


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout


class Cluster:
    """Started by `with`, stopped by its own pids; `jobs` remembers every job that was ever seen."""

    def __init__(self) -> None:
        self.state = Path(tempfile.mkdtemp(prefix="sketchscope-slurm-"))
        self.jobs: dict[str, Job] = {}
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._daemons: dict[str, subprocess.Popen] = {}

    def __enter__(self) -> "Cluster":
        if _succeeds("scontrol", "ping"):
            raise RuntimeError("a SLURM controller answers already; the tests need a machine without one")
        try:
            self._configure()
            self._start_munge()
            self._daemon("slurmctld", "slurmctld", "-D")
            wait_until(lambda: "is UP" in _output("scontrol", "ping"), "slurmctld")
            for node in NODES:
                self.start_node(node)
            wait_until(lambda: _output("sinfo", "-h", "-N", "-o", "%T").split() == ["idle"] * len(NODES), "idle nodes")
        except BaseException:
            self._stop()
            raise
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watcher.join()
        self._stop()

    def _configure(self) -> None:
        """Write slurm.conf where the inner srun looks for it; never over one of a real cluster."""
        for name, text in (("slurm.conf", SLURM_CONF), ("gres.conf", GRES_CONF)):
            path = ETC / name
            if path.exists() and not path.read_text().startswith(MARK):
                raise RuntimeError(f"{path} is not from these tests; they will not touch the SLURM of this machine")
            ETC.mkdir(exist_ok=True)
            path.write_text(text.format(mark=MARK, state=self.state, NODES=NODES))
        for name in ("ctld", "dev", *(f"d.{node}" for node in NODES)):
            (self.state / name).mkdir()
        os.mknod(self.state / "dev/nvidia0", 0o666 | stat.S_IFCHR, os.makedev(1, 3))

    def _start_munge(self) -> None:
        for folder in ("/run/munge", "/var/log/munge", "/var/lib/munge"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            shutil.chown(folder, "munge", "munge")
        os.chmod("/run/munge", 0o755)
        if not _succeeds("munge", "-n"):
            self._daemon("munged", "setpriv", "--reuid=munge", "--regid=munge", "--clear-groups", "munged", "-F")
            wait_until(lambda: _succeeds("munge", "-n"), "munged")

    def _daemon(self, name: str, *command: str) -> None:
        with open(self.state / f"{name}.out", "ab") as out:
            self._daemons[name] = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)

    def start_node(self, node: str) -> None:
        """Start the slurmd of a node."""
        self._daemon(node, "slurmd", "-D", "-N", node)

    def kill_node(self, node: str) -> None:
        """Kill a node as a power cut does: its slurmd, and all processes of its jobs."""
        self._daemons[node].kill()
        self._daemons[node].wait()
        for job in self.jobs.values():
            if job.node == node and job.state == "RUNNING":
                for process in self.processes(job.id):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)

    @staticmethod
    def processes(job: str, command: str = "") -> list[int]:
        """Process ids of a job whose command line holds a text."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                environment = (folder / "environ").read_bytes().split(b"\0")
                inside = f"SLURM_JOB_ID={job}".encode() in environment or line.startswith(f"slurmstepd: [{job}.")
                if inside and command in line:
                    found.append(int(folder.name))
        return found

    def update(self) -> dict[str, Job]:
        """Ask for all jobs, finished ones included."""
        form = "|".join(("%i", "%T", "%P", "%N", "%S", "%e", "%k"))
        for line in _output("squeue", "-h", "-t", "all", "-o", form).splitlines():
            job = Job(*line.split("|", 6))
            self.jobs[job.id] = job
        return self.jobs

    def _watch(self) -> None:
        while not self._ended.wait(1):
            self.update()

    def _stop(self) -> None:
        subprocess.run(["scancel", "--user=root", "--signal=KILL", "--full"], capture_output=True)
        for daemon in reversed(self._daemons.values()):
            if daemon.poll() is None:
                daemon.terminate()
                try:
                    daemon.wait(10)
                except subprocess.TimeoutExpired:
                    daemon.kill()
        for name in ("slurm.conf", "gres.conf"):
            (ETC / name).unlink(missing_ok=True)
        shutil.rmtree(self.state, ignore_errors=True)


if __name__ == "__main__":
    ending = [signal.SIGINT, signal.SIGTERM]
    with Cluster() as cluster:
        signal.pthread_sigmask(signal.SIG_BLOCK, ending)
        print(f"running, state in {cluster.state}; Ctrl-C stops it", flush=True)
        signal.sigwait(ending)
