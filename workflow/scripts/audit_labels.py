"""Measure how each annotated cell shows in its synthetic image."""

from sketchscope.run.job import job


def main(snakemake):
    import pandas as pd
    from sketchscope.evaluation.audit import audit_cells
    from sketchscope.images import manifest
    from sketchscope.io.atomic import atomic_path
    from sketchscope.io.images import pair_images, read_image
    from sketchscope.stains import STAINS

    inputs, params = snakemake.input, snakemake.params
    rows = manifest.select_training(manifest.read_manifest(inputs.manifest))
    options = {"touching": STAINS[params.stain].touching, "min_contrast": params.min_contrast}
    tables = []
    for volume, path, mask in pair_images(inputs.synthetic, inputs.masks):
        image, labels = manifest.normalise_like(read_image(path), rows), read_image(mask)
        table = audit_cells(image, labels, rows[0].voxel_size, **options)
        table.insert(0, "volume", volume)
        tables.append(table)
        print(f"{volume}: {table['lost'].sum()} of {len(table)} cells lost")
    with atomic_path(snakemake.output.cells) as temporary:
        pd.concat(tables).to_csv(temporary, index=False)


with job(snakemake.log[0]):
    main(snakemake)
