"""Score a grid of starts and blurs on sketches of real images."""

from sketchscope.run.job import job


def main(snakemake, device):
    from functools import partial

    import numpy as np
    import torch
    from sketchscope.config import auto
    from sketchscope.diffusion.generate import make_generator
    from sketchscope.diffusion.model_file import load_network
    from sketchscope.diffusion.samplers import name_sampler, read_sampler
    from sketchscope.diffusion.tiling import Tiling
    from sketchscope.evaluation import start_sweep
    from sketchscope.evaluation.audit import audit_cells
    from sketchscope.images import manifest
    from sketchscope.io.atomic import atomic_path
    from sketchscope.sequences import spread_out
    from sketchscope.sketches import depth
    from sketchscope.stains import STAINS
    from sketchscope.streams import stream_key

    params, inputs, organism = snakemake.params, snakemake.input, snakemake.wildcards.organism
    torch.set_num_threads(snakemake.threads)
    rows = manifest.select_typical(manifest.read_manifest(inputs.manifest))
    masks = load_masks(snakemake, rows)
    rows = spread_out([row for row in rows if row.image in masks], params.images)
    stain, voxel_size = STAINS[params.stain], rows[0].voxel_size
    sketch = stain.sketch(sigma=None, **auto.fill_auto(params.sketch, [inputs.depth]))
    measured = depth.read_measured(inputs.cells, sketch.decay_um)
    drawing_key = stream_key(params.seed, organism, "sweep sketches")
    draw = start_sweep.Drawing(stain.draw, sketch, measured, voxel_size, drawing_key, params.cell_diameter)
    images = (start_sweep.Example(manifest.load_normalised(row, inputs.images), masks[row.image]) for row in rows)
    examples = start_sweep.cut_examples(images, 2 * np.array(params.tiles["tile_shape"]), params.images)
    network, alpha_bar = load_network(inputs.model)
    tiling = Tiling(**params.tiles, batch_size=snakemake.resources.batch_size or None)

    def generator_from(t_start):
        return make_generator(network, alpha_bar, device, read_sampler(params.sampler, t_start), tiling)

    run = start_sweep.Run(
        draw, generator_from, alpha_bar, name_sampler(read_sampler(params.sampler, params.t_starts[0]))
    )
    audit = partial(
        audit_cells, voxel_size=voxel_size, touching=stain.touching, min_contrast=start_sweep.LEAST_CONTRAST
    )
    grid = start_sweep.Grid(params.t_starts, params.sigmas)
    keys = (stream_key(params.seed, organism, "sweep noise"), stream_key(params.seed, organism, "sweep windows"))
    points = start_sweep.sweep(examples, run, grid, keys=keys, audit=audit)
    scores, draws, pictures = start_sweep.collect_points(points, examples[0])
    for path, arrays in ((snakemake.output.examples, pictures), (snakemake.output.draws, draws._asdict())):
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)
    with atomic_path(snakemake.output.scores) as temporary:
        scores.to_csv(temporary, index=False)


def load_masks(snakemake, rows):
    """Load the masks of training images that sketches are drawn from, by the name of the image."""
    from sketchscope.errors import InputError
    from sketchscope.images import manifest, raw_files
    from sketchscope.masks.label_sources import read_training_labels

    inputs, params = snakemake.input, snakemake.params
    if params.masks == "rough":
        return {row.image: manifest.load_image(row, inputs.rough) for row in rows}
    if inputs.get("dataset"):
        raw = raw_files.read_dataset(inputs.dataset)
    else:
        files = [row.source for row in rows], params.axes, None, [row.label_file or None for row in rows]
        raw = raw_files.RawImages(*files, labels_are=params.labels_are)
    found = dict(read_training_labels(raw, rows, params.axes))
    if not found:
        raise InputError(f"sweep.masks: found {params.masks}, but none of {len(rows)} training images has such labels")
    return found


device, gpus, seed = snakemake.resources.device, snakemake.resources.get("gpu", 0), snakemake.params.seed
with job(snakemake.log[0], device=device, gpus=gpus, seed=seed) as device:
    main(snakemake, device)
