"""Texts for people from templates: what the report of an organism and the card of its images share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined, TemplateError

from .. import TRAINED
from ..errors import InputError
from ..io.atomic import PathLike


def fill(path: PathLike, values: Mapping[str, Any], *, escape: bool) -> str:
    """Fill in a Jinja template.

    Parameters
    ----------
    path : path
        The template.
    values : mapping
        What the template names.
    escape : bool
        Whether values are escaped for HTML.

    Raises
    ------
    InputError
        If the file is not a template, or names a value that is missing.
    """
    environment = Environment(
        autoescape=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"number": format_number, "yaml": format_yaml, "opening": capitalise}
    try:
        return environment.from_string(Path(path).read_text(encoding="utf-8")).render(values)
    except TemplateError as error:
        raise InputError(f"{path}: cannot be filled in ({error})") from error


def format_number(value: float | None, digits: int = 0) -> str:
    """Format a number with this many decimals and with thousands separated by commas; None becomes a dash.

    >>> format_number(1234.5, 1), format_number(-0.25, 2), format_number(None)
    ('1,234.5', '−0.25', '–')
    """
    return "–" if value is None else f"{value:,.{digits}f}".replace("-", "−")


def format_duration(seconds: float) -> str:
    """Write a time in seconds for people.

    >>> format_duration(42.4), format_duration(654), format_duration(86399)
    ('42 s', '10 min 54 s', '23 h 59 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def describe_training(training: Mapping[str, Any]) -> str:
    """Say what a diffusion model was trained with, or that it was not trained here.

    Parameters
    ----------
    training : mapping
        steps, seconds, device and arithmetic of the training; or published, the name of the published network's file.

    >>> describe_training({"steps": 2500, "seconds": 372.4, "device": "cuda (NVIDIA H100)", "arithmetic": "bfloat16"})
    '2,500 steps in 6 min 12 s on cuda (NVIDIA H100), bfloat16'
    >>> describe_training({"published": "epoch=9.ckpt"})
    'not trained in this run: a published network, epoch=9.ckpt'
    """
    if "published" in training:
        return f"not trained in this run: a published network, {training['published']}"
    steps, time = format_number(training["steps"]), format_duration(training["seconds"])
    return f"{steps} steps in {time} on {training['device']}, {training['arithmetic']}"


def capitalise(text: str) -> str:
    """Make the first letter of a text a capital, and leave the others as they are.

    >>> capitalise("the IoU")
    'The IoU'
    """
    return text[:1].upper() + text[1:]


class _Dumper(yaml.SafeDumper):
    """Writes a list in one line, and writes an object that occurs twice twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_line(self, items: list) -> yaml.SequenceNode:
        return self.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)


_Dumper.add_representer(list, _Dumper.represent_line)


def format_yaml(settings: Mapping[str, Any]) -> str:
    """Write settings as YAML, in their order.

    >>> print(format_yaml({"b": {"shape": [5, 64]}, "a": None}))
    b:
      shape: [5, 64]
    a: null
    """
    return yaml.dump(dict(settings), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100).rstrip()


def list_gui_commands(organism: str, dimensions: int) -> list[str]:
    """List the commands that open the organism's Cellpose model in the GUI of Cellpose.

    The GUI lists models by the names of their files, so these must differ. It does not make the folder in which it
    keeps them. `--add_model` on a file that is there already only lists it.
    """
    kept = f"~/.cellpose/models/sketchscope-{organism}"
    return [
        'pip install "cellpose[gui]<4"',
        "mkdir -p ~/.cellpose/models",
        f"cp results/{organism}/cellpose/{TRAINED}/model {kept}",
        f"python -m cellpose --add_model {kept}",
        "python -m cellpose" + (" --Zstack" if dimensions == 3 else ""),
    ]
