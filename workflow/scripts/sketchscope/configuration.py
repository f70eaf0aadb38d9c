"""The configuration: merged from its layers, checked, and cut into batches."""

import copy
import glob
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .errors import InputError
from .validation import check_schema, joined, shown, unknown

Settings = dict[str, Any]

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same in C where it is there, ten times as fast

SHAPES = (
    "voxel_size",
    "volume_shape",
    "simulation.specimen.size_um",
    "diffusion.patch_shape",
    "generation.tile_shape",
    "generation.overlap",
    "generation.slab_shape",
)

# the keys of the section simulation that mean nothing to one stain; changing one simulates nothing again
MEANINGLESS = {
    "nuclei": ("layers", "size_gradient"),
    "membranes": (
        *("elongation", "elongation_sd", "flatness", "roughness", "surface", "mitotic_fraction", "mitotic_elongation"),
        *("density", "cluster_fraction", "cluster_gap_um", "layer_um"),
    ),
}

# the keys of the section simulation that are fitted to the images where simulation.fit says so
FITTED = ("diameter_cv", "elongation", "elongation_sd", "density")

# the keys of an organism that have no part in its synthetic images, or name files of the user
UNSEEN = ("images", "labels", "baseline", "cellpose", "evaluation")


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
    return check_organism(settings, key, read_yaml(resources / "datasets.yaml"))


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
    if settings["baseline"] not in models:
        raise InputError(f"{key}.baseline: {unknown(settings['baseline'], models)}")
    settings = settings | find_files(settings, key, sources.get("datasets", {}))
    return settings | {"masks": find_masks(settings, key, sources)}


def check_shapes(settings: Settings, key: str) -> None:
    """Check that everything given per axis has an entry for every axis."""
    dimensions = settings["dimensions"]
    for name in SHAPES:
        value = _lookup(settings, name)
        if value is not None and len(value) != dimensions:
            raise InputError(
                f"{key}.{name}: found {value}; with dimensions: {dimensions} it needs {dimensions} entries,"
                f" {', '.join('zyx'[-dimensions:])}"
            )
    axes = settings["axes"]
    if axes != "auto" and len(axes.replace("T", "")) != dimensions:
        fitting = ["auto", "YX", "TYX"] if dimensions == 2 else ["auto", "ZYX", "TZYX"]
        raise InputError(f"{key}.axes: found {axes}; with dimensions: {dimensions} allowed is {joined(fitting)}")


def _lookup(settings: Mapping, name: str) -> Any:
    for part in name.split("."):
        settings = settings[part]
    return settings


def check_selections(settings: Settings, key: str) -> None:
    """Check percentiles, probabilities and ranges of images; a single position becomes a text like the rest."""
    low, high = settings["percentiles"]
    if low >= high:
        raise InputError(f"{key}.percentiles: found [{low}, {high}]; the first must be below the second")
    total = sum(settings["sketch"]["nucleoli"])
    if abs(total - 1) > 1e-6:
        raise InputError(f"{key}.sketch.nucleoli: found probabilities that sum to {total:g}; they must sum to 1")
    smallest, largest = settings["sketch"]["nucleolus_um"]
    if smallest > largest:
        raise InputError(f"{key}.sketch.nucleolus_um: found [{smallest}, {largest}]; the first must not be larger")
    for name in ("train_images", "test_images"):
        if settings[name] is None:
            continue
        settings[name] = "".join(str(settings[name]).split())
        for first, last in re.findall(r"(\d+)-(\d+)", settings[name]):
            if int(first) > int(last):
                raise InputError(f"{key}.{name}: found {first}-{last}; a range must not run backwards")


