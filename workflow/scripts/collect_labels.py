from sketchscope.run.job import job


def main(snakemake):
    from sketchscope.errors import InputError
    from sketchscope.images import manifest, raw_files
    from sketchscope.io.atomic import atomic_folder
    from sketchscope.io.images import write_image
    from sketchscope.labels import clean_labels
    from sketchscope.masks import label_sources
    from sketchscope.segmentation import classical

    params = snakemake.params
    rows = manifest.read_manifest(snakemake.input.manifest)
    if params.source == "files":
        segmented = label_sources.labels_of_files(snakemake.input.segmented, rows[0])
    elif params.source == "silver":
        dataset = raw_files.read_dataset(snakemake.input.dataset)
        segmented = label_sources.labels_of_training(dataset, rows, params.axes)
    elif params.source == "cellpose":
        train = manifest.training_rows(rows)
        segmented = ((row.image, manifest.load_image(row, snakemake.input.predicted)) for row in train)
    else:
        settings = {"stain": params.stain, "cell_diameter": params.cell_diameter, **params.classical}
        images = ((row.image, manifest.load_image(row, snakemake.input.images)) for row in manifest.training_rows(rows))
        settings["voxel_size"] = rows[0].voxel_size
        segmented = ((name, classical.segment(image, **settings)) for name, image in images)
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
