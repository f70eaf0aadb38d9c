"""What the configuration takes from files: images, their labels, and masks."""

from collections.abc import Mapping
from typing import Any

from ..errors import InputError
from ..images.groups import group_files
from ..images.pairing import is_named_like_mask, pair_labels
from .files import count_fixed_folders, drop_doubles, find_file, identify, list_patterns, match_files, match_pattern
from .layers import Settings
from .schema import join_words, name_unknown


def find_images(settings: Settings, key: str, datasets: Mapping[str, Any]) -> Settings:
    """Check where the images come from, list the files that the globs match, and pair images with labels.

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
        images: the files. labels: the label file of each image file that has one, or None. file_warnings: what is to
        be told about them, one sentence each. diffusion: as before, with the name of its checkpoint filled in.

    Raises
    ------
    InputError
        If the source of the images is unclear, unknown or does not exist, or labels do not belong to images.
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
        checkpoint = find_file(checkpoint, f"{key}.diffusion.checkpoint")
    filled = {"diffusion": settings["diffusion"] | {"checkpoint": checkpoint}}
    if images is None:
        return filled | {"file_warnings": []}
    files, warnings = find_image_files(images, f"{key}.images")
    group_files(files, settings["groups"], f"{key}.groups")
    pairs, told = find_labels(labels, files, f"{key}.labels")
    return filled | {"images": files, "labels": pairs, "file_warnings": warnings + told}


def find_image_files(patterns: str | list[str], key: str) -> tuple[list[str], list[str]]:
    """List the image files that globs match, without those that are named like masks.

    Returns
    -------
    files, warnings : list of str
        The files, each once, and one sentence for each reason to leave some out.

    Raises
    ------
    InputError
        As `files.match_files`, and if a glob matches nothing but files that are named like masks.
    """
    files: list[str] = []
    masks: list[str] = []
    for pattern in list_patterns(patterns):
        matches, fixed = match_pattern(pattern, key), count_fixed_folders(pattern)
        alike = [file for file in matches if is_named_like_mask(file, fixed)]
        if len(alike) == len(matches):
            raise InputError(
                f"{key}: '{pattern}' matches {_name_some(alike)}, named like masks and not like images; rename what is"
                " an image"
            )
        files += [file for file in matches if file not in alike]
        masks += alike
    files, doubles = drop_doubles(files)
    warnings = [f"left out of the images, because named like masks: {_name_some(masks)}"] if masks else []
    warnings += [f"{file} is the same file as {kept}, which is taken once" for file, kept in doubles]
    return files, warnings


def find_labels(
    patterns: str | list[str] | None, images: list[str], key: str
) -> tuple[dict[str, str] | None, list[str]]:
    """Pair the label files that globs match with image files.

    Returns
    -------
    pairs : dict or None
        The label file of each image file that has one; None without globs.
    warnings : list of str
        A sentence if the order alone made the pairs.

    Raises
    ------
    InputError
        As `files.match_files` and `pairing.pair_labels`, and if a file is an image as well.
    """
    labels = match_files(patterns, key)
    if labels is None:
        return None, []
    check_no_images(labels, images, key)
    pairs, by_order = pair_labels(images, labels, key)
    example = f"{labels[0]} with {images[0]}"
    told = f"images and labels are paired in their order, because their names share nothing: {example}, and so on"
    return pairs, [told] if by_order else []


def check_no_images(labels: list[str], images: list[str], key: str) -> None:
    """Check that no label file is an image file, under whatever name.

    Raises
    ------
    InputError
        If one is.
    """
    known = {identify(image): image for image in images}
    for label in labels:
        if identify(label) in known:
            image = known[identify(label)]
            same = "is one of the images" if image == label else f"is the same file as the image {image}"
            raise InputError(f"{key}: {label} {same}; labels are other files, with one number for each cell")


def find_masks(settings: Settings, key: str, sources: Mapping[str, Any]) -> Settings:
    """Check where the masks come from and list the files that their globs match.

    Parameters
    ----------
    settings : dict
        Settings of one organism, in which `images` are files.
    key : str
        Where they stand in config.yaml, for messages.
    sources : mapping
        Public data sets and models: content of resources/datasets.yaml.

    Returns
    -------
    dict
        The section masks; `labels` is a list of files, or None, and `model` a published one or a file.

    Raises
    ------
    InputError
        If the source of the masks lacks something or does not exist.
    """
    masks, dataset, key = settings["masks"], settings["dataset"], f"{key}.masks"
    source, labels = masks["source"], masks["labels"]
    model, published = masks["model"], sources.get("models", {})
    if source == "cellpose" and model not in published:
        model = find_file(model, f"{key}.model", f"a file or {join_words([*published])}")
    if source == "files" and labels is None:
        raise InputError(f"{key}.labels: found null; source: files needs globs of your label images")
    if source != "files" and labels is not None:
        raise InputError(f"{key}.labels: are allowed only with source: files; found source: {source}")
    if source == "silver" and dataset is None:
        raise InputError(f"{key}.source: found silver, which only a dataset brings; take files for labels of your own")
    entry = sources["datasets"][dataset] if source == "silver" else {}
    if entry.get("truth") == "none" or entry.get("sparse"):
        raise InputError(f"{key}.source: found silver, but the data set {dataset} brings no labels of whole images")
    files = match_files(labels, f"{key}.labels")
    check_no_images(files or [], settings["images"] or [], f"{key}.labels")
    return masks | {"model": model, "labels": files}


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


def _name_some(files: list[str]) -> str:
    """Name the first of several files, and say how many there are."""
    named = ", ".join(files[:3])
    return named if len(files) <= 3 else f"{named} and {len(files) - 3} more"
