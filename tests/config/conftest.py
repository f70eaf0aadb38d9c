import pytest


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with a folder of three images and two label files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name in ("t1.tif", "t2.tif", "t10.tif", "truth1.png", "truth2.png"):
        (tmp_path / "data" / name).touch()
    return tmp_path


@pytest.fixture
def own():
    """Section of an organism of the user's own."""
    return {"preset": "nuclei-2d", "images": "data/*.tif"}
