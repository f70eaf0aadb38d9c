"""The checked settings, and the small functions with which the rules look things up in them."""

import math
import os
import re
from functools import reduce
from operator import getitem

from sketchscope import TRAINED
from sketchscope.config.resolve import resolve
from sketchscope.config.views import (
    effective_settings,
    share_volumes,
    simulation_settings,
    synthetic_settings,
)

try:
    SETTINGS = resolve(config, REPOSITORY)
except InputError as error:
    raise WorkflowError(str(error)) from None

ORGANISMS = SETTINGS["organisms"]
DOWNLOADS = Path(SETTINGS["downloads"]["folder"]).expanduser()
SOURCES = read_yaml(REPOSITORY / "resources" / "datasets.yaml")
GPUS = 0 if SETTINGS["device"] == "cpu" else 1

# captions and templates of the reports
TEXTS = REPOSITORY / "workflow" / "report"

# the figures of an organism in the order of reading, with their titles; of these, what the training draws
FIGURES = {
    "pairs": "real and synthetic images",
    "overlays": "segmentation of test images",
    "iou": "IoU of every cell",
    "verdict": "difference from the baselines",
    "audit": "audit of the labels",
    "shapes": "shapes of the cells",
    "sweep": "start and blur",
    "samples": "samples of the diffusion model",
    "loss": "loss of the diffusion model",
}
OF_TRAINING = ["samples", "loss"]

# the keys of the section generation that share out the work, and the organisms whose volumes are generated in slabs
SLABS = ["slab_shape", "slab_jobs"]
IN_SLABS = {name for name in ORGANISMS if ORGANISMS[name]["generation"]["slab_shape"]}

# the organisms whose diffusion model sees sketches
CONDITIONED = {
    name
    for name in ORGANISMS
    if ORGANISMS[name]["diffusion"]["condition"] == "sketch"
    and ORGANISMS[name]["diffusion"]["checkpoint"] is None
}

# the organisms whose lost cells are redrawn
REDRAWN = {name for name in ORGANISMS if ORGANISMS[name]["audit"]["lost"] == "redraw"}

# the organisms whose masks are made from segmented images
SEGMENTED = {
    name for name in ORGANISMS if ORGANISMS[name]["masks"]["source"] != "simulated"
}

# the Cellpose models that make masks, without which there is nothing to learn from
MASK_MODELS = {
    settings["masks"]["model"]
    for settings in ORGANISMS.values()
    if settings["masks"]["source"] == "cellpose"
}

# the keys of the section cellpose that matter after the training; changing one trains nothing again
SEGMENTATION = ["flow_threshold", "cellprob_threshold", "min_size", "stitch_threshold"]


def any_of(names):
    """A wildcard's constraint: one of these names; none matches where there are none."""
    return "|".join(map(re.escape, sorted(names))) or "(?!)"


wildcard_constraints:
    organism=any_of(ORGANISMS),
    batch=r"batch_\d+",
    part=r"\d+",
    training=rf"{TRAINED}|replicate_\d+",
    model=any_of([TRAINED, "classical", *SOURCES.get("models", {})]) + r"|replicate_\d+",
    published=any_of(SOURCES.get("models", {})),
    node=r"[a-z0-9]+",
    dataset=any_of(SOURCES.get("datasets", {})),


def setting(*keys):
    """The value of one key of an organism, or below that key, as a function of the wildcards."""
    return lambda wildcards: reduce(getitem, keys, ORGANISMS[wildcards.organism])


def diameter_to_check(wildcards):
    """The diameter that a scale in image files must fit; null where it is set, so that a change repeats nothing."""
    organism = ORGANISMS[wildcards.organism]
    is_set = organism["voxel_size"] is not None or organism["dataset"] is not None
    return None if is_set else organism["cell_diameter"]


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


def grid(section, key):
    """What the sweep tries of a setting, as a function of the wildcards: its grid, or what is set."""

    def values(wildcards):
        organism = ORGANISMS[wildcards.organism]
        chosen = organism[section][key]
        return organism["sweep"][key] if chosen == "auto" else [chosen]

    return values


def choice_for(section, key):
    """The result of the sweep where a setting is left to it, as a function of the wildcards."""
    return lambda wildcards: (
        [f"results/{wildcards.organism}/sweep/choice.json"]
        if ORGANISMS[wildcards.organism][section][key] == "auto"
        else []
    )


def organism_batches(wildcards):
    """Volumes of every batch of an organism, names and positions."""
    organism = ORGANISMS[wildcards.organism]
    return share_volumes(organism["volumes"], organism["volumes_per_job"])


