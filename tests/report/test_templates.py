import doctest
import os
import subprocess
import sys

import pytest
import yaml
from sketchscope.errors import InputError
from sketchscope.io.atomic import write_text
from sketchscope.report import templates


def test_examples():
    result = doctest.testmod(templates)
    assert result.attempted > 0
    assert result.failed == 0


def template(folder, text):
    path = folder / "a.html"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("escape", "expected"), [(True, "&lt;b&gt; &amp; −1.50\n"), (False, "<b> & −1.50\n")])
def test_values_are_escaped_for_html_alone(tmp_path, escape, expected):
    path = template(tmp_path, "{{ a }} & {{ b | number(2) }}\n".replace("&", "{{ c }}"))
    assert templates.fill(path, {"a": "<b>", "b": -1.5, "c": "&"}, escape=escape) == expected


@pytest.mark.parametrize(("text", "message"), [("{{ a", "end of"), ("{{ absent }}", "absent"), ("{{ a.b }}", "b")])
def test_a_template_that_cannot_be_filled_in_is_named(tmp_path, text, message):
    with pytest.raises(InputError, match=rf"a\.html: cannot be filled in .*{message}"):
        templates.fill(template(tmp_path, text), {"a": 1}, escape=True)


def test_text_is_written_whole_or_not_at_all(tmp_path):
    write_text(tmp_path / "new/a.md", "µm\n")
    assert (tmp_path / "new/a.md").read_bytes() == "µm\n".encode()
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "new/a.md", "\ud800")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.md"]
    assert (tmp_path / "new/a.md").read_bytes() == "µm\n".encode()


def test_settings_come_back_from_yaml():
    shape = [5, 64]
    settings = {"z": {"a": shape, "b": shape}, "text": "no", "none": None, "number": 1e-5, "µ": "a: b # c", "empty": {}}
    text = templates.format_yaml(settings)
    assert yaml.safe_load(text) == settings
    assert list(yaml.safe_load(text)) == list(settings)
    assert "&id" not in text, "written out where it occurs twice"
    assert "a: [5, 64]" in text


@pytest.mark.parametrize(("dimensions", "last"), [(2, "python -m cellpose"), (3, "python -m cellpose --Zstack")])
def test_commands_that_open_the_model(dimensions, last):
    commands = templates.list_gui_commands("hela", dimensions)
    assert commands[2].startswith("cp results/hela/cellpose/sketchscope/model ~/.cellpose/models/")
    assert commands[-1] == last


def test_cellpose_lists_the_model_that_the_commands_add(tmp_path):
    """In a home where it never ran: all commands but the installation and the GUI itself."""
    (tmp_path / "results/hela/cellpose/sketchscope").mkdir(parents=True)
    (tmp_path / "results/hela/cellpose/sketchscope/model").write_bytes(b"weights")
    commands = [
        command.replace("python ", f"{sys.executable} ") for command in templates.list_gui_commands("hela", 2)[1:-1]
    ]
    environment = {key: value for key, value in os.environ.items() if key != "CELLPOSE_LOCAL_MODELS_PATH"}
    environment["HOME"] = str(tmp_path)
    script = " && ".join(commands)
    done = subprocess.run(script, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    kept = tmp_path / ".cellpose/models"
    assert (kept / "gui_models.txt").read_text() == "sketchscope-hela\n"
    assert (kept / "sketchscope-hela").read_bytes() == b"weights"
