from sketchscope.run.job import job


def main(snakemake):
    import numpy as np
    from sketchscope.images import manifest
    from sketchscope.io.atomic import atomic_folder
    from sketchscope.io.images import write_image
    from sketchscope.segmentation import classical

    rows = manifest.held_out_rows(manifest.read_manifest(snakemake.input.manifest))
    with atomic_folder(snakemake.output.predictions) as folder:
        for row in rows:
            labels = classical.segment(
                manifest.load_image(row, snakemake.input.images),
                stain=snakemake.params.stain,
                voxel_size=row.voxel_size,
                cell_diameter=snakemake.params.cell_diameter,
                **snakemake.params.settings,
            )
            dtype = np.uint16 if labels.max() <= np.iinfo(np.uint16).max else np.uint32
            write_image(folder / f"{row.image}.ome.tif", labels.astype(dtype), row.voxel_size)
            print(f"{row.image}: {labels.max()} cells")


with job(snakemake.log[0]):
    main(snakemake)
