"""The layers of the configuration, merged: schema, scale, preset, config.yaml."""

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ..errors import InputError
from .schema import shown, unknown

Settings = dict[str, Any]

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same in C where it is there, ten times as fast


def read_yaml(path: str | os.PathLike) -> Settings:
    """Read a YAML file that holds a mapping, or nothing.

    Raises
    ------
    InputError
        If it is no YAML or no mapping.
    """
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=LOADER)
    except yaml.YAMLError as error:
        raise InputError(f"{path}: is no valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict | None):
        raise InputError(f"{path}: found {shown(content)}; allowed is a mapping of keys to values")
    return content or {}


def merge(*layers: Mapping) -> Settings:
    """Merge mappings, later over earlier, into a new one that shares nothing with them.

    Mappings merge key by key; anything else replaces. A layer that names its images or its data set drops the
    other one of the two from the layers before it.

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
            both = isinstance(value, Mapping) and isinstance(below, Mapping)
            merged[key] = merge(below, value) if both else copy.deepcopy(value)
    return merged


def defaults(schema: Mapping) -> Settings:
    """Defaults of every key of an object schema, nested ones included."""
    return {
        key: defaults(value) if "properties" in value else copy.deepcopy(value["default"])
        for key, value in schema["properties"].items()
    }


def preset_layers(name: str, section: Mapping, presets: Mapping[str, Mapping], scale: str) -> list[Settings]:
    """Layers of an organism's preset, those it builds on first.

    Parameters
    ----------
    name : str
        The organism; a preset of this name is taken unless the section names another one.
    section : mapping
        The organism in config.yaml.
    presets : mapping
        All presets by name.
    scale : str
        Whose block of `scales` goes over each preset.

    Raises
    ------
    InputError
        If there is no such preset, or one builds on itself.
    """
    key, preset = f"organisms.{name}", section.get("preset")
    if preset is None and name not in presets:
        known = ", ".join(presets)
        raise InputError(f"{key}: no preset has this name; say which one to start from with preset: ({known})")
    layers, chain = [], []
    preset = name if preset is None else preset
    while preset is not None:
        if preset in chain:
            circle = " -> ".join([*chain, preset])
            raise InputError(f"{key}.preset: presets build on each other in a circle: {circle}")
        if not isinstance(preset, str) or preset not in presets:
            raise InputError(f"{key}.preset: {unknown(preset, presets)}")
        chain.append(preset)
        layer = dict(presets[preset])
        layers[:0] = [layer, layer.pop("scales", {}).get(scale, {})]
        preset = layer.pop("preset", None)
    return layers
