"""Collect the segmented images that masks are made from, each cleaned."""

from sketchscope.run.job import job


def main(snakemake):
    from sketchscope.errors import InputError
    from sketchscope.images import manifest, raw_files
    from sketchscope.io.atomic import atomic_folder
    from sketchscope.io.images import write_image
    from sketchscope.labels import clean_labels
    from sketchscope.masks import label_sources

    inputs, params = snakemake.input, snakemake.params
    rows = manifest.read_manifest(inputs.manifest)
    if params.source == "files":
        segmented = label_sources.read_label_files(params.files, rows[0], params.labels_are)
    elif params.source == "silver":
        segmented = label_sources.read_training_labels(raw_files.read_dataset(inputs.dataset), rows, params.axes)
    else:
        training = manifest.select_training(rows)
        segmented = ((row.image, manifest.load_image(row, inputs.segmented)) for row in training)
    with atomic_folder(snakemake.output.labels) as folder:
        for name, labels in segmented:
            cleaned = clean_labels(labels, params.min_size)
            print(f"{name}: {cleaned.max()} cells")
            if cleaned.any():
                write_image(folder / f"{name}.ome.tif", cleaned, rows[0].voxel_size)
        if not any(folder.iterdir()):
            raise InputError(f"masks.source: {params.source} gave no cell to make masks of; see {snakemake.log[0]}")


with job(snakemake.log[0]):
    main(snakemake)
