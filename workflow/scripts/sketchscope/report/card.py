"""The synthetic images as a data set to publish: their masks beside them, a table, checksums, a card."""

import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..images.manifest import ManifestRow, select_training
from ..io.atomic import PathLike, atomic_folder, compute_sha256
from ..io.images import list_image_files, open_image
from ..io.ome_zarr import split_into_blocks
from ..io.tiff import name_axes

SIZE_CATEGORIES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}


def link_folders(sources: Iterable[PathLike], target: PathLike) -> None:
    """Put the images of several folders into folders of the same names within `target`.

    The files are linked, so that they take no space; they are copied where the file system has no links.
    """
    with atomic_folder(target) as folder:
        for source in map(Path, sources):
            for path in list_image_files(source).values():
                for member in list_members(path):
                    _link(member, folder / source.name / member.relative_to(source))


def list_members(image: Path) -> list[Path]:
    """List the files of an image: itself, or all files in its folder if it is an OME-Zarr."""
    return sorted(path for path in image.rglob("*") if path.is_file()) if image.is_dir() else [image]


def tabulate_pairs(root: PathLike) -> pd.DataFrame:
    """List the images of a data set with their masks.

    Parameters
    ----------
    root : path
        Folder of the data set: it holds {batch}/{image} and masks/{batch}/{image}.

    Returns
    -------
    DataFrame
        file_name and mask_file_name, relative to `root` as the imagefolder loader of Hugging Face expects; cells,
        their number in the mask; shape and dtype of the image.
    """
    rows = []
    for masks in sorted(path for path in (Path(root) / "masks").iterdir() if path.is_dir()):
        for path in list_image_files(masks).values():
            name, image = f"{masks.name}/{path.name}", open_image(Path(root) / masks.name / path.name)
            shape, cells = "x".join(map(str, image.shape)), count_cells(open_image(path))
            rows.append((name, f"masks/{name}", cells, shape, str(image.dtype)))
    return pd.DataFrame(rows, columns=["file_name", "mask_file_name", "cells", "shape", "dtype"])


def count_cells(labels: Any) -> int:
    """Count the cells in a label image (Z, Y, X) or (Y, X), which is read in parts."""
    found: set[int] = set()
    for region in split_into_blocks(labels.shape):
        found.update(np.unique(labels[region]).tolist())
    return len(found - {0})


def list_checksums(root: PathLike, names: Iterable[str]) -> str:
    """List the sha256 of every file of the images `names` in `root`, as `sha256sum --check` reads it in that folder."""
    files = [member for name in names for member in list_members(Path(root) / name)]
    return "".join(f"{compute_sha256(path)}  {path.relative_to(root).as_posix()}\n" for path in files)


def collect_facts(rows: Sequence[ManifestRow], table: pd.DataFrame) -> dict[str, Any]:
    """Collect what the card says about the images, from the manifest of the real ones and `tabulate_pairs`."""
    return {
        "images": len(table),
        "cells": int(table["cells"].sum()),
        "fewest": int(table["cells"].min()),
        "most": int(table["cells"].max()),
        "shapes": sorted(set(table["shape"])),
        "dtypes": sorted(set(table["dtype"])),
        "axes": name_axes(len(rows[0].voxel_size)),
        "voxel_size": rows[0].voxel_size,
        "learnt_from": len(select_training(rows)),
        "zarr": bool(table["file_name"].str.endswith(".ome.zarr").any()),
    }


def make_front_matter(
    organism: str, stain: str, known: Mapping[str, Any], source: Mapping[str, str]
) -> dict[str, str | list[str]]:
    """Make the lines at the top of a card that Hugging Face reads.

    Parameters
    ----------
    organism, stain : str
        Names.
    known : mapping
        Of `collect_facts`.
    source : mapping
        Name and terms of the published images that were learnt from; empty for images of the user's own.
    """
    link = re.search(r"https?://[^\s)]+", source.get("terms", ""))
    tags = ["biology", "microscopy", "synthetic", "instance-segmentation", "diffusion"]
    return {
        "pretty_name": f"Synthetic {organism}: microscopy images with instance masks",
        "license": "other",
        "license_name": f"terms-of-{source['name']}".lower() if source else "terms-of-the-real-images",
        "license_link": link[0] if link else "#before-you-publish-this",
        "task_categories": ["image-segmentation"],
        "size_categories": [next((size for most, size in SIZE_CATEGORIES.items() if known["images"] < most), "n>1M")],
        "annotations_creators": ["machine-generated"],
        "tags": [*tags, stain, f"{len(known['axes'])}d"],
    }


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
