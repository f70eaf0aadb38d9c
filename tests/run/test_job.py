import errno
import os
import platform
import re
import signal
import sys

import numpy as np
import pytest
import torch
from sketchscope.errors import InputError
from sketchscope.io.atomic import atomic_path
from sketchscope.run.job import Stopped, collect_versions, job, limit_rate, note_stop, show_progress, time


def run_failing(log, error):
    with job(log):
        raise error


def test_log_has_a_header_and_what_is_printed(tmp_path, capsys):
    log = tmp_path / "logs" / "a.log"
    with job(log, device="cpu", seed=7) as device:
        print("a line")
        print("a complaint", file=sys.stderr)
    assert device.type == "cpu"
    text = log.read_text()
    assert re.fullmatch(rf"# \S+ host {platform.node()}, seed 7", text.splitlines()[0])
    assert f"numpy {np.__version__}" in text.splitlines()[1]
    assert text.splitlines()[2].startswith("# device cpu (")
    assert text.splitlines()[3:] == ["a line", "a complaint"]
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "a line"
    assert err == "a complaint\n"


def test_header_names_the_job_of_slurm(tmp_path, monkeypatch):
    for key, value in {"SLURM_JOB_ID": "17", "SLURMD_NODENAME": "gpu1", "SLURM_JOB_PARTITION": "gpu"}.items():
        monkeypatch.setenv(key, value)
    with job(tmp_path / "a.log") as device:
        assert device is None
    assert "SLURM job 17 on node gpu1 (gpu), nothing random\n" in (tmp_path / "a.log").read_text()


@pytest.mark.parametrize(
    ("setting", "gpus", "in_slurm", "fails"),
    [
        ("cuda", 0, False, True),
        ("cuda", 1, True, True),
        ("auto", 1, True, True),
        ("auto", 1, False, False),
        ("auto", 0, True, False),
        ("cpu", 1, True, False),
    ],
)
def test_never_the_cpu_in_place_of_a_gpu_that_was_asked_for(
    tmp_path, monkeypatch, capsys, setting, gpus, in_slurm, fails
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    if in_slurm:
        monkeypatch.setenv("SLURM_JOB_ID", "17")
    else:
        monkeypatch.delenv("SLURM_JOB_ID", raising=False)

    def use():
        with job(tmp_path / "a.log", device=setting, gpus=gpus) as device:
            assert device.type == "cpu"

    if not fails:
        use()
        return
    with pytest.raises(SystemExit) as caught:
        use()
    assert caught.value.code == 1
    assert re.fullmatch(r"Error: device: a GPU is asked for .* or set device: cpu\n", capsys.readouterr().err)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_asked_to_stop_is_one_sentence_and_leaves_nothing(tmp_path, capsys, number):
    before = signal.getsignal(number)

    def stopped():
        with job(tmp_path / "a.log"), atomic_path(tmp_path / "b.tif") as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), number)

    with pytest.raises(SystemExit) as caught:
        stopped()
    assert caught.value.code == 143
    assert capsys.readouterr().err == f"Stopped by {number.name}\n"
    assert os.listdir(tmp_path) == ["a.log"]
    assert signal.getsignal(number) == before


def test_a_stop_that_is_noted_waits(tmp_path):
    with job(tmp_path / "a.log"), note_stop() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()
        assert stop()


def test_a_stop_is_no_exception_that_somebody_catches():
    assert not issubclass(Stopped, Exception)


def test_streams_are_given_back(tmp_path):
    streams = sys.stdout, sys.stderr
    with job(tmp_path / "a.log"):
        assert sys.stdout is not streams[0]
    assert (sys.stdout, sys.stderr) == streams
    with pytest.raises(SystemExit):
        run_failing(tmp_path / "a.log", InputError("bad"))
    assert (sys.stdout, sys.stderr) == streams


def test_bad_input_is_one_sentence_without_traceback(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        run_failing(tmp_path / "a.log", InputError("a.tif: is constant"))
    assert caught.value.code == 1
    assert capsys.readouterr().err == "Error: a.tif: is constant\n"
    text = (tmp_path / "a.log").read_text()
    assert text.endswith("\nError: a.tif: is constant\n")
    assert "Traceback" not in text


def test_full_disk_is_one_sentence_that_names_the_file(tmp_path, capsys):
    def write():
        with job(tmp_path / "a.log"), atomic_path(tmp_path / "b.tif"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(SystemExit) as caught:
        write()
    assert caught.value.code == 1
    assert capsys.readouterr().err == f"Error: {tmp_path / 'b.tif'}: No space left on device\n"
    assert os.listdir(tmp_path) == ["a.log"]


@pytest.mark.parametrize("error", [RuntimeError("a fault"), PermissionError(errno.EACCES, "denied", "x")])
def test_other_faults_keep_their_traceback(tmp_path, capsys, error):
    with pytest.raises(SystemExit) as caught:
        run_failing(tmp_path / "a.log", error)
    assert caught.value.code == 1
    assert "Traceback" in capsys.readouterr().err
    assert type(error).__name__ in (tmp_path / "a.log").read_text()


def test_versions_are_those_installed():
    versions = collect_versions()
    assert versions["numpy"] == np.__version__
    assert versions["python"] == ".".join(str(part) for part in sys.version_info[:3])


def test_progress_of_an_image(monkeypatch, capsys):
    clock = iter([0.0, 0.0, 10.0, 30.0, 30.0, 30.0, 31.0, 80.0, 80.0, 80.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    report = show_progress("volume_0001", 4000)
    for share in (0.1, 0.25, 0.3, 0.8):
        report(share)
    assert capsys.readouterr().out.splitlines() == [
        "volume_0001: 25%, 33 voxels/s, 0:01:30 left",
        "volume_0001: 80%, 40 voxels/s, 0:00:20 left",
    ]


def test_progress_is_reported_now_and_then(monkeypatch):
    now, reported = [100.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    report = limit_rate(20, reported.append)
    for now[0] in (105.0, 121.0, 125.0, 140.0, 145.0, 150.0):
        report(now[0])
    assert reported == [121.0, 145.0]
