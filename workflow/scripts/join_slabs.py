from sketchscope.jobs import job


def main(snakemake):
    import numpy as np
    from sketchscope import files, manifest, ome_zarr, slabs

    rows = manifest.training_rows(manifest.read_manifest(snakemake.input.manifest))
    dtype, voxel_size = rows[0].dtype, rows[0].voxel_size
    sketches, parts = files.image_files(snakemake.input.sketches), snakemake.input.parts
    first = 0  # number of the volume's first slab among all
    with files.atomic_folder(snakemake.output.synthetic) as folder:
        for volume, path in sketches.items():
            shape = files.open_image(path).shape
            grid = slabs.slabs(shape, snakemake.params.slab_shape, **snakemake.params.tiles)
            made = [
                np.load(f"{parts[(first + number) % len(parts)]}/{slabs.file_name(volume, number)}", mmap_mode="r")
                for number in range(len(grid))
            ]
            first += len(grid)
            with files.create_image(folder / path.name, shape, dtype, voxel_size) as image:
                for region in ome_zarr.blocks(shape):
                    joined = slabs.join(region, zip(grid, made, strict=True))
                    image[region] = manifest.as_real(joined, rows)
            print(f"{volume}: {shape} from {len(grid)} slabs")


with job(snakemake.log[0]):
    main(snakemake)
