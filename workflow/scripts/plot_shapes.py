from sketchscope.jobs import job


def main(snakemake):
    import pandas as pd
    from sketchscope import figures

    figure = figures.plot_shapes(*(pd.read_csv(snakemake.input[name]) for name in ("cells", "images", "comparison")))
    figures.save(figure, snakemake.output[0])


with job(snakemake.log[0]):
    main(snakemake)
