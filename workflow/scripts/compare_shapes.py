"""Measure the cells in masks and reference labels, and compare their number, size, shape and spacing."""

from sketchscope.run.job import job


def main(snakemake):
    import pandas as pd
    from sketchscope.images import manifest
    from sketchscope.io.atomic import atomic_path
    from sketchscope.io.images import list_image_files, read_image
    from sketchscope.masks import shapes

    inputs, outputs, params = snakemake.input, snakemake.output, snakemake.params
    rows = manifest.read_manifest(inputs.manifest)
    voxel_size, margin = rows[0].voxel_size, params.cell_diameter / 2
    whole = max(margin, params.border * voxel_size[-1])  # references may lack the cells beyond
    populations = {
        "synthetic": {
            volume: shapes.measure_population(read_image(path), voxel_size, margin)
            for folder in inputs.masks
            for volume, path in list_image_files(folder).items()
        },
        "real": {
            row.image: shapes.measure_population(labels, voxel_size, whole)
            for row in manifest.select_held_out(rows)
            for labels, plane in manifest.load_references(row, inputs.labels)
            if plane is None  # in single planes not all cells are labelled
        },
    }
    cells, images = shapes.tabulate_populations(populations)
    comparison = shapes.compare_shapes(cells, images, len(voxel_size))
    for path, table in ((outputs.cells, cells), (outputs.images, images), (outputs.comparison, comparison)):
        with atomic_path(path) as temporary:
            table.to_csv(temporary, index=False)
    with pd.option_context("display.width", 200, "display.max_columns", None):
        print(comparison)


with job(snakemake.log[0]):
    main(snakemake)
