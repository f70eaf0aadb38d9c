"""Draw the loss of the diffusion model over its training."""

from sketchscope.run.job import job


def main(snakemake):
    import pandas as pd
    from sketchscope.report import charts, style

    table = pd.read_csv(snakemake.input.loss)
    columns = (table[column].to_numpy() for column in ("step", "loss", "seconds"))
    style.save(charts.plot_loss(*columns), snakemake.output[0])


with job(snakemake.log[0]):
    main(snakemake)