def with_tiles(generation: Settings, patch_shape: list[int]) -> Settings:
    """Settings of the generation with the tile, and the overlap that follows from it, filled in."""
    tile = generation["tile_shape"] or list(patch_shape)
    overlap = generation["overlap"] or [size // 4 for size in tile]
    return generation | {"tile_shape": tile, "overlap": overlap}


def check_generation(settings: Settings, key: str) -> None:
    """Check that all starts lie in the schedule, the steps before them, and the overlap in the tiles."""
    generation, sweep, last = settings["generation"], settings["sweep"], settings["diffusion"]["timesteps"]
    name, starts = "generation.t_start", [generation["t_start"]]
    if starts == ["auto"]:
        name, starts = "sweep.t_start", sweep["t_start"]
    if max(starts) > last:
        raise InputError(f"{key}.{name}: found {max(starts)}; allowed is 1 to diffusion.timesteps, which is {last}")
    first = min(starts)
    for section, steps in (("generation", generation["steps"]), ("sweep", sweep["steps"])):
        if steps is not None and steps > first:
            null = ", or null" if section == "generation" else ""
            raise InputError(f"{key}.{section}.steps: found {steps}; allowed is 1 to t_start, which is {first}{null}")
    tile, overlap = generation["tile_shape"], generation["overlap"]
    if any(shared >= size for shared, size in zip(overlap, tile, strict=True)):
        raise InputError(
            f"{key}.generation.overlap: found {overlap}; along every axis it must be smaller than the tile,"
            f" which is {tile}"
        )


def check_redrawing(settings: Settings, key: str) -> None:
    """Check that lost cells can be drawn anew where that is wanted."""
    for name, hindered in (
        ("stain: membranes", settings["stain"] == "membranes"),
        ("generation.slab_shape", settings["generation"]["slab_shape"] is not None),
    ):
        if hindered and settings["audit"]["lost"] == "redraw":
            raise InputError(f"{key}.audit.lost: found redraw; with {name} allowed is keep or drop")


def check_fit(settings: Settings, key: str) -> None:
    """Check that a density can be fitted where that is wanted: that the specimen fills the images."""
    simulation = settings["simulation"]
    shape = simulation["specimen"]["shape"]
    if simulation["fit"] and settings["stain"] == "nuclei" and shape != "box":
        raise InputError(f"{key}.simulation.fit: found true; with specimen.shape: {shape} allowed is false")


def find_files(settings: Settings, key: str, datasets: Mapping) -> Settings:
    """Check where the images come from and list the files that the globs match.

    Returns
    -------
    dict
        `images` and `labels`: lists of files, or None.
    """
    images, dataset, labels = settings["images"], settings["dataset"], settings["labels"]
    if (images is None) == (dataset is None):
        found = "neither" if images is None else "both"
        raise InputError(f"{key}: found {found} of images (your files) and dataset (public); exactly one is needed")
    if dataset is not None and dataset not in datasets:
        raise InputError(f"{key}.dataset: {unknown(dataset, datasets)}")
    if dataset is not None and labels is not None:
        raise InputError(f"{key}.labels: are allowed only with images; the data set {dataset} brings its own")
    checkpoint = settings["diffusion"]["checkpoint"]
    if checkpoint is not None:
        matched_files(glob.escape(checkpoint), f"{key}.diffusion.checkpoint")
    files = {
        "images": matched_files(images, f"{key}.images"),
        "labels": matched_files(labels, f"{key}.labels"),
    }
    if labels is not None and len(files["labels"]) != len(files["images"]):
        raise InputError(
            f"{key}.labels: found {len(files['labels'])} files for {len(files['images'])} image files;"
            " allowed is one for each image file"
        )
    return files


def find_masks(settings: Settings, key: str, sources: Mapping) -> Settings:
    """Check where the masks come from and list the files that their globs match.

    Returns
    -------
    dict
        The section masks; `labels` is a list of files, or None.
    """
    masks, dataset, key = settings["masks"], settings["dataset"], f"{key}.masks"
    source, labels = masks["source"], masks["labels"]
    if source == "cellpose" and masks["model"] not in sources.get("models", {}):
        check_model(masks["model"], key, sources)
    if source == "files" and labels is None:
        raise InputError(f"{key}.labels: found null; source: files needs globs of your label images")
    if source != "files" and labels is not None:
        raise InputError(f"{key}.labels: are allowed only with source: files; found source: {source}")
    if source == "silver" and dataset is None:
        raise InputError(f"{key}.source: found silver, which only a dataset brings; take files for labels of your own")
    if source == "silver" and sources["datasets"][dataset]["truth"] == "none":
        raise InputError(f"{key}.source: found silver, but the data set {dataset} brings no labels of whole images")
    return masks | {"labels": matched_files(labels, f"{key}.labels")}


def check_model(model: str, key: str, sources: Mapping) -> None:
    """Check that a Cellpose model that is not published is a file."""
    if not os.path.isfile(os.path.expanduser(model)):
        published = joined([*sources.get("models", {})])
        raise InputError(f"{key}.model: found '{model}', no file in {os.getcwd()}; allowed is a file or {published}")


def matched_files(patterns: str | list[str] | None, key: str) -> list[str] | None:
    """Files that globs match, relative to the working directory unless absolute.

    Numbers in names count as numbers: t9 comes before t10. Files of an earlier pattern come first.

    Raises
    ------
    InputError
        If a pattern matches no file.
    """
    if patterns is None:
        return None
    files: list[str] = []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        matches = sorted(glob.glob(os.path.expanduser(pattern), recursive=True), key=_natural)
        found = [match for match in matches if os.path.isfile(match)]
        if not found:
            folder = f"; it is a folder, add a pattern: {pattern.rstrip('/')}/*.tif" if matches else ""
            raise InputError(f"{key}: found no file that matches '{pattern}' in {os.getcwd()}{folder}")
        files += found
    return list(dict.fromkeys(files))


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def simulation_settings(organism: Mapping) -> Settings:
    """The section simulation of an organism, as far as it matters to its stain and is not fitted."""
    others = ["fit", *MEANINGLESS[organism["stain"]], *(FITTED if organism["simulation"]["fit"] else [])]
    return {key: value for key, value in organism["simulation"].items() if key not in others}


def effective_settings(organism: Mapping) -> Settings:
    """The settings of an organism as far as they mean anything to it, for people to read."""
    if organism["masks"]["source"] == "simulated":
        simulation = {"fit": organism["simulation"]["fit"], **simulation_settings(organism)}
        return {**organism, "simulation": simulation, "masks": {"source": "simulated"}}
    return {key: value for key, value in organism.items() if key != "simulation"}


def synthetic_settings(organism: Mapping) -> Settings:
    """The settings that have a part in the synthetic images, without the names of the user's files."""
    settings = {key: value for key, value in effective_settings(organism).items() if key not in UNSEEN}
    masks = {key: value for key, value in settings["masks"].items() if key != "labels"}
    if "model" in masks:
        masks["model"] = Path(masks["model"]).name
    return settings | {"masks": masks}


def batches(volumes: int, volumes_per_job: int) -> dict[str, dict[str, int]]:
    """Volumes of each job: names and positions over all volumes.

    >>> batches(3, 2)
    {'batch_000': {'volume_0000': 0, 'volume_0001': 1}, 'batch_001': {'volume_0002': 2}}
    """
    return {
        f"batch_{batch:03d}": {
            f"volume_{index:04d}": index for index in range(first, min(first + volumes_per_job, volumes))
        }
        for batch, first in enumerate(range(0, volumes, volumes_per_job))
    }
