import itertools
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from running import SCRIPTS
from sketchscope.errors import InputError
from sketchscope.io.atomic import (
    atomic_folder,
    atomic_path,
    fingerprint_file,
    fingerprint_files,
    resumed_folder,
    write_json,
)
from sketchscope.io.images import list_image_files, write_image


def test_path_appears_only_when_all_is_written(tmp_path):
    with atomic_path(tmp_path / "deep" / "a.txt") as temporary:
        temporary.write_text("all")
        assert not (tmp_path / "deep" / "a.txt").exists()
    assert os.listdir(tmp_path / "deep") == ["a.txt"]
    assert (tmp_path / "deep" / "a.txt").read_text() == "all"


def interrupted_write(path):
    with atomic_path(path) as temporary:
        temporary.write_text("half of")
        raise KeyboardInterrupt


def test_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        interrupted_write(path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_folder_takes_the_place_of_the_old_one(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "old.txt").touch()
    with atomic_folder(tmp_path / "set") as temporary:
        (temporary / "new.txt").touch()
    assert os.listdir(tmp_path) == ["set"]
    assert os.listdir(tmp_path / "set") == ["new.txt"]


def failing_folder(path):
    with atomic_folder(path) as temporary:
        (temporary / "new.txt").touch()
        raise InputError("bad")


def test_json_has_no_nan_and_is_whole(tmp_path):
    path = tmp_path / "new" / "x.json"
    write_json(path, {"b": float("nan"), "a": [np.float32(0.5), np.int64(3), np.inf], "c": {"d": None}})
    text = path.read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {"a": [0.5, 3, None], "b": None, "c": {"d": None}}
    assert text.index('"a"') < text.index('"b"')
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert path.read_text() == text
    assert [p.name for p in path.parent.iterdir()] == ["x.json"]


HALF_WRITTEN = """
import sys, time
from sketchscope.io.atomic import atomic_path
with atomic_path(sys.argv[1]) as path, open(path, "wb") as file:
    file.write(bytes(1000))
    file.flush()
    print("half", flush=True)
    time.sleep(60)
"""

OUT_OF_ROOM = """
import resource, sys
import numpy as np
from sketchscope.io.images import write_image
from sketchscope.run.job import job
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
with job(sys.argv[2]):
    write_image(sys.argv[1], np.random.default_rng(1).integers(0, 999, (200, 200), "u2"), (1, 1))
"""


def python(code, *arguments):
    """Start Python on `code`, with the library at hand."""
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_killed_writer_leaves_nothing_under_the_final_name(tmp_path):
    with python(HALF_WRITTEN, tmp_path / "a.ome.tif") as process:
        assert process.stdout.readline() == "half\n"
        process.kill()
    assert not (tmp_path / "a.ome.tif").exists()
    with pytest.raises(InputError, match=r"holds no image"):
        list_image_files(tmp_path)


def test_file_that_outgrows_its_room_is_reported_in_a_sentence(tmp_path):
    process = python(OUT_OF_ROOM, tmp_path / "images" / "a.ome.tif", tmp_path / "log")
    _, errors = process.communicate()
    assert process.returncode == 1
    assert re.search(r"^Error: .*a\.ome\.tif", errors, re.MULTILINE)
    assert not list((tmp_path / "images").iterdir())


def fill(path, fingerprint, names, *, fail=False):
    """What is there before, and the folder filled with files of these names."""
    with resumed_folder(path, fingerprint) as folder:
        before = {file.name for file in folder.glob("[!.]*")}
        for name in names:
            (folder / name).write_text(name)
        if fail:
            raise KeyboardInterrupt
    return before


def test_resumed_folder_keeps_what_an_attempt_has_finished(tmp_path):
    path = tmp_path / "batch"
    with pytest.raises(KeyboardInterrupt):
        fill(path, "same", "ab", fail=True)
    assert not path.exists()
    assert fill(path, "same", "c") == {"a", "b"}
    assert {file.name for file in path.iterdir()} == {"a", "b", "c"}
    assert [file.name for file in tmp_path.iterdir()] == ["batch"]


def test_resumed_folder_of_another_fingerprint_starts_over(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path / "batch", "first", "a", fail=True)
    assert fill(tmp_path / "batch", "second", "b") == set()
    assert [file.name for file in (tmp_path / "batch").iterdir()] == ["b"]


def test_resumed_folder_without_a_fingerprint_starts_over(tmp_path):
    """The attempt before was killed between making the folder and saying what it is of."""
    unfinished = tmp_path / ".batch.unfinished"
    unfinished.mkdir()
    (unfinished / "a").write_text("a")
    assert fill(tmp_path / "batch", "same", "b") == set()


def test_resumed_folder_drops_half_written_files(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path / "batch", "same", [".b.1-2.tmp"], fail=True)
    fill(tmp_path / "batch", "same", "b")
    assert [file.name for file in (tmp_path / "batch").iterdir()] == ["b"]


def test_resumed_folder_replaces_an_old_one(tmp_path):
    fill(tmp_path / "batch", "first", "a")
    fill(tmp_path / "batch", "second", "b")
    assert [file.name for file in (tmp_path / "batch").iterdir()] == ["b"]


def test_leftovers_of_a_killed_process_go(tmp_path):
    (tmp_path / ".batch.12-ab.tmp").mkdir()
    (tmp_path / ".batch.12-ab.tmp" / "a").touch()
    (tmp_path / ".batch.13-ab.tmp").touch()
    for other in (".batch2.12-ab.tmp", "batch.tmp", ".batch.unfinished"):
        (tmp_path / other).touch()
    with atomic_folder(tmp_path / "batch"):
        pass
    assert {file.name for file in tmp_path.iterdir()} == {
        "batch",
        ".batch2.12-ab.tmp",
        "batch.tmp",
        ".batch.unfinished",
    }


@pytest.mark.parametrize("existed", [True, False])
def test_failed_folder_leaves_things_as_they_were(tmp_path, existed):
    if existed:
        (tmp_path / "set").mkdir()
    with pytest.raises(InputError, match="bad"):
        failing_folder(tmp_path / "set")
    assert os.listdir(tmp_path) == (["set"] if existed else [])


def test_fingerprint_changes_with_the_content(tmp_path):
    paths, seen = [tmp_path / "a.ome.zarr", tmp_path / "b.ome.tif"], []
    for value in range(2):
        for path in paths:
            write_image(path, np.full((9, 9), value, np.uint8), (1, 1))
        assert fingerprint_files(paths) == {path.name: fingerprint_file(path) for path in paths}
        seen += fingerprint_files(paths).values()
    assert all(first != second for first, second in itertools.combinations(seen, 2))
