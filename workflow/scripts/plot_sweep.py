from sketchscope.jobs import job


def main(snakemake):
    import numpy as np
    import pandas as pd
    from sketchscope import figures, files, manifest

    voxel_size = manifest.read_manifest(snakemake.input.manifest)[0].voxel_size
    choice = files.read_json(snakemake.input.choice)
    with np.load(snakemake.input.examples) as examples:
        figure = figures.plot_sweep(pd.read_csv(snakemake.input.scores), choice, examples, voxel_size)
    figures.save(figure, snakemake.output[0])


with job(snakemake.log[0]):
    main(snakemake)
