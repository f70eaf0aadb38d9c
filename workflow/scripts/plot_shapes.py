"""Draw the distributions of number, size, shape and spacing of synthetic and real cells."""

from sketchscope.run.job import job


def main(snakemake):
    import pandas as pd
    from sketchscope.report import charts, style

    figure = charts.plot_shapes(*(pd.read_csv(snakemake.input[name]) for name in ("cells", "images", "comparison")))
    style.save(figure, snakemake.output[0])


with job(snakemake.log[0]):
    main(snakemake)
