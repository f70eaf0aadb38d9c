from sketchscope.run.job import job


def main(snakemake, device):
    from functools import partial

    import numpy as np
    import pandas as pd
    import torch
    from sketchscope.config.auto import fill_auto
    from sketchscope.diffusion import generate, noise
    from sketchscope.evaluation import start_sweep
    from sketchscope.images import manifest
    from sketchscope.io.atomic import atomic_path
    from sketchscope.segmentation import classical
    from sketchscope.sequences import spread_out
    from sketchscope.sketches import depth
    from sketchscope.sketches import draw as draw_module

    params, inputs = snakemake.params, snakemake.input
    torch.set_num_threads(snakemake.threads)
    rows = manifest.training_rows(manifest.read_manifest(inputs.manifest))
    voxel_size = rows[0].voxel_size
    drawing = fill_auto(params.sketch, [inputs.depth])
    measured = depth.read_measured(inputs.cells, drawing["decay_um"])
    key = [params.seed, noise.stable_key(snakemake.wildcards.organism)]
    segmentation = {"stain": params.stain, "cell_diameter": params.cell_diameter, **params.classical}

    def draw(example, sigma):
        return draw_module.draw(
            example.labels,
            voxel_size,
            stain=params.stain,
            measured=measured.grey,
            measured_background=measured.background,
            grey_values=start_sweep.grey_at_surface(example, voxel_size, measured.background, drawing["decay_um"]),
            sigma=sigma,
            rng=np.random.default_rng(key),
            **drawing,
        )

    def example(row):
        image, size = manifest.load_image(row, inputs.images), 2 * np.array(params.tiles["tile_shape"])
        labels = classical.segment(image, voxel_size=voxel_size, **segmentation)
        return start_sweep.typical_example(manifest.load_normalised(row, inputs.images), labels, size)

    examples = [example(row) for row in spread_out(rows, params.settings["images"])]
    network, alpha_bar = generate.load_network(inputs.model)
    settings = params.tiles | {"steps": params.settings["steps"], "sampler": "dpm-solver++", "eta": 0.0}
    table, made = [], {"image": examples[0].image}
    for scores, sketched, image in start_sweep.sweep(
        examples,
        draw,
        partial(generate.make_generator, network, alpha_bar, device, **settings),
        alpha_bar,
        voxel_size,
        t_starts=params.t_starts,
        sigmas=params.sigmas,
        key=key,
        stain=params.stain,
        min_contrast=params.min_contrast,
    ):
        table.append(scores)
        made |= {f"sketch {scores['sigma']:g}": sketched, f"{scores['sigma']:g} {scores['t_start']}": image}
        print({name: round(value, 4) for name, value in scores.items() if value is not None})
    with atomic_path(snakemake.output.examples) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **made)
    with atomic_path(snakemake.output.scores) as temporary:
        pd.DataFrame(table).to_csv(temporary, index=False)


device, gpus, seed = snakemake.params.device, snakemake.resources.get("gpu", 0), snakemake.params.seed
with job(snakemake.log[0], device=device, gpus=gpus, seed=seed) as device:
    main(snakemake, device)
