"""Fit the numbers of the simulation to the roughly segmented training images."""

from sketchscope.run.job import job


def main(snakemake):
    from sketchscope.images import manifest
    from sketchscope.io.atomic import write_json
    from sketchscope.masks import shapes
    from sketchscope.masks.simulators import SIMULATORS

    inputs, params = snakemake.input, snakemake.params
    populations = []
    for row in manifest.select_typical(manifest.read_manifest(inputs.manifest)):
        labels = manifest.load_image(row, inputs.rough)
        populations.append(shapes.measure_population(labels, row.voxel_size, params.cell_diameter / 2))
        print(f"{row.image}: {len(populations[-1].cells)} cells, density {populations[-1].density:.4g}")
    fit = SIMULATORS[params.simulator].fit(populations)
    n_cells = sum(len(population.cells) for population in populations)
    write_json(snakemake.output.fit, {"images": len(populations), "cells": n_cells, "simulation": fit})
    print(fit)


with job(snakemake.log[0]):
    main(snakemake)
