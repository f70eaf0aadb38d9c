"""Draw the scores of the sweep and examples of its images."""

from sketchscope.run.job import job


def main(snakemake):
    import numpy as np
    import pandas as pd
    from sketchscope.images import manifest
    from sketchscope.io.atomic import read_json
    from sketchscope.report import charts, style

    voxel_size = manifest.read_manifest(snakemake.input.manifest)[0].voxel_size
    choice = read_json(snakemake.input.choice)
    with np.load(snakemake.input.examples) as examples:
        figure = charts.plot_sweep(pd.read_csv(snakemake.input.scores), choice, examples, voxel_size)
    style.save(figure, snakemake.output[0])


with job(snakemake.log[0]):
    main(snakemake)
