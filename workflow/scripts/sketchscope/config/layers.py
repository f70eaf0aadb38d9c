"""The layers of the configuration and how they merge: schema, scale, preset, config.yaml."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..io.atomic import PathLike
from .schema import name_unknown
from .yaml_files import read_yaml

Settings = dict[str, Any]


def merge(*layers: Mapping[str, Any]) -> Settings:
    """Merge mappings, later over earlier, into a new one that shares nothing with them.

    Mappings merge key by key; anything else replaces. A layer that sets images removes the dataset of earlier layers,
    and the other way round.

    >>> merge({"a": {"x": 1, "y": [1, 2]}}, {"a": {"y": [3]}})
    {'a': {'x': 1, 'y': [3]}}
    """
    merged: Settings = {}
    for layer in layers:
        for key, other in (("images", "dataset"), ("dataset", "images")):
            if layer.get(key) is not None and merged.get(other) is not None:
                merged[other] = None
        for key, value in layer.items():
            below = merged.get(key)
            if isinstance(value, Mapping) and isinstance(below, Mapping):
                merged[key] = merge(below, value)
            else:
                merged[key] = copy.deepcopy(value)
    return merged


def collect_defaults(schema: Mapping[str, Any]) -> Settings:
    """Collect the defaults of an object schema, nested ones included.

    Keys without a default are left out: those that every scale sets.
    """
    return {
        key: collect_defaults(value) if "properties" in value else copy.deepcopy(value["default"])
        for key, value in schema["properties"].items()
        if "properties" in value or "default" in value
    }


def sort_keys(settings: Mapping[str, Any], schema: Mapping[str, Any]) -> Settings:
    """Sort settings that fit a schema in its order, nested ones included.

    >>> schema = {"properties": {"a": {"properties": {"b": {}, "c": {}}}, "d": {}}}
    >>> sort_keys({"d": 1, "a": {"c": 2, "b": 3}}, schema)
    {'a': {'b': 3, 'c': 2}, 'd': 1}
    """
    return {
        key: sort_keys(settings[key], value) if "properties" in value else settings[key]
        for key, value in schema["properties"].items()
        if key in settings
    }


def list_scales(name: str, folder: PathLike) -> dict[str, Settings]:
    """Read a scale, after the one that it builds on: settings by name, in the order in which they merge."""
    settings = read_yaml(Path(folder) / f"{name}.yaml")
    basis = settings.pop("builds_on", None)
    return {**(list_scales(basis, folder) if basis else {}), name: settings}


def list_preset_layers(
    name: str, section: Mapping[str, Any], presets: Mapping[str, Mapping[str, Any]], scales: Sequence[str]
) -> list[Settings]:
    """List the layers of an organism's preset, after those of the presets that it builds on.

    Parameters
    ----------
    name : str
        The organism; the preset of this name is taken unless the section names another one.
    section : mapping
        Section of the organism in config.yaml.
    presets : mapping
        All presets by name.
    scales : sequence of str
        Each preset is followed by the parts of its block `scales` for these, in this order.

    Returns
    -------
    list of dict
        In the order in which they merge.

    Raises
    ------
    InputError
        If there is no such preset, or one builds on itself.
    """
    key, preset = f"organisms.{name}", section.get("preset")
    if preset is None and name not in presets:
        known = ", ".join(presets)
        raise InputError(f"{key}: no preset has this name; say which one to start from with preset: ({known})")
    layers: list[Settings] = []
    chain: list[str] = []
    preset = name if preset is None else preset
    while preset is not None:
        if preset in chain:
            circle = " -> ".join([*chain, preset])
            raise InputError(f"{key}.preset: presets build on each other in a circle: {circle}")
        if not isinstance(preset, str) or preset not in presets:
            raise InputError(f"{key}.preset: {name_unknown(preset, presets)}")
        chain.append(preset)
        layer = dict(presets[preset])
        blocks = layer.pop("scales", {})
        layers[:0] = [layer, *(blocks.get(scale, {}) for scale in scales)]
        preset = layer.pop("preset", None)
    return layers
