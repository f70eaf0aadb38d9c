"""Blend the slabs of a batch into whole images."""

from sketchscope.run.job import job


def main(snakemake):
    import numpy as np
    from sketchscope.diffusion import slabs
    from sketchscope.images import manifest
    from sketchscope.io import ome_zarr
    from sketchscope.io.atomic import atomic_folder
    from sketchscope.io.images import create_image, list_image_files, open_image

    rows = manifest.select_training(manifest.read_manifest(snakemake.input.manifest))
    dtype, voxel_size = manifest.common_dtype(rows), rows[0].voxel_size
    sketches, parts = list_image_files(snakemake.input.sketches), snakemake.input.parts
    first = 0  # number of the volume's first slab among all
    with atomic_folder(snakemake.output.synthetic) as folder:
        for volume, path in sketches.items():
            shape = open_image(path).shape
            grid = slabs.cut_slabs(shape, snakemake.params.slab_shape, **snakemake.params.tiles)
            folders = [parts[(first + number) % len(parts)] for number in range(len(grid))]
            made = [f"{part}/{slabs.name_slab_file(volume, number)}" for number, part in enumerate(folders)]
            first += len(grid)
            with create_image(folder / path.name, shape, dtype, voxel_size) as image:
                for region in ome_zarr.split_into_blocks(shape):
                    # opened one at a time: a large volume has more slabs than a process may have open files
                    touched = [pair for pair in zip(grid, made, strict=True) if slabs.intersect(region, pair[0].inner)]
                    blended = slabs.blend_slabs(
                        region, ((slab, np.load(file, mmap_mode="r")) for slab, file in touched)
                    )
                    image[region] = manifest.denormalise_like(blended, rows)
            print(f"{volume}: {shape} from {len(grid)} slabs")


with job(snakemake.log[0]):
    main(snakemake)
