import errno
import os
import sys

import numpy as np
import pytest
from sketchscope import jobs
from sketchscope.errors import InputError
from sketchscope.files import atomic_path
from sketchscope.jobs import job, package_versions


def run_failing(log, error):
    with job(log):
        raise error


def test_log_has_a_header_and_what_is_printed(tmp_path, capsys):
    log = tmp_path / "logs" / "a.log"
    with job(log, device="cuda", seed=7):
        print("a line")
        print("a complaint", file=sys.stderr)
    text = log.read_text()
    assert "device cuda, seed 7" in text.splitlines()[0]
    assert f"numpy {np.__version__}" in text.splitlines()[1]
    assert text.splitlines()[2:] == ["a line", "a complaint"]
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "a line"
    assert err == "a complaint\n"


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
    versions = package_versions()
    assert versions["numpy"] == np.__version__
    assert versions["python"] == ".".join(str(part) for part in sys.version_info[:3])


def test_progress_is_told_now_and_then(monkeypatch):
    now, told = [100.0], []
    monkeypatch.setattr(jobs.time, "monotonic", lambda: now[0])
    tell = jobs.at_most_every(20, told.append)
    for now[0] in (105.0, 121.0, 125.0, 140.0, 145.0, 150.0):
        tell(now[0])
    assert told == [121.0, 145.0]
