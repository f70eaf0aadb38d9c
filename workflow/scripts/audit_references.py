"""Measure how each cell of the reference labels shows in its real image, and what shows there without a label."""

from sketchscope.run.job import job


def main(snakemake):
    import pandas as pd
    from sketchscope.evaluation.audit import AUDIT_COLUMNS, IMAGE_COLUMNS, audit_pair
    from sketchscope.images import manifest
    from sketchscope.io.atomic import atomic_path
    from sketchscope.stains import STAINS

    inputs, params = snakemake.input, snakemake.params
    options = {"touching": STAINS[params.stain].touching, "min_contrast": params.min_contrast, "border": params.border}
    tables, images = [pd.DataFrame(columns=["image", *AUDIT_COLUMNS])], []
    for row in manifest.select_held_out(manifest.read_manifest(inputs.manifest)):
        references = list(manifest.load_references(row, inputs.labels))
        image = manifest.load_normalised(row, inputs.images) if references else None
        for labels, plane in references:
            part = image if plane is None else image[plane]
            audit = audit_pair(part, labels, row.voxel_size[-labels.ndim :], **options)
            audit.cells.insert(0, "image", row.image)
            tables.append(audit.cells)
            images.append({"image": row.image} | audit.image)
            print(f"{row.image}: {audit.cells['lost'].sum()} of {len(audit.cells)} cells do not show; {audit.image}")
    images_table = pd.DataFrame(images, columns=["image", *IMAGE_COLUMNS])
    for path, table in (
        (snakemake.output.cells, pd.concat(tables[1:] or tables)),
        (snakemake.output.images, images_table),
    ):
        with atomic_path(path) as temporary:
            table.to_csv(temporary, index=False)


with job(snakemake.log[0]):
    main(snakemake)
