"""Measure how each cell of the reference labels shows in its real image."""

from sketchscope.run.job import job


def main(snakemake):
    import pandas as pd
    from sketchscope.evaluation.audit import AUDIT_COLUMNS, audit_cells
    from sketchscope.images import manifest
    from sketchscope.io.atomic import atomic_path
    from sketchscope.stains import STAINS

    inputs, params = snakemake.input, snakemake.params
    options = {"touching": STAINS[params.stain].touching, "min_contrast": params.min_contrast}
    tables = [pd.DataFrame(columns=["image", *AUDIT_COLUMNS])]
    for row in manifest.select_held_out(manifest.read_manifest(inputs.manifest)):
        references = list(manifest.load_references(row, inputs.labels))
        image = manifest.load_normalised(row, inputs.images) if references else None
        for labels, plane in references:
            part = image if plane is None else image[plane]
            table = audit_cells(part, labels, row.voxel_size[-labels.ndim :], **options)
            table.insert(0, "image", row.image)
            tables.append(table)
            print(f"{row.image}: {table['lost'].sum()} of {len(table)} cells do not show")
    with atomic_path(snakemake.output.cells) as temporary:
        pd.concat(tables[1:] or tables).to_csv(temporary, index=False)


with job(snakemake.log[0]):
    main(snakemake)
