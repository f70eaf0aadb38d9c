"""Files that the configuration names: that they exist, and which ones match its globs."""

import glob
import os
import re
from collections.abc import Mapping
from typing import Any

from ..errors import InputError
from ..images.groups import group_files
from .layers import Settings
from .schema import join_words, name_unknown


def find_images(settings: Settings, key: str, datasets: Mapping[str, Any]) -> Settings:
    """Check where the images come from and list the files that the globs match.

    Parameters
    ----------
    settings : dict
        Settings of one organism.
    key : str
        Where they stand in config.yaml, for messages.
    datasets : mapping
        Public data sets by name.

    Returns
    -------
    dict
        `images` and `labels`: lists of files, or None.

    Raises
    ------
    InputError
        If the source of the images is unclear, unknown or does not exist.
    """
    images, dataset, labels = settings["images"], settings["dataset"], settings["labels"]
    if (images is None) == (dataset is None):
        found = "neither" if images is None else "both"
        raise InputError(f"{key}: found {found} of images (your files) and dataset (public); exactly one is needed")
    if dataset is not None and dataset not in datasets:
        raise InputError(f"{key}.dataset: {name_unknown(dataset, datasets)}")
    if dataset is not None and labels is not None:
        raise InputError(f"{key}.labels: are allowed only with images; the data set {dataset} brings its own")
    checkpoint = settings["diffusion"]["checkpoint"]
    if checkpoint is not None:
        match_files(glob.escape(checkpoint), f"{key}.diffusion.checkpoint")
    files = {"images": match_files(images, f"{key}.images"), "labels": match_files(labels, f"{key}.labels")}
    counts = {name: len(found or []) for name, found in files.items()}
    if labels is not None and counts["labels"] != counts["images"]:
        raise InputError(
            f"{key}.labels: found {counts['labels']} files for {counts['images']} image files;"
            " allowed is one for each image file"
        )
    if files["images"] is not None:
        group_files(files["images"], settings["groups"], f"{key}.groups")
    return files


def find_masks(settings: Settings, key: str, sources: Mapping[str, Any]) -> Settings:
    """Check where the masks come from and list the files that their globs match.

    Parameters
    ----------
    settings : dict
        Settings of one organism.
    key : str
        Where they stand in config.yaml, for messages.
    sources : mapping
        Public data sets and models: content of resources/datasets.yaml.

    Returns
    -------
    dict
        The section masks; `labels` is a list of files, or None.

    Raises
    ------
    InputError
        If the source of the masks lacks something or does not exist.
    """
    masks, dataset, key = settings["masks"], settings["dataset"], f"{key}.masks"
    source, labels = masks["source"], masks["labels"]
    if source == "cellpose" and masks["model"] not in sources.get("models", {}):
        check_model_file(masks["model"], key, sources)
    if source == "files" and labels is None:
        raise InputError(f"{key}.labels: found null; source: files needs globs of your label images")
    if source != "files" and labels is not None:
        raise InputError(f"{key}.labels: are allowed only with source: files; found source: {source}")
    if source == "silver" and dataset is None:
        raise InputError(f"{key}.source: found silver, which only a dataset brings; take files for labels of your own")
    entry = sources["datasets"][dataset] if source == "silver" else {}
    if entry.get("truth") == "none" or entry.get("sparse"):
        raise InputError(f"{key}.source: found silver, but the data set {dataset} brings no labels of whole images")
    return masks | {"labels": match_files(labels, f"{key}.labels")}


def check_sweep_masks(settings: Settings, key: str, datasets: Mapping[str, Any]) -> None:
    """Check that there are the masks that the sweep is to draw sketches from.

    Raises
    ------
    InputError
        If the data set has no labels of that kind, or the user has none.
    """
    masks, dataset = settings["sweep"]["masks"], settings["dataset"]
    if masks == "files" and settings["labels"] is None:
        raise InputError(f"{key}.sweep.masks: found files; that needs {key}.labels, the labels of your images")
    if masks in ("gold", "silver"):
        source = {"truth": "none"} if dataset is None else datasets[dataset]
        if source["truth"] != masks:
            of = "your own files" if dataset is None else f"the data set {dataset}"
            raise InputError(f"{key}.sweep.masks: found {masks}, but the labels of {of} are not {masks}")
        if source.get("sparse"):
            raise InputError(f"{key}.sweep.masks: found {masks}, but {dataset} has labels of single planes; take rough")


def check_model_file(model: str, key: str, sources: Mapping[str, Any]) -> None:
    """Check that a Cellpose model is a file.

    Raises
    ------
    InputError
        If it is not; names the published models, which are allowed too.
    """
    if not os.path.isfile(os.path.expanduser(model)):
        published = join_words([*sources.get("models", {})])
        raise InputError(f"{key}.model: found '{model}', no file in {os.getcwd()}; allowed is a file or {published}")


def match_files(patterns: str | list[str] | None, key: str) -> list[str] | None:
    """List the files that globs match, relative to the working directory unless absolute.

    Numbers in names are compared as numbers: t9 comes before t10. Files of an earlier pattern come first.

    Raises
    ------
    InputError
        If a pattern matches no file.
    """
    if patterns is None:
        return None
    files: list[str] = []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        matches = sorted(glob.glob(os.path.expanduser(pattern), recursive=True), key=_split_numbers)
        found = [match for match in matches if os.path.isfile(match)]
        if not found:
            folder = f"; it is a folder, add a pattern: {pattern.rstrip('/')}/*.tif" if matches else ""
            raise InputError(f"{key}: found no file that matches '{pattern}' in {os.getcwd()}{folder}")
        files += found
    return list(dict.fromkeys(files))


def _split_numbers(name: str) -> list[tuple[int, str]]:
    """Split a name into texts and numbers, to sort by."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
