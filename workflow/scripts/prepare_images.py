from sketchscope.run.job import job


def main(snakemake):
    from sketchscope.images.prepare import prepare, read_dataset

    params = snakemake.params
    dataset = snakemake.input.get("dataset")
    if dataset:
        source = read_dataset(dataset)
    else:
        source = {"images": params.images, "labels": params.labels, "planes": None}
        source |= {"axes": "auto", "voxel_size": None, "background_label": 0}
    rows = prepare(
        source["images"],
        snakemake.output.images,
        snakemake.output.labels,
        snakemake.output.manifest,
        labels=source["labels"],
        planes=source["planes"],
        background_label=source["background_label"],
        dimensions=params.dimensions,
        axes=source["axes"] if params.axes == "auto" else params.axes,
        voxel_size=params.voxel_size or source["voxel_size"],
        train_images=params.train_images,
        test_images=params.test_images,
        percentiles=params.percentiles,
        gamma=params.gamma,
        min_shape=params.min_shape,
    )
    print(f"{len(rows)} images, {sum(row.labelled for row in rows)} of them with labels")


with job(snakemake.log[0]):
    main(snakemake)
