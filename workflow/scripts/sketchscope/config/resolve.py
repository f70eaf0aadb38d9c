"""The whole configuration: merged from its layers and checked."""

import os
from collections.abc import Mapping
from pathlib import Path

from ..errors import InputError
from .checks import check_fit, check_generation, check_redrawing, check_selections, check_shapes, with_tiles
from .inputs import find_files, find_masks
from .layers import Settings, defaults, merge, preset_layers, read_yaml
from .meaning import choose_simulator, drop_meaningless
from .schema import check_schema, unknown


def resolve(config: Mapping, repository: str | os.PathLike) -> Settings:
    """Merge and check the whole configuration.

    The settings of an organism are, each over the last: the schema's defaults, the scale, the preset
    (after the presets it builds on; in each, its block for the scale last), the section in `config`.

    Parameters
    ----------
    config : mapping
        Content of config.yaml.
    repository : path
        Folder that holds workflow/schemas and resources.

    Returns
    -------
    dict
        As `config`, every key present, nothing shared with it; organisms set to null are gone. The globs in
        `images` and `labels` have become sorted lists of files.

    Raises
    ------
    InputError
        At the first mistake: the key, what was found and what is allowed.
    """
    repository = Path(repository)
    schema = read_yaml(repository / "workflow/schemas/config.yaml")
    merged = merge(defaults(schema), config)
    check_schema(merged, schema)
    chosen = {name: section for name, section in merged["organisms"].items() if section is not None}
    if not chosen:
        raise InputError("organisms: none is switched on; name one, such as hela: {} (null leaves one out)")
    merged["organisms"] = {
        name: organism_settings(name, section, merged["scale"], repository) for name, section in chosen.items()
    }
    return merged


def organism_settings(name: str, section: Mapping, scale: str, repository: Path) -> Settings:
    """Merge and check the settings of one organism; see `resolve`."""
    resources, key = repository / "resources", f"organisms.{name}"
    schema = read_yaml(repository / "workflow/schemas/organism.yaml")
    presets = {path.stem: read_yaml(path) for path in sorted((resources / "organisms").glob("*.yaml"))}
    settings = merge(
        defaults(schema),
        read_yaml(resources / "scales" / f"{scale}.yaml"),
        *preset_layers(name, section, presets, scale),
        section,
    )
    check_schema(settings, schema, key)
    checked = check_organism(choose_simulator(settings), key, read_yaml(resources / "datasets.yaml"))
    return drop_meaningless(checked, schema)


def check_organism(settings: Settings, key: str, sources: Mapping) -> Settings:
    """Check what no schema can say of one organism, and find its files.

    Parameters
    ----------
    settings : dict
        Merged settings that fit the schema.
    key : str
        Where they stand in config.yaml, for messages.
    sources : mapping
        Content of resources/datasets.yaml.

    Returns
    -------
    dict
        The settings with lists of files for the globs.

    Raises
    ------
    InputError
        At the first mistake.
    """
    check_shapes(settings, key)
    check_selections(settings, key)
    settings = settings | {"generation": with_tiles(settings["generation"], settings["diffusion"]["patch_shape"])}
    check_generation(settings, key)
    check_redrawing(settings, key)
    check_fit(settings, key)
    models = ["classical", *sources.get("models", {})]
    for index, baseline in enumerate(settings["baselines"]):
        if baseline not in models:
            raise InputError(f"{key}.baselines[{index}]: {unknown(baseline, models)}")
    settings = settings | find_files(settings, key, sources.get("datasets", {}))
    return settings | {"masks": find_masks(settings, key, sources)}
