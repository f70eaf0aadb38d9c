from sketchscope.run.job import job

MOST_IMAGES = 12  # enough cells for their statistics


def main(snakemake):
    from sketchscope.images import manifest
    from sketchscope.io.atomic import write_json
    from sketchscope.masks import shapes
    from sketchscope.segmentation import classical
    from sketchscope.sequences import spread_out

    params = snakemake.params
    rows = manifest.training_rows(manifest.read_manifest(snakemake.input.manifest))
    populations = []
    for row in spread_out(rows, MOST_IMAGES):
        labels = classical.segment(
            manifest.load_image(row, snakemake.input.images),
            stain=params.stain,
            voxel_size=row.voxel_size,
            cell_diameter=params.cell_diameter,
            **params.settings,
        )
        populations.append(shapes.measure_population(labels, row.voxel_size, params.cell_diameter / 2))
        print(f"{row.image}: {len(populations[-1].cells)} cells, density {populations[-1].density:.4g}")
    fit = shapes.fit_simulation(populations, params.stain)
    n_cells = sum(len(population.cells) for population in populations)
    write_json(snakemake.output.fit, {"images": len(populations), "cells": n_cells, "simulation": fit})
    print(fit)


with job(snakemake.log[0]):
    main(snakemake)
