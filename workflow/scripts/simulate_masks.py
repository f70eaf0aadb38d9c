from sketchscope.jobs import job


def main(snakemake):
    import numpy as np
    from sketchscope.files import SUFFIXES, atomic_folder, write_image
    from sketchscope.manifest import read_manifest
    from sketchscope.noise import stable_key
    from sketchscope.simulate import simulate_nuclei
    from sketchscope.tissue import simulate_tissue

    first = read_manifest(snakemake.input.manifest)[0]
    shape = snakemake.params.volume_shape or first.shape
    suffix = SUFFIXES[snakemake.params.volume_format]
    organism = stable_key(snakemake.wildcards.organism)
    simulate = {"nuclei": simulate_nuclei, "membranes": simulate_tissue}[snakemake.params.stain]
    with atomic_folder(snakemake.output.masks) as folder:
        for volume, index in snakemake.params.volumes.items():
            labels = simulate(
                shape,
                first.voxel_size,
                diameter=snakemake.params.cell_diameter,
                rng=np.random.default_rng([snakemake.params.seed, organism, index]),
                **snakemake.params.settings,
            )
            write_image(folder / f"{volume}{suffix}", labels, first.voxel_size)
            print(f"{volume}: {labels.max()} cells")


with job(snakemake.log[0], seed=snakemake.params.seed):
    main(snakemake)
