"""Make the instance masks of a batch of volumes from segmented images."""

from sketchscope.run.job import job


def main(snakemake):
    import numpy as np
    from sketchscope.images.manifest import read_manifest
    from sketchscope.io.atomic import atomic_folder
    from sketchscope.io.images import SUFFIXES, list_image_files, read_image, write_image
    from sketchscope.masks.rearrange import Rearrangement, rearrange
    from sketchscope.stains import STAINS
    from sketchscope.streams import stream_key

    params = snakemake.params
    first = read_manifest(snakemake.input.manifest)[0]
    frames = list(list_image_files(snakemake.input.labels).values())
    touching = STAINS[params.stain].touching
    settings = Rearrangement(touching, cell_diameter=params.cell_diameter, **params.settings)
    key = stream_key(params.seed, snakemake.wildcards.organism, "masks")
    with atomic_folder(snakemake.output.masks) as folder:
        for volume, index in params.volumes.items():
            rng = np.random.default_rng([*key, index])
            frame = read_image(frames[rng.integers(len(frames))])
            labels = rearrange(frame, params.volume_shape or first.shape, first.voxel_size, settings, rng)
            write_image(folder / f"{volume}{SUFFIXES[params.volume_format]}", labels, first.voxel_size)
            print(f"{volume}: {labels.max()} cells")


with job(snakemake.log[0], seed=snakemake.params.seed):
    main(snakemake)
