"""The workflow on a real SLURM: `make test-slurm`. The cluster is this machine, its GPUs are fake."""

import os
import re
import signal
import subprocess
import sys
import zipfile
from itertools import combinations
from pathlib import Path

import pytest
import yaml
from cluster import Cluster, wait_until
from running import REPOSITORY, snakemake
from test_end_to_end import FLAT, assert_cells_show, assert_whole, scores, write_config, write_frames

# ask often: the jobs take seconds
QUICK = (
    *("--slurm-init-seconds-before-status-checks", 1),
    *("--seconds-between-status-checks", 1),
    *("--max-status-checks-per-second", 10),
)
GPU_RULES = ("train_diffusion", "sweep_start", "generate_volumes", "train_cellpose", "segment_images")
CPU_RULES = (
    "prepare_images",
    "segment_rough",
    "measure_haze",
    "draw_training_sketches",
    "measure_cells",
    "masks",
    "write_card",
    "segment_classical",
    "score_segmentation",
)
CPU_RULES += ("audit_labels", "audit_references", "compare_shapes")
RESULTS = "results/my-cells"

pytestmark = pytest.mark.slurm


@pytest.fixture(scope="session")
def cluster():
    with Cluster() as running:
        yield running


class Driver:
    """`snakemake --profile slurm` in a folder, in the background."""

    def __init__(self, folder, *options):
        self.log = folder / "driver.log"
        command = [sys.executable, REPOSITORY / "tests/slurm/launch.py", "--snakefile", REPOSITORY / "Snakefile"]
        command += ["--profile", "slurm", "--workflow-profile", "site", *QUICK, *options]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                list(map(str, command)), cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def check(self):
        assert self.process.poll() in (None, 0), self.log.read_text()[-6000:]

    def finish(self, seconds=900):
        wait_until(lambda: self.process.poll() is not None, "the workflow", seconds)
        assert self.process.returncode == 0, self.log.read_text()[-6000:]
        return self.log.read_text()

    @property
    def run_id(self):
        return re.search(r"SLURM run ID: (\S+)", self.log.read_text())[1]


def set_up(folder, resources=(), threads=2, **organism):
    """A folder with images, config.yaml, the profile, and one for this site after the example."""
    write_frames(folder, 6, (160, 160), FLAT)
    section = {"images": "images/*.tif", "labels": "truth/*.tif", "test_images": "4-5"}
    write_config(folder, {"my-cells": FLAT | section | organism})
    (folder / "slurm").symlink_to(REPOSITORY / "slurm")
    site = yaml.safe_load((REPOSITORY / "profiles/site-example/config.yaml").read_text())
    del site["default-resources"]["slurm_account"], site["set-resources"]["train_diffusion"]["runtime"]
    for rule in GPU_RULES:
        site["set-resources"][rule] |= {"gpu": 1, "gpu_model": "fake"} | dict(resources).get(rule, {})
    site["set-threads"] = dict.fromkeys(GPU_RULES, threads)
    (folder / "site").mkdir()
    (folder / "site/config.yaml").write_text(yaml.safe_dump(site))


def jobs_of(cluster, rule, since=0):
    """Jobs of a rule in order, those of before left out."""
    jobs = [job for job in cluster.jobs.values() if job.comment.startswith(f"rule_{rule}") and int(job.id) > since]
    return sorted(jobs, key=lambda job: int(job.id))


def latest(cluster):
    return max(map(int, cluster.update()), default=0)


def text(path):
    return path.read_text() if path.exists() else ""


