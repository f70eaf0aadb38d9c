"""The checked settings, and the small functions with which the rules look things up in them."""

import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "workflow" / "scripts"))
from sketchscope.configuration import batches, read_yaml, resolve, simulation_settings
from sketchscope.errors import InputError

try:
    SETTINGS = resolve(config, workflow.basedir)
except InputError as error:
    raise WorkflowError(str(error)) from None

ORGANISMS = SETTINGS["organisms"]
DOWNLOADS = Path(SETTINGS["downloads"]["folder"]).expanduser()
SOURCES = read_yaml(Path(workflow.basedir) / "resources" / "datasets.yaml")
GPUS = 0 if SETTINGS["device"] == "cpu" else 1

# the keys of the section cellpose that matter after the training; changing one trains nothing again
SEGMENTATION = ["flow_threshold", "cellprob_threshold", "min_size", "stitch_threshold"]


wildcard_constraints:
    organism="|".join(map(re.escape, ORGANISMS)),
    batch=r"batch_\d+",
    model="|".join(
        map(re.escape, ["synthetic", "classical", *SOURCES.get("models", {})])
    ),
    published="|".join(map(re.escape, SOURCES.get("models", {}))) or "(?!)",
    dataset="|".join(map(re.escape, SOURCES.get("datasets", {}))) or "(?!)",


def setting(key):
    """The value of one key of an organism, as a function of the wildcards."""
    return lambda wildcards: ORGANISMS[wildcards.organism][key]


def some_settings(section, keys):
    """These keys of one section of an organism, as a function of the wildcards."""
    return lambda wildcards: {
        key: ORGANISMS[wildcards.organism][section][key] for key in keys
    }


def other_settings(section, keys):
    """One section of an organism without these keys, as a function of the wildcards."""
    return lambda wildcards: {
        key: value
        for key, value in ORGANISMS[wildcards.organism][section].items()
        if key not in keys
    }


def organism_batches(wildcards):
    """Volumes of every batch of an organism, names and positions."""
    organism = ORGANISMS[wildcards.organism]
    return batches(organism["volumes"], organism["volumes_per_job"])


def batch_volumes(wildcards):
    """Volumes of one batch: {name: position over all volumes}."""
    return organism_batches(wildcards)[wildcards.batch]


def batch_folders(folder):
    """Folders of all batches of masks, sketches or synthetic images, as a function of the wildcards."""
    return lambda wildcards: [
        f"results/{wildcards.organism}/{folder}/{batch}"
        for batch in organism_batches(wildcards)
    ]


def raw_images(wildcards):
    """What the images are prepared from: a fetched data set, or the user's files."""
    organism = ORGANISMS[wildcards.organism]
    if organism["dataset"] is not None:
        return {"dataset": f"{DOWNLOADS}/{organism['dataset']}/dataset.json"}
    return {
        key: organism[key] for key in ("images", "labels") if organism[key] is not None
    }


def diffusion_model(wildcards):
    """The network to generate with: trained here, or a checkpoint of the paper's authors."""
    published = ORGANISMS[wildcards.organism]["diffusion"]["checkpoint"]
    trained = f"results/{wildcards.organism}/diffusion/model.safetensors"
    return published or trained


def figures(wildcards):
    """Figures of an organism; the loss only of what is trained here."""
    names = ["pairs", "overlays", "iou"]
    trained = ORGANISMS[wildcards.organism]["diffusion"]["checkpoint"] is None
    return [
        f"results/{wildcards.organism}/figures/{name}.png"
        for name in names + ["loss"] * trained
    ]


def baseline_file(file):
    """A file of the model that an organism's own is compared with, as a function of the wildcards."""
    return lambda wildcards: file.format(
        organism=wildcards.organism, model=ORGANISMS[wildcards.organism]["baseline"]
    )


def growing(amount):
    """A resource that grows with every attempt at a job."""
    return lambda wildcards, attempt: amount * attempt
