"""Check the images of one organism, and write them as one OME-TIFF per frame with a manifest and the test labels."""

from sketchscope.run.job import job


def main(snakemake):
    from sketchscope.images.prepare import Preparation, Target, prepare_images
    from sketchscope.images.raw_files import RawImages, read_dataset

    params, output = snakemake.params, snakemake.output
    if snakemake.input.get("dataset"):
        raw = read_dataset(snakemake.input.dataset)
        raw = raw._replace(
            axes=raw.axes if params.axes == "auto" else params.axes, voxel_size=params.voxel_size or raw.voxel_size
        )
    else:
        raw = RawImages(params.images, params.axes, params.voxel_size, params.labels)
    rows = prepare_images(
        raw,
        Target(output.images, output.labels, output.manifest),
        params.dimensions,
        Preparation(params.train_images, params.test_images, params.percentiles, params.gamma, params.min_shape),
    )
    print(f"{len(rows)} images, {sum(row.labelled for row in rows)} of them with labels")


with job(snakemake.log[0]):
    main(snakemake)
