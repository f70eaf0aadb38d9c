from sketchscope.run.job import job


def main(snakemake):
    import numpy as np
    from sketchscope.diffusion.noise import hash_name
    from sketchscope.images.manifest import read_manifest
    from sketchscope.io.atomic import atomic_folder, read_json
    from sketchscope.io.images import SUFFIXES, write_image
    from sketchscope.masks.nuclei import simulate_nuclei
    from sketchscope.masks.tissue import simulate_tissue

    first = read_manifest(snakemake.input.manifest)[0]
    shape = snakemake.params.volume_shape or first.shape
    suffix = SUFFIXES[snakemake.params.volume_format]
    organism = hash_name(snakemake.wildcards.organism)
    settings = {"diameter": snakemake.params.cell_diameter, **snakemake.params.settings}
    for path in snakemake.input.fit:
        settings |= read_json(path)["simulation"]
    simulate = {"nuclei": simulate_nuclei, "membranes": simulate_tissue}[snakemake.params.stain]
    with atomic_folder(snakemake.output.masks) as folder:
        for volume, index in snakemake.params.volumes.items():
            labels = simulate(
                shape,
                first.voxel_size,
                rng=np.random.default_rng([snakemake.params.seed, organism, index]),
                **settings,
            )
            write_image(folder / f"{volume}{suffix}", labels, first.voxel_size)
            print(f"{volume}: {labels.max()} cells")


with job(snakemake.log[0], seed=snakemake.params.seed):
    main(snakemake)
