from sketchscope.jobs import job


def main(snakemake):
    import numpy as np
    import pandas as pd
    from sketchscope.files import atomic_folder, image_files, read_image, write_image
    from sketchscope.manifest import read_manifest
    from sketchscope.noise import stable_key
    from sketchscope.sketch import draw_grey_values, draw_nucleoli, draw_sketch, sigma_in_voxels

    settings = snakemake.params.settings
    voxel_size = read_manifest(snakemake.input.manifest)[0].voxel_size
    cells = pd.read_csv(snakemake.input.cells)
    background = cells["background_mean"].mean() if settings["background"] is None else settings["background"]
    organism = stable_key(snakemake.wildcards.organism)
    with atomic_folder(snakemake.output.sketches) as folder:
        for volume, path in image_files(snakemake.input.masks).items():
            labels, index = read_image(path), snakemake.params.volumes[volume]
            rng = np.random.default_rng([snakemake.params.seed, organism, index])
            grey_values = draw_grey_values(
                cells["grey"].to_numpy(), labels.max(), background + settings["min_contrast"], rng
            )
            sigma = sigma_in_voxels(settings["sigma"], voxel_size)
            nucleoli = draw_nucleoli(labels, settings["nucleoli"], settings["nucleolus_um"], voxel_size, rng)
            sketch = draw_sketch(labels, grey_values, background, sigma, nucleoli)
            write_image(folder / path.name, sketch, voxel_size)


with job(snakemake.log[0], seed=snakemake.params.seed):
    main(snakemake)
