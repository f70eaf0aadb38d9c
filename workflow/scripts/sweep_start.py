"""Score a grid of starts and blurs on sketches of real images."""

from sketchscope.run.job import job


def main(snakemake, device):
    import numpy as np
    import torch
    from sketchscope.config import auto
    from sketchscope.diffusion.generate import make_generator
    from sketchscope.diffusion.model_file import load_network
    from sketchscope.diffusion.noise import hash_name
    from sketchscope.diffusion.samplers import Sampler
    from sketchscope.diffusion.tiling import Tiling
    from sketchscope.evaluation import start_sweep
    from sketchscope.images import manifest
    from sketchscope.io.atomic import atomic_path
    from sketchscope.sequences import spread_out
    from sketchscope.sketches import depth
    from sketchscope.stains import STAINS

    params, inputs = snakemake.params, snakemake.input
    torch.set_num_threads(snakemake.threads)
    rows = spread_out(manifest.select_typical(manifest.read_manifest(inputs.manifest)), params.settings["images"])
    stain, voxel_size = STAINS[params.stain], rows[0].voxel_size
    sketch = stain.sketch(sigma=None, **auto.fill_auto(params.sketch, [inputs.depth]))
    measured = depth.read_measured(inputs.cells, sketch.decay_um)
    key = [params.seed, hash_name(snakemake.wildcards.organism)]
    draw = start_sweep.Drawing(stain.draw, sketch, measured, voxel_size, key)
    pairs = ((manifest.load_normalised(row, inputs.images), manifest.load_image(row, inputs.rough)) for row in rows)
    examples = [start_sweep.cut_example(*pair, 2 * np.array(params.tiles["tile_shape"])) for pair in pairs]
    network, alpha_bar = load_network(inputs.model)
    tiling = Tiling(**params.tiles, batch_size=snakemake.resources.batch_size or None)

    def generator_from(t_start):
        sampler = Sampler("dpm-solver++", t_start, params.settings["steps"], eta=0.0, clip=params.clip)
        return make_generator(network, alpha_bar, device, sampler, tiling)

    grid = start_sweep.Grid(params.t_starts, params.sigmas)
    sweep = start_sweep.sweep(
        examples, draw, generator_from, alpha_bar, voxel_size, grid, key=key, touching=stain.touching
    )
    scores, pictures = start_sweep.collect_points(sweep, examples[0])
    with atomic_path(snakemake.output.examples) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **pictures)
    with atomic_path(snakemake.output.scores) as temporary:
        scores.to_csv(temporary, index=False)


device, gpus, seed = snakemake.resources.device, snakemake.resources.get("gpu", 0), snakemake.params.seed
with job(snakemake.log[0], device=device, gpus=gpus, seed=seed) as device:
    main(snakemake, device)
