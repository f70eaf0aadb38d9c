"""Segment test or training images without a trained model."""

from sketchscope.run.job import job


def main(snakemake):
    from sketchscope.images import manifest
    from sketchscope.io.atomic import atomic_folder
    from sketchscope.io.images import write_image
    from sketchscope.labels import label_type
    from sketchscope.stains import STAINS

    params = snakemake.params
    choose = {"test": manifest.select_held_out, "train": manifest.select_training, "typical": manifest.select_typical}
    rows = choose[params.split](manifest.read_manifest(snakemake.input.manifest))
    stain = STAINS[params.stain]
    settings = stain.segmentation(**params.settings)
    with atomic_folder(snakemake.output.predictions) as folder:
        for row in rows:
            image = manifest.load_image(row, snakemake.input.images)
            labels = stain.segment(image, row.voxel_size, params.cell_diameter, settings)
            write_image(folder / f"{row.image}.ome.tif", labels.astype(label_type(labels.max())), row.voxel_size)
            print(f"{row.image}: {labels.max()} cells")


with job(snakemake.log[0]):
    main(snakemake)