def batch_volumes(wildcards):
    """Volumes of one batch: {name: position over all volumes}."""
    return organism_batches(wildcards)[wildcards.batch]


def batch_folders(folder):
    """Folders of all batches of masks, sketches or synthetic images, as a function of the wildcards."""
    return lambda wildcards: [
        f"results/{wildcards.organism}/{folder}/{batch}"
        for batch in organism_batches(wildcards)
    ]


def fitted(wildcards):
    """The numbers fitted to the images, where cells are simulated with these."""
    wanted = ORGANISMS[wildcards.organism]["simulation"]["fit"]
    return [f"results/{wildcards.organism}/masks/fit.json"] if wanted else []


def mask_census(wildcards):
    """How many nuclei every batch of simulated masks was to have and has; none where masks are segmented."""
    batches = [] if wildcards.organism in SEGMENTED else organism_batches(wildcards)
    return [f"results/{wildcards.organism}/masks/{batch}.json" for batch in batches]


def lost_cells(wildcards):
    """The audit, where the training leaves out cells that do not show."""
    dropped = ORGANISMS[wildcards.organism]["audit"]["lost"] == "drop"
    return [f"results/{wildcards.organism}/audit/cells.csv"] if dropped else []


def replicates(file):
    """A file of every further training of Cellpose, as a function of the wildcards."""
    return lambda wildcards: [
        file.format(organism=wildcards.organism, model=f"replicate_{number}")
        for number in range(1, ORGANISMS[wildcards.organism]["cellpose"]["replicates"])
    ]


def training_seed(wildcards):
    """The seed of a training of Cellpose: another one for each replicate."""
    return SETTINGS["seed"] + int(wildcards.training.partition("replicate_")[2] or 0)


def is_stitched(wildcards):
    """Whether stacks are segmented slice by slice; the training needs to know no more of that threshold."""
    return ORGANISMS[wildcards.organism]["cellpose"]["stitch_threshold"] is not None


def tiles_together(wildcards):
    """Tiles that go through the network together; 0, since a resource is a number, for as many as fit."""
    return ORGANISMS[wildcards.organism]["generation"]["batch_size"] or 0


def slab_parts(wildcards):
    """What the jobs that share out the slabs of one batch make."""
    parts = range(ORGANISMS[wildcards.organism]["generation"]["slab_jobs"])
    folder = f"results/{wildcards.organism}/slabs/{wildcards.batch}"
    return [f"{folder}/part_{part}" for part in parts]


def raw_images(wildcards):
    """What the images are prepared from: a fetched data set, or the user's files."""
    organism = ORGANISMS[wildcards.organism]
    if organism["dataset"] is not None:
        return {"dataset": f"{DOWNLOADS}/{organism['dataset']}/dataset.json"}
    labels = organism["labels"] or {}
    return {
        "images": trackable(organism["images"]),
        "labels": trackable(labels.values()),
    }


def trackable(files):
    """Those of the user's files that can be inputs: Snakemake takes braces in a name for a wildcard, without escape."""
    return [file for file in files if "{" not in file]


def untracked(wildcards):
    """When the user's other files were changed: a parameter, so that a job runs again after a change."""
    organism = ORGANISMS[wildcards.organism]
    files = [
        *(organism["images"] or []),
        *(organism["labels"] or {}).values(),
        *(organism["masks"]["labels"] or []),
    ]
    tracked = {*trackable(files)}
    return {file: os.stat(file).st_mtime_ns for file in files if file not in tracked}


def membrane_um(wildcards):
    """Thickness of the membranes of an organism; None where cells themselves are stained."""
    return ORGANISMS[wildcards.organism]["sketch"].get("membrane_um")


def rough_labels(wildcards):
    """Roughly segmented images to measure cells in; membranes are measured without."""
    needed = membrane_um(wildcards) is None
    return f"results/{wildcards.organism}/rough/labels" if needed else []


def sweep_masks(wildcards):
    """The masks of training images whose sketches the sweep compares with the images themselves."""
    masks = ORGANISMS[wildcards.organism]["sweep"]["masks"]
    if masks == "rough":
        return {"rough": f"results/{wildcards.organism}/rough/labels"}
    raw = raw_images(wildcards)
    return {
        key if key == "dataset" else f"raw_{key}": value for key, value in raw.items()
    }


def sweep_sketch(wildcards):
    """How the sweep draws these masks: rough ones in their full size, as the training sketches are."""
    section = ORGANISMS[wildcards.organism]
    sketch = {key: value for key, value in section["sketch"].items() if key != "sigma"}
    if section["sweep"]["masks"] == "rough" and "boundary_offset_um" in sketch:
        sketch["boundary_offset_um"] = 0.0
    return sketch


