from sketchscope.jobs import job


def main(snakemake):
    import pandas as pd
    from sketchscope import figures

    figures.save(figures.plot_verdicts(pd.read_csv(snakemake.input[0])), snakemake.output[0])


with job(snakemake.log[0]):
    main(snakemake)
