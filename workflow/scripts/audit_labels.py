"""Measure how each annotated cell shows in its synthetic image, and what shows there without a label."""

from sketchscope.run.job import job


def main(snakemake):
    import pandas as pd
    from sketchscope.evaluation.audit import audit_pair
    from sketchscope.images import manifest
    from sketchscope.io.atomic import atomic_path
    from sketchscope.io.images import pair_images, read_image
    from sketchscope.stains import STAINS

    inputs, params = snakemake.input, snakemake.params
    rows = manifest.select_training(manifest.read_manifest(inputs.manifest))
    options = {"touching": STAINS[params.stain].touching, "min_contrast": params.min_contrast}
    tables, images = [], []
    for volume, path, mask in pair_images(inputs.synthetic, inputs.masks):
        image, labels = manifest.normalise_like(read_image(path), rows), read_image(mask)
        audit = audit_pair(image, labels, rows[0].voxel_size, **options)
        audit.cells.insert(0, "volume", volume)
        tables.append(audit.cells)
        images.append({"volume": volume} | audit.image)
        print(f"{volume}: {audit.cells['lost'].sum()} of {len(audit.cells)} cells lost; {audit.image}")
    for path, table in ((snakemake.output.cells, pd.concat(tables)), (snakemake.output.images, pd.DataFrame(images))):
        with atomic_path(path) as temporary:
            table.to_csv(temporary, index=False)


with job(snakemake.log[0]):
    main(snakemake)