def rough_images(wildcards):
    """Which training images are segmented roughly: all where masks or sketches are made from them, else some."""
    source = ORGANISMS[wildcards.organism]["masks"]["source"]
    return (
        "train"
        if source == "classical" or wildcards.organism in CONDITIONED
        else "typical"
    )


def better_masks(wildcards):
    """Labels of training images that are better than rough ones, where masks are made from such."""
    source = ORGANISMS[wildcards.organism]["masks"]["source"]
    segmented = f"results/{wildcards.organism}/segmented"
    return [segmented] if source in ("silver", "cellpose") else []


def plain_sketch(wildcards):
    """What sketches of training images share with the others: the background, the fading, the membranes' width."""
    sketch = ORGANISMS[wildcards.organism]["sketch"]
    shared = ("background", "field", "decay_um", "membrane_um")
    return {key: sketch[key] for key in shared if key in sketch}


def measured_haze(wildcards):
    """The background of training images, where sketches are drawn with such a one."""
    measured = ORGANISMS[wildcards.organism]["sketch"]["field"] == "measured"
    return [f"results/{wildcards.organism}/rough/haze.npz"] if measured else []


def training_sketches(wildcards):
    """The sketches of the training images, where the diffusion model sees them."""
    sketches = f"results/{wildcards.organism}/diffusion/sketches"
    return {"sketches": sketches} if wildcards.organism in CONDITIONED else {}


def segmented_images(wildcards):
    """What the masks of an organism are made from where they are not simulated."""
    masks = ORGANISMS[wildcards.organism]["masks"]
    if masks["source"] == "silver":
        return raw_images(wildcards)
    if masks["source"] == "files":
        return {"files": trackable(masks["labels"])}
    folders = {"cellpose": "segmented_cellpose", "classical": "rough/labels"}
    return {"segmented": f"results/{wildcards.organism}/{folders[masks['source']]}"}


def masks_model(wildcards):
    """The Cellpose model that segments training images for masks: a published one, or a file of the user."""
    model = ORGANISMS[wildcards.organism]["masks"]["model"]
    if model in SOURCES.get("models", {}):
        return {"weights": f"{DOWNLOADS}/models/{model}.json"}
    return {"model": model}


def diffusion_model(wildcards):
    """The network to generate with: trained here, or a checkpoint of the paper's authors."""
    published = ORGANISMS[wildcards.organism]["diffusion"]["checkpoint"]
    trained = f"results/{wildcards.organism}/diffusion/model.safetensors"
    return published or trained


def training_record(wildcards):
    """The record of the diffusion model's training; nothing where a published network takes its place."""
    published = ORGANISMS[wildcards.organism]["diffusion"]["checkpoint"]
    record = f"results/{wildcards.organism}/diffusion/training.json"
    return {} if published else {"training": record}


def figures(wildcards):
    """Figures of an organism in the order of reading; those of the training only of what is trained here."""
    trained = ORGANISMS[wildcards.organism]["diffusion"]["checkpoint"] is None
    names = [name for name in FIGURES if trained or name not in OF_TRAINING]
    folders = {"samples": "diffusion"}
    return [
        f"results/{wildcards.organism}/{folders.get(name, 'figures')}/{name}.png"
        for name in names
    ]


def captions(wildcards):
    """Captions of the figures of an organism, of its summary and of its statistics."""
    names = [Path(figure).stem for figure in figures(wildcards)]
    return [TEXTS / f"{name}.rst" for name in [*names, "summary", "statistics"]]


def data_source(wildcards):
    """Name, citation and terms of an organism's published images; empty for the user's own."""
    name = ORGANISMS[wildcards.organism]["dataset"]
    if name is None:
        return {}
    source = SOURCES["datasets"][name]
    return {"name": name, "citation": source["citation"], "terms": source["terms"]}


def compared_models(wildcards):
    """The models of an organism that are compared: the trained one, then the baselines."""
    return [TRAINED, *ORGANISMS[wildcards.organism]["baselines"]]


def model_files(file):
    """A file of every model that is compared, as a function of the wildcards."""
    return lambda wildcards: [
        file.format(organism=wildcards.organism, model=model)
        for model in compared_models(wildcards)
    ]


def growing(amount):
    """A resource that grows with every attempt at a job."""
    return lambda wildcards, attempt: amount * attempt


def volume_memory(megabytes, bytes_per_voxel):
    """Memory for a job that holds one volume, where its size is set; it grows with every attempt at the job."""

    def memory(wildcards, attempt):
        voxels = math.prod(ORGANISMS[wildcards.organism]["volume_shape"] or [0])
        return attempt * (megabytes + voxels * bytes_per_voxel // 2**20)

    return memory
