"""Texts for people out of templates: what the report of an organism and the card of its images share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined, TemplateError

from .. import TRAINED
from ..errors import InputError
from ..io.atomic import PathLike


def fill(path: PathLike, *, escape: bool = True, **values: Any) -> str:
    """Fill in a template of Jinja.

    Parameters
    ----------
    path : path
        The template.
    escape : bool
        Whether values are escaped for HTML.
    **values
        What the template names.

    Raises
    ------
    InputError
        If it is no template, or names what is not there.
    """
    rules = {"undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True, "keep_trailing_newline": True}
    environment = Environment(autoescape=escape, **rules)
    environment.filters |= {"number": number, "yaml": as_yaml, "opening": opening}
    try:
        return environment.from_string(Path(path).read_text(encoding="utf-8")).render(values)
    except TemplateError as error:
        raise InputError(f"{path}: cannot be filled in ({error})") from error


def number(value: float | None, digits: int = 0) -> str:
    """A number with so many decimals, thousands apart; an en dash for none.

    >>> number(1234.5, 1), number(-0.25, 2), number(None)
    ('1,234.5', '−0.25', '–')
    """
    return "–" if value is None else f"{value:,.{digits}f}".replace("-", "−")


def opening(text: str) -> str:
    """The text with its first letter large, the others as they are.

    >>> opening("the IoU")
    'The IoU'
    """
    return text[:1].upper() + text[1:]


class _Dumper(yaml.SafeDumper):
    """Lists stand in a line, and what occurs twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_line(self, items: list) -> yaml.SequenceNode:
        return self.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)


_Dumper.add_representer(list, _Dumper.represent_line)


def as_yaml(settings: Mapping[str, Any]) -> str:
    """Settings as YAML, in the order that they have.

    >>> print(as_yaml({"b": {"shape": [5, 64]}, "a": None}))
    b:
      shape: [5, 64]
    a: null
    """
    return yaml.dump(dict(settings), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100).rstrip()


def gui_commands(organism: str, dimensions: int) -> list[str]:
    """Commands that open the organism's Cellpose model in the GUI of Cellpose.

    It lists models by the names of their files, which must differ, and does not make the folder that it keeps
    them in; `--add_model` on a file that is there already only lists it.
    """
    kept = f"~/.cellpose/models/sketchscope-{organism}"
    return [
        'pip install "cellpose[gui]<4"',
        "mkdir -p ~/.cellpose/models",
        f"cp results/{organism}/cellpose/{TRAINED}/model {kept}",
        f"python -m cellpose --add_model {kept}",
        "python -m cellpose" + (" --Zstack" if dimensions == 3 else ""),
    ]
