"""Check the images of one organism, and write them as one OME-TIFF per frame with a manifest and the test labels."""

from sketchscope.run.job import job


def main(snakemake):
    from sketchscope.images.independence import examine_groups
    from sketchscope.images.label_fit import examine_labels
    from sketchscope.images.prepare import Preparation, Target, prepare_images
    from sketchscope.images.raw_files import RawImages, read_dataset
    from sketchscope.io.atomic import write_json
    from sketchscope.stains import STAINS

    params, output = snakemake.params, snakemake.output
    if snakemake.input.get("dataset"):
        raw = read_dataset(snakemake.input.dataset)
        raw = raw._replace(
            axes=raw.axes if params.axes == "auto" else params.axes, voxel_size=params.voxel_size or raw.voxel_size
        )
    else:
        labels = params.labels and [params.labels.get(image) for image in params.images]
        raw = RawImages(params.images, params.axes, params.voxel_size, labels, labels_are=params.labels_are)
    limits = (params.percentiles, params.gamma, params.min_shape)
    rows = prepare_images(
        raw,
        Target(output.images, output.labels, output.manifest),
        params.dimensions,
        Preparation(params.train_images, params.test_images, *limits, params.cell_diameter, params.groups),
    )
    findings = examine_groups(rows, output.images)
    touching = STAINS[params.stain].touching
    findings["warnings"] += [
        *params.file_warnings,
        *examine_labels(rows, output.images, output.labels, touching=touching),
    ]
    write_json(output.groups, findings)
    labelled = sum(row.labelled for row in rows)
    print(f"{len(rows)} images in {findings['n_groups']} groups, {labelled} of them with labels")
    for warning in findings["warnings"]:
        print(f"warning: {warning}")
    for note in findings["notes"]:
        print(note)


with job(snakemake.log[0]):
    main(snakemake)
