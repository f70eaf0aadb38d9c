"""Draw how far the trained model is from each baseline, and the verdicts."""

from sketchscope.run.job import job


def main(snakemake):
    import pandas as pd
    from sketchscope.report import charts, style

    style.save(charts.plot_verdicts(pd.read_csv(snakemake.input[0])), snakemake.output[0])


with job(snakemake.log[0]):
    main(snakemake)
