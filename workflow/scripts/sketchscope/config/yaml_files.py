"""YAML files that people write: read so that nothing in them has two meanings, with the line of what is wrong."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from ..errors import InputError
from ..io.atomic import PathLike

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C version, if it is installed, is ten times as fast
MOST_NODES = 100_000  # a file whose aliases stand for more is no configuration

# what YAML 1.2 takes for a number or for true and false (core schema); PyYAML reads YAML 1.1, which has more of them
CORE = {
    "int": re.compile(r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+"),
    "float": re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
    "bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
}
# what the parser says, in words that help
ADVICE = (
    ("cannot start any token", "a tab is there; indent with blanks, and put values that begin with @ or ` in quotes"),
    ("unknown escape character", "in double quotes \\ has a meaning; write C:\\data with ' in place of \""),
    ("mapping values are not allowed", "a colon where none may be, or the lines are not indented alike"),
    ("could not find expected ':'", "a colon, with a blank behind it, is missing"),
    ("did not find expected key", "the lines are not indented alike, or a quote or bracket is not closed"),
    ("did not find expected ',' or", "a bracket or a comma is missing"),
    ("expected <block end>", "the lines are not indented alike, or a quote or bracket is not closed"),
    ("expected ',' or", "a bracket or a comma is missing"),
    ("found unexpected end of stream", "a quote is not closed"),
    ("expected a single document", "a second document begins (---); write everything into one"),
)


def read_yaml(path: PathLike) -> dict[str, Any]:
    """Read a YAML file that holds a mapping, or nothing.

    Raises
    ------
    InputError
        If it cannot be read, is no valid YAML or no mapping, has a key twice, or holds a word that is one thing in
        YAML 1.1 and another in YAML 1.2, such as 010 or 3:5. The message names the line.
    """
    text = _read_text(path)
    try:
        loader = LOADER(text)
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise InputError(f"{path}{_describe_syntax_error(error)}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: is no valid YAML ({' '.join(str(error).split())})") from error
    except RecursionError as error:
        raise InputError(f"{path}: is no valid YAML, since its brackets or lines are nested too deeply") from error
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise InputError(f"{_locate(path, root)}: found {_quote(root)}; allowed is a mapping of keys to values")
    _check_node(root, path)
    try:
        return loader.construct_document(root)
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(f"{path}: is no valid YAML ({' '.join(str(error).split())})") from error


def _read_text(path: PathLike) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is no UTF-8; save the file as UTF-8") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def _describe_syntax_error(error: yaml.MarkedYAMLError) -> str:
    """Say where the text is no YAML, what the parser says, and what that mostly means."""
    mark, problem = error.problem_mark or error.context_mark, error.problem or "not valid"
    where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    advice = next((advice for part, advice in ADVICE if part in f"{error.context} {problem}"), None)
    return f"{where}: is no valid YAML ({problem}){f'; {advice}' if advice else ''}"


def _check_node(root: yaml.Node, path: PathLike) -> None:
    """Check keys and scalars of a whole file, each node once, and how many nodes its aliases stand for."""
    sizes: dict[int, int] = {}

    def visit(node: yaml.Node, above: tuple[int, ...]) -> int:
        if id(node) in above:
            raise InputError(f"{_locate(path, node)}: an alias stands for what it is a part of; write it out")
        if id(node) not in sizes:
            _check_scalar(node, path)
            _check_keys(node, path)
            sizes[id(node)] = 1 + sum(visit(child, (*above, id(node))) for child in _list_children(node))
        if sizes[id(node)] > MOST_NODES:
            raise InputError(f"{path}: its aliases stand for more than {MOST_NODES} values; write out what is needed")
        return sizes[id(node)]

    visit(root, ())


def _list_children(node: yaml.Node) -> list[yaml.Node]:
    """List the entries of a list, or the keys and values of a mapping; a scalar has none."""
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _check_keys(node: yaml.Node, path: PathLike) -> None:
    """Refuse a mapping that has a key twice, of which the last would win, or a key that is a list or a mapping."""
    if not isinstance(node, yaml.MappingNode):
        return
    lines: dict[Hashable, int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise InputError(f"{_locate(path, key)}: found {_quote(key)} as a key; allowed is a text")
        if key.value in lines:
            raise InputError(
                f"{_locate(path, key)}: the key {key.value} is there twice, first in line {lines[key.value]};"
                " keep one of them"
            )
        lines[key.value] = key.start_mark.line + 1


def _check_scalar(node: yaml.Node, path: PathLike) -> None:
    """Refuse a word without quotes that is a number, a date, or true or false in one version of YAML alone."""
    if not isinstance(node, yaml.ScalarNode) or node.style:  # of quotes or of a block; plain words have none
        return
    kind = node.tag.rpartition(":")[2]
    if kind in CORE and CORE[kind].fullmatch(node.value):
        return
    written = f"{_locate(path, node)}: found {node.value}"
    if kind == "bool":
        meant = "true" if node.value.lower() in ("yes", "on", "y") else "false"
        raise InputError(f'{written}, which not every reader takes for {meant}; write {meant}, or "{node.value}"')
    if kind in ("int", "float", "timestamp", "binary", "set", "omap", "pairs"):
        what = {"timestamp": "a date"}.get(kind, "another number than is written")
        raise InputError(f'{written}, which some readers take for {what}; write a plain number, or "{node.value}"')


def _locate(path: PathLike, node: yaml.Node) -> str:
    return f"{path}, line {node.start_mark.line + 1}"


def _quote(node: yaml.Node) -> str:
    """Quote what a node holds, as far as it fits into a message."""
    if isinstance(node, yaml.ScalarNode):
        return f'"{node.value[:60]}"'
    return "a mapping" if isinstance(node, yaml.MappingNode) else "a list"
