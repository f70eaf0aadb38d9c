from sketchscope.jobs import job


def main(snakemake):
    from sketchscope import files, layouts, manifest, prepare, rough, segmentations
    from sketchscope.errors import InputError

    params = snakemake.params
    rows = manifest.read_manifest(snakemake.input.manifest)
    if params.source == "files":
        segmented = segmentations.labels_of_files(snakemake.input.segmented, rows[0])
    elif params.source == "silver":
        dataset = prepare.read_dataset(snakemake.input.dataset)
        segmented = segmentations.labels_of_training(dataset, rows, params.axes)
    elif params.source == "cellpose":
        train = manifest.training_rows(rows)
        segmented = ((row.image, manifest.load_image(row, snakemake.input.predicted)) for row in train)
    else:
        settings = {"stain": params.stain, "cell_diameter": params.cell_diameter, **params.classical}
        images = ((row.image, manifest.load_image(row, snakemake.input.images)) for row in manifest.training_rows(rows))
        segmented = ((name, rough.segment(image, voxel_size=rows[0].voxel_size, **settings)) for name, image in images)
    with files.atomic_folder(snakemake.output.labels) as folder:
        for name, labels in segmented:
            cleaned = layouts.clean_labels(labels, params.min_size)
            print(f"{name}: {cleaned.max()} cells")
            if cleaned.any():
                files.write_image(folder / f"{name}.ome.tif", cleaned, rows[0].voxel_size)
        if not any(folder.iterdir()):
            raise InputError(f"masks.source: {params.source} gave no cell to make masks of; see {snakemake.log[0]}")


with job(snakemake.log[0]):
    main(snakemake)
