"""Merge the whole configuration from its layers and check it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..io.atomic import PathLike
from .checks import (
    check_crowd,
    check_fit,
    check_generation,
    check_halving,
    check_redrawing,
    check_scale,
    check_selections,
    check_shapes,
)
from .inputs import check_sweep_masks, find_images, find_masks
from .layers import Settings, collect_defaults, list_preset_layers, list_scales, merge, sort_keys
from .meaning import choose_simulator, drop_meaningless
from .schema import check_schema, name_unknown
from .yaml_files import read_yaml


def resolve(config: Mapping[str, Any], repository: PathLike) -> Settings:
    """Merge and check the whole configuration.

    The settings of an organism merge from these layers, later over earlier: the defaults of the schema, the scale, the
    presets that its preset builds on, its preset, and its section in `config`. Each preset is followed by its own block
    for the scale.

    Parameters
    ----------
    config : mapping
        Content of config.yaml.
    repository : path
        Folder that holds workflow/schemas and resources.

    Returns
    -------
    dict
        As `config`, with every key and nothing shared with it. Organisms set to null are left out, and globs of files
        are replaced by sorted lists.

    Raises
    ------
    InputError
        At the first mistake: the key, what was found and what is allowed.
    """
    repository = Path(repository)
    schema = read_yaml(repository / "workflow/schemas/config.yaml")
    merged = merge(collect_defaults(schema), config)
    check_schema(merged, schema)
    chosen = {name: section for name, section in merged["organisms"].items() if section is not None}
    if not chosen:
        raise InputError("organisms: none is switched on; name one, such as hela: {} (null leaves one out)")
    merged["organisms"] = {
        name: resolve_organism(name, section, merged["scale"], repository) for name, section in chosen.items()
    }
    return merged


def resolve_organism(name: str, section: Mapping[str, Any], scale: str, repository: Path) -> Settings:
    """Merge and check the settings of one organism; see `resolve`."""
    resources, key = repository / "resources", f"organisms.{name}"
    schema = read_yaml(repository / "workflow/schemas/organism.yaml")
    presets = {path.stem: read_yaml(path) for path in sorted((resources / "organisms").glob("*.yaml"))}
    scales = list_scales(scale, resources / "scales")
    settings = merge(
        collect_defaults(schema),
        *scales.values(),
        *list_preset_layers(name, section, presets, list(scales)),
        section,
    )
    check_schema(settings, schema, key)
    settings = choose_simulator(sort_keys(settings, schema))
    return drop_meaningless(_complete(settings, key, read_yaml(resources / "datasets.yaml")), schema)


def _complete(settings: Settings, key: str, sources: Mapping[str, Any]) -> Settings:
    """Check what no schema can check of one organism, fill in what follows from its settings, and find its files.

    Parameters
    ----------
    settings : dict
        Merged settings that fit the schema; not changed.
    key : str
        Where they stand in config.yaml, for messages.
    sources : mapping
        Content of resources/datasets.yaml.

    Returns
    -------
    dict
        The settings with tiles and positions filled in, and with lists of files instead of globs.

    Raises
    ------
    InputError
        At the first mistake.
    """
    check_shapes(settings, key)
    check_scale(settings, key)
    settings = settings | {name: _write_positions(settings[name]) for name in ("train_images", "test_images")}
    check_selections(settings, key)
    settings = settings | {"generation": _fill_tiles(settings["generation"], settings["diffusion"]["patch_shape"])}
    check_generation(settings, key)
    check_halving(settings, key)
    check_redrawing(settings, key)
    check_fit(settings, key)
    check_crowd(settings, key)
    models = ["classical", *sources.get("models", {})]
    for index, baseline in enumerate(settings["baselines"]):
        if baseline not in models:
            raise InputError(f"{key}.baselines[{index}]: {name_unknown(baseline, models)}")
    settings = settings | find_images(settings, key, sources.get("datasets", {}))
    check_sweep_masks(settings, key, sources.get("datasets", {}))
    return settings | {"masks": find_masks(settings, key, sources)}


def _write_positions(positions: str | int | None) -> str | None:
    """Write positions of images as a text without blanks; a single one may be a number.

    >>> _write_positions(4), _write_positions("0 - 3, 7")
    ('4', '0-3,7')
    """
    return None if positions is None else "".join(str(positions).split())


def _fill_tiles(generation: Settings, patch_shape: list[int]) -> Settings:
    """Fill in the tile, which is the patch by default, and the overlap, which is a quarter of the tile by default."""
    tile = generation["tile_shape"] or list(patch_shape)
    overlap = generation["overlap"] or [size // 4 for size in tile]
    return generation | {"tile_shape": tile, "overlap": overlap}
