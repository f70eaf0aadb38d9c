import pytest
import yaml
from sketchscope.config.yaml_files import MOST_NODES, read_yaml
from sketchscope.errors import InputError


def read(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_yaml(path)


def refuse(tmp_path, text):
    """The sentence with which a text is refused, without the folder."""
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence.removeprefix(f"{tmp_path}/")


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("", {}),
        ("# nothing\n", {}),
        ("\ufeffa: 1\n", {"a": 1}),
        ("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        (
            "a: 0\nb: -3\nc: 0.5\nd: .5\ne: 1.5e-3\nf: 0x1F\n",
            {"a": 0, "b": -3, "c": 0.5, "d": 0.5, "e": 0.0015, "f": 31},
        ),
        ("a: true\nb: False\nc: null\nd: ~\ne:\n", {"a": True, "b": False, "c": None, "d": None, "e": None}),
        (
            "a: \"yes\"\nb: '010'\nc: \"3:5\"\nd: '2024-01-01'\n",
            {"a": "yes", "b": "010", "c": "3:5", "d": "2024-01-01"},
        ),
        ("a: 0-11\nb: /data/*.tif\nc: [t1, 't2']\n", {"a": "0-11", "b": "/data/*.tif", "c": ["t1", "t2"]}),
        ("a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}\n", {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}}),
    ],
)
def test_what_is_meant_is_read(tmp_path, text, content):
    assert read(tmp_path, text) == content


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1\nb: 2\na: 3\n", "config.yaml, line 3: the key a is there twice, first in line 1; keep one of them"),
        ("x:\n  a: 1\n  'a': 2\n", "config.yaml, line 3: the key a is there twice, first in line 2; keep one of them"),
        ("x: {a: 1, a: 2}\n", "config.yaml, line 1: the key a is there twice, first in line 1; keep one of them"),
        ("? [1, 2]\n: 3\n", "config.yaml, line 1: found a list as a key; allowed is a text"),
        ("- 1\n", "config.yaml, line 1: found a list; allowed is a mapping of keys to values"),
        ("\nhello\n", 'config.yaml, line 2: found "hello"; allowed is a mapping of keys to values'),
    ],
)
def test_keys(tmp_path, text, sentence):
    assert refuse(tmp_path, text) == sentence


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("yes", 'which not every reader takes for true; write true, or "yes"'),
        ("Off", 'which not every reader takes for false; write false, or "Off"'),
        ("3:5", 'which some readers take for another number than is written; write a plain number, or "3:5"'),
        ("010", 'which some readers take for another number than is written; write a plain number, or "010"'),
        ("1_000", 'which some readers take for another number than is written; write a plain number, or "1_000"'),
        ("0b11", 'which some readers take for another number than is written; write a plain number, or "0b11"'),
        ("1:30.5", 'which some readers take for another number than is written; write a plain number, or "1:30.5"'),
        ("2024-01-01", 'which some readers take for a date; write a plain number, or "2024-01-01"'),
    ],
)
def test_words_of_two_meanings(tmp_path, word, said):
    assert refuse(tmp_path, f"a: 1\nb: [{word}]\n") == f"config.yaml, line 2: found {word}, {said}"


def test_a_key_of_two_meanings(tmp_path):
    said = 'which not every reader takes for true; write true, or "on"'
    assert refuse(tmp_path, "a:\n  on: 1\n") == f"config.yaml, line 2: found on, {said}"


@pytest.mark.parametrize(
    ("text", "start", "advice"),
    [
        ("a:\n\tb: 1\n", "config.yaml, line 2, column", "a tab is there"),
        ("a: 1\nb 2\nc: 3\n", "config.yaml, line 3, column", "a colon"),
        ("a: 1\n  b: 2\n", "config.yaml, line 2, column", "the lines are not indented alike"),
        ("a:\n  b: 1\n c: 2\n", "config.yaml, line 3, column", "the lines are not indented alike"),
        ('a: "C:\\data"\n', "config.yaml, line 1, column", "in double quotes \\ has a meaning"),
        ("a: [1, 2\nb: 3\n", "config.yaml, line 2, column", "a bracket or a comma is missing"),
        ('a: "x\n', "config.yaml, line 2, column", "a quote is not closed"),
        ("a: 1\n---\nb: 2\n", "config.yaml, line 2, column", "a second document begins"),
        ("a: *x\n", "config.yaml, line 1, column", "undefined alias"),
        ("a: !!python/name:os.system x\n", "config.yaml: is no valid YAML", "python/name:os.system"),
        ("a: b\x00c\n", "config.yaml: is no valid YAML", ""),
    ],
)
def test_what_is_no_yaml(tmp_path, text, start, advice):
    sentence = refuse(tmp_path, text)
    assert sentence.startswith(start)
    assert ": is no valid YAML (" in sentence
    assert advice in sentence


def test_files_that_cannot_be_read(tmp_path):
    assert refuse(tmp_path, b"a: \xb5m\n") == "config.yaml: byte 3 is no UTF-8; save the file as UTF-8"
    (tmp_path / "folder").mkdir()
    for name, reason in (("folder", "Is a directory"), ("none.yaml", "No such file or directory")):
        with pytest.raises(InputError, match=rf"{name}: cannot be read \({reason}\)$"):
            read_yaml(tmp_path / name)


def test_aliases_that_stand_for_too_much(tmp_path):
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 8)]
    sentence = refuse(tmp_path, "\n".join(levels))
    said = f"its aliases stand for more than {MOST_NODES} values; write out what is needed"
    assert sentence == f"config.yaml: {said}"
    circle = refuse(tmp_path, "a: &x [1, *x]\n")
    assert circle == "config.yaml, line 1: an alias stands for what it is a part of; write it out"


def test_nesting_without_end(tmp_path):
    assert refuse(tmp_path, "a: " + "[" * 5000).startswith("config.yaml")


def test_files_of_the_project_are_read_as_others_read_them(tmp_path):
    from running import REPOSITORY

    files = [*(REPOSITORY / "resources").rglob("*.yaml"), *(REPOSITORY / "workflow/schemas").glob("*.yaml")]
    assert len(files) > 15
    for file in [*files, REPOSITORY / "config.yaml"]:
        assert read_yaml(file) == (yaml.safe_load(file.read_text()) or {})