def test_everything_through_sbatch(cluster, tmp_path):
    before = latest(cluster)
    set_up(tmp_path, cellpose=FLAT["cellpose"] | {"epochs": 40})  # with 20, another number of threads may find no cell
    Driver(tmp_path).finish()
    cluster.update()

    results = tmp_path / RESULTS
    assert_whole(results, (128, 128), 8)
    assert_cells_show(results)
    assert scores(results)["ap50"] > 0.7, "a network that learnt nothing finds no cell"

    jobs = [job for job in cluster.jobs.values() if int(job.id) > before]
    assert {job.state for job in jobs} == {"COMPLETED"}
    where = {rule: {job.partition for job in jobs_of(cluster, rule, before)} for rule in GPU_RULES + CPU_RULES}
    assert where == {rule: {"gpu" if rule in GPU_RULES else "cpu"} for rule in GPU_RULES + CPU_RULES}
    # one per rule, but two of masks, generation and scores; nothing else
    assert len(jobs) == len(GPU_RULES) + len(CPU_RULES) + 3

    # the sweep and the two batches are ready together, and share two nodes with one GPU each
    first, second = sorted(jobs_of(cluster, "generate_volumes", before), key=lambda job: job.comment)
    together = [first, second, *jobs_of(cluster, "sweep_start", before)]
    assert {job.node for job in together} == {"gpu1", "gpu2"}
    pairs = [pair for pair in combinations(together, 2) if pair[0].node != pair[1].node]
    assert any(max(a.start, b.start) < min(a.end, b.end) for a, b in pairs)
    print(*(f"{job.comment} on {job.node} from {job.start} to {job.end}" for job in (first, second)), sep="\n")
    for batch, job in (("batch_000", first), ("batch_001", second)):
        assert batch in job.comment
        header = (results / f"logs/generate_volumes.{batch}.log").read_text().splitlines()[0]
        assert f"SLURM job {job.id} on node {job.node} (gpu), seed 3" in header

    done = snakemake(tmp_path, "--report", "report.zip", "--cores", 1)
    assert done.returncode == 0, done.stdout
    with zipfile.ZipFile(tmp_path / "report.zip") as report:
        names = {Path(name).name for name in report.namelist()}
    assert {"report.html", "pairs.png", "overlays.png", "iou.png", "loss.png", "summary.json"} <= names

    assert "Nothing to be done" in Driver(tmp_path).finish()
    assert latest(cluster) == max(int(job.id) for job in jobs)

    # a GPU was asked for, so without CUDA the job fails at once instead of training on the CPU
    driver = Driver(tmp_path, "--config", "device=auto", "--forcerun", "train_diffusion", "--retries", 0)
    wait_until(lambda: driver.process.poll() is not None, "the failure", 300)
    assert driver.process.returncode != 0
    assert "Error: device: a GPU is asked for on" in (results / "logs/train_diffusion.log").read_text()


class Harm:
    """What happens to the jobs of one workflow, each at a moment that does not depend on the machine's speed."""

    def __init__(self, cluster, folder, driver):
        self.cluster, self.folder, self.driver = cluster, folder, driver

    def frozen(self, rule, line, path):
        """Wait for a job of a rule and for a line in its log, then let its script stand still."""

        def running():
            self.driver.check()
            jobs = [job for job in jobs_of(self.cluster, rule) if job.state == "RUNNING"]
            return jobs[-1] if jobs else None

        def script():
            job = running()
            found = self.cluster.processes(job.id, f"{rule}.py") if job else []
            if found and re.search(line, text(path)) and f"SLURM job {job.id} " in text(path):
                os.kill(found[0], signal.SIGSTOP)
                return job
            return None

        return wait_until(script, f"{rule} to run", 300, pause=0.02)

    def ended(self, job, state):
        wait_until(lambda: self.cluster.update()[job.id].state == state, f"job {job.id} to be {state}", 240)

    def slurm_log(self, job):
        (log,) = (self.folder / ".snakemake/slurm_logs").rglob(f"{job.id}.log")
        return log.read_text()


