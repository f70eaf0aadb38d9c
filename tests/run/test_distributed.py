"""Training by two processes on this machine (gloo), started as those of a cluster are."""

import os
import platform
import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch
from running import SCRIPTS
from sketchscope.errors import InputError
from sketchscope.run import distributed
from sketchscope.run.distributed import Team

# what the processes run; it starts afresh in each of them
TRAIN = """
import math, os, signal, sys, time
from pathlib import Path

import numpy as np
import torch
from sketchscope.diffusion import checkpoint, schedule, training
from sketchscope.run import distributed, job

torch.set_num_threads(1)
torch.manual_seed(0)
folder, steps = Path(os.environ["FOLDER"]), int(os.environ["STEPS"])
if not distributed.is_launched() and int(os.environ["PROCESSES"]) > 1:
    sys.exit(distributed.launch(sys.argv[0], int(os.environ["PROCESSES"])))
shape = tuple(map(int, os.environ["SHAPE"].split(",")))
network, average, description = training.build_networks([8], 1, shape, (1.0,) * len(shape), 100)
if os.environ.get("RANK") == "1":
    torch.nn.init.zeros_(network.stem.weight)  # the first process decides
drawn = []

def draw_batch(rng, share):
    batch = rng.standard_normal((4, 1, *shape), np.float32)[share]
    drawn.append(len(batch))
    (folder / f"started-{os.environ.get('RANK')}").touch()
    return batch

def report(losses):
    checkpoint.write_losses(folder / "loss.csv", losses)

with job.job(folder / f"log-{os.environ.get('RANK', 0)}"):
    with distributed.join_team(torch.device("cpu")) as team, job.note_stop() as stop:
        record = training.train(
            training.make_trainer(network, average, 5e-3, torch.device("cpu"), torch.float32),
            draw_batch, schedule.cosine_alpha_bar(100),
            training.TrainingSettings(steps, 5e-3, 0.9, 1.0, 3, "hela", torch.float32),
            intervals=training.Intervals(3, math.inf),
            checkpoint=checkpoint.Checkpoint(folder / "checkpoint.pt", {}), report=report, stop=stop, team=team,
        )
    assert set(drawn) == {4 // team.size}
    torch.save(network.state_dict() | {"average": average.stem.weight}, folder / f"weights-{team.rank}.pt")
"""


def command(folder, processes, shape=(8, 8), steps=6):
    folder.mkdir(exist_ok=True)
    script = folder / "train.py"
    script.write_text(TRAIN)
    setting = {"FOLDER": folder, "PROCESSES": processes, "SHAPE": ",".join(map(str, shape)), "STEPS": steps}
    setting |= {"PYTHONPATH": SCRIPTS, "OMP_NUM_THREADS": 1}
    return [sys.executable, str(script)], os.environ | {key: str(value) for key, value in setting.items()}


def train(folder, processes, **changes):
    arguments, environment = command(folder, processes, **changes)
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return [torch.load(path) for path in sorted(folder.glob("weights-*.pt"))]


def losses(folder):
    return [line.split(",")[2] for line in (folder / "loss.csv").read_text().splitlines()[1:]]


def assert_near(first, second):
    for name, tensor in first.items():
        torch.testing.assert_close(tensor, second[name], rtol=1e-4, atol=1e-5, msg=lambda text, name=name: name + text)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(8, 8), (4, 8, 8)])
def test_two_processes_are_one_with_the_whole_batch(tmp_path, shape):
    (alone,) = train(tmp_path / "alone", 1, shape=shape)
    first, second = train(tmp_path / "two", 2, shape=shape)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert_near(alone, first)
    assert [float(loss) for loss in losses(tmp_path / "two")] == pytest.approx(
        [float(loss) for loss in losses(tmp_path / "alone")], rel=1e-4
    )