def test_time_limit_scancel_lost_node_and_killed_driver(cluster, tmp_path):
    """A training that meets all four, and its generation, end with the bytes of an undisturbed run."""
    training = {"steps": 200, "report_every": 10, "checkpoint_seconds": 1}
    diffusion = FLAT["diffusion"] | training
    targets = [f"{RESULTS}/synthetic/batch_00{batch}" for batch in (0, 1)]
    folder, quiet = tmp_path / "disturbed", tmp_path / "undisturbed"
    for place in (folder, quiet):
        place.mkdir()
        short = {"train_diffusion": {"runtime": "attempt * 1", "slurm_extra": "'--nice=0'"}}  # no early signal
        set_up(place, short, threads=1, diffusion=diffusion)
    log = folder / RESULTS / "logs/train_diffusion.log"
    driver = Driver(folder, *targets)
    harm = Harm(cluster, folder, driver)

    # the time limit of one minute; meanwhile, the undisturbed run
    job = harm.frozen("train_diffusion", r"step 20/200", log)
    done = snakemake(quiet, "--cores", 1, *targets)
    assert done.returncode == 0, done.stdout[-6000:]
    harm.ended(job, "TIMEOUT")
    assert re.search(r"Stopped at step \d+; the checkpoint is saved", harm.slurm_log(job))

    # scancel
    job = harm.frozen("train_diffusion", r"resumed at step \d+\n(.*\n)*step [6789]0/200", log)
    subprocess.run(["scancel", job.id], check=True)
    harm.ended(job, "CANCELLED")
    assert re.search(r"Stopped at step \d+; the checkpoint is saved", harm.slurm_log(job))

    # the node goes down; SLURM itself starts the job again on the other one
    job = harm.frozen("train_diffusion", r"resumed at step \d+\n(.*\n)*step 1[01]0/200", log)
    cluster.kill_node(job.node)
    wait_until(lambda: cluster.update()[job.id].node not in ("", job.node), "the job to move to the other node", 300)
    wait_until(lambda: (folder / RESULTS / "diffusion/training.json").exists(), "the end of the training", 300)
    resumed = [int(step) for step in re.findall(r"resumed at step (\d+)", log.read_text())]
    assert resumed
    assert resumed[0] > 60
    cluster.start_node(job.node)

    # the driver is killed in the middle of the generation
    names = [folder / RESULTS / f"logs/generate_volumes.batch_00{batch}.log" for batch in (0, 1)]
    wait_until(lambda: any("from t = 400" in text(name) for name in names), "the first volume", 300, pause=0.02)
    driver.process.send_signal(signal.SIGKILL)
    driver.process.wait()
    subprocess.run(["scancel", "--name", driver.run_id], check=True)
    running = [job for job in cluster.update().values() if job.state in ("RUNNING", "COMPLETING", "PENDING")]
    for job in running:
        harm.ended(job, "CANCELLED")
    unfinished = list((folder / RESULTS / "synthetic").glob(".*.unfinished/*.ome.tif"))
    trained = (folder / RESULTS / "diffusion/model.safetensors").stat().st_mtime_ns
    kept = {path: path.stat().st_mtime_ns for path in unfinished}
    assert kept

    # started again, as the README says
    done = snakemake(folder, "--unlock", "--cores", 1)
    assert done.returncode == 0, done.stdout
    said = Driver(folder, *targets).finish()
    assert "rule train_diffusion" not in said
    assert (folder / RESULTS / "diffusion/model.safetensors").stat().st_mtime_ns == trained
    for path, changed in kept.items():
        batch = path.parent.name.removeprefix(".").removesuffix(".unfinished")
        assert (folder / RESULTS / "synthetic" / batch / path.name).stat().st_mtime_ns == changed
    assert "finished by an earlier attempt" in "".join(map(text, names))

    made = {path.relative_to(quiet): path for path in (quiet / RESULTS / "synthetic").glob("batch_*/*.tif")}
    assert len(made) == 8
    made[Path(RESULTS) / "diffusion/model.safetensors"] = quiet / RESULTS / "diffusion/model.safetensors"
    assert [name for name, path in made.items() if (folder / name).read_bytes() != path.read_bytes()] == []
    left = [path for path in (folder / RESULTS).rglob(".*") if path.name.endswith((".tmp", ".unfinished"))]
    assert left == [], "nothing half-written is left"
    assert not (folder / RESULTS / "diffusion/checkpoint.pt").exists()


def losses(folder):
    lines = (folder / RESULTS / "diffusion/loss.csv").read_text().splitlines()[1:]
    return [float(line.split(",")[2]) for line in lines]


def test_training_on_two_gpus_of_two_nodes(cluster, tmp_path):
    """torchrun over both nodes, with gloo, since there is no GPU; the losses are those of one process."""
    both = {"train_diffusion": {"gpu": 2, "nodes": 2, "mpi": "srun", "tasks": 2, "tasks_per_gpu": 0}}
    shared, alone = tmp_path / "shared", tmp_path / "alone"
    for folder in (shared, alone):
        folder.mkdir()
        diffusion = FLAT["diffusion"] | {"steps": 30, "report_every": 10, "precision": "fp32"}
        set_up(folder, both, diffusion=diffusion)
    before = latest(cluster)
    model = f"{RESULTS}/diffusion/model.safetensors"
    driver = Driver(shared, model)
    done = snakemake(alone, "--cores", 1, model)
    assert done.returncode == 0, done.stdout[-6000:]
    driver.finish()
    cluster.update()
    (job,) = jobs_of(cluster, "train_diffusion", before)
    assert job.node == "gpu[1-2]"
    assert losses(shared) == pytest.approx(losses(alone), rel=0.01)