@pytest.mark.slow
def test_both_stop_in_order_and_go_on(tmp_path):
    whole, _ = train(tmp_path / "whole", 2, steps=400)
    arguments, environment = command(tmp_path / "cut", 2, steps=400)
    process = subprocess.Popen(arguments, env=environment, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "cut/started-1").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "the checkpoint is saved, the next attempt goes on from there" in complaint, complaint[-4000:]
    resumed, _ = train(tmp_path / "cut", 2, steps=400)
    assert "resumed at step" in (tmp_path / "cut/log-0").read_text()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_alone():
    team, network = Team(), torch.nn.Linear(2, 2)
    assert team.wrap(network) is network
    assert [team.agree(True), team.agree(False)] == [True, False]
    assert team.mean(torch.tensor(3.0)) == 3
    assert list(range(5))[team.share] == [0, 1, 2, 3, 4]
    team.check_batch(7)
    with distributed.join_team(torch.device("cpu")) as joined:
        assert joined == team


def test_batch_that_cannot_be_shared_out():
    with pytest.raises(InputError, match=r"batch_size is 16; to share it out to 3 GPUs it must be a multiple of 3"):
        Team(1, 3).check_batch(16)


def test_processes_that_cannot_be_spread_evenly():
    with pytest.raises(SystemExit, match="3 GPUs on 2 nodes; every node must have the same number of GPUs"):
        distributed.launch("train.py", 3, 2)


def test_processes_on_several_nodes_are_started_by_srun(monkeypatch):
    calls = []

    def start(command, env):
        calls.append((command, env))
        return SimpleNamespace(wait=lambda: 7)

    monkeypatch.setattr(subprocess, "Popen", start)
    for key, value in {"SLURM_JOB_ID": "30017", "SLURM_JOB_PARTITION": "gpu", "SLURM_STEP_ID": "0"}.items():
        monkeypatch.setenv(key, value)
    assert distributed.launch("train.py", 8, 2) == 7
    ((command, environment),) = calls
    assert command[0] == "srun"
    assert {"--overlap", "--nodes=2", "--ntasks=2", "--ntasks-per-node=1"} <= set(command)
    assert {"--nnodes=2", "--nproc-per-node=4", "--rdzv-id=30017"} <= set(command)
    assert f"--rdzv-endpoint={platform.node()}:20017" in command
    assert command[-1] == "train.py"
    slurm = {key: value for key, value in environment.items() if key.startswith("SLURM_")}
    assert slurm == {"SLURM_JOB_ID": "30017", "SLURM_JOB_PARTITION": "gpu"}


def test_processes_of_one_node_are_started_by_torchrun(monkeypatch):
    calls = []
    monkeypatch.setattr(
        subprocess, "Popen", lambda command, env: calls.append(command) or SimpleNamespace(wait=lambda: 3)
    )
    assert distributed.launch("train.py", 4) == 3
    assert calls == [[sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=4", "--standalone", "train.py"]]


def test_the_first_process_answers_and_means_are_over_all(monkeypatch):
    """As the second of two processes sees it: the first one says yes, and its value is 4."""
    monkeypatch.setattr("torch.distributed.broadcast", lambda said, source: said.fill_(source == 0))
    monkeypatch.setattr("torch.distributed.all_reduce", lambda value: value.add_(4.0))
    team = Team(1, 2)
    assert team.agree(False)
    assert team.mean(torch.tensor(2.0)) == 3
    assert list(range(7))[team.share] == [1, 3, 5]
    team.check_batch(8)


def test_a_launched_process_joins_a_group_and_leaves_it(monkeypatch):
    """A team of one, in this very process."""
    settings = {"TORCHELASTIC_RUN_ID": "x", "RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        settings["MASTER_PORT"] = str(free.getsockname()[1])
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert distributed.is_launched()
    with distributed.join_team(torch.device("cpu")) as team:
        assert torch.distributed.is_initialized()
        assert team == Team(0, 1)
    assert not torch.distributed.is_initialized()
