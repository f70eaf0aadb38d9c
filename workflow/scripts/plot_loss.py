from sketchscope.jobs import job


def main(snakemake):
    import pandas as pd
    from sketchscope import figures

    table = pd.read_csv(snakemake.input.loss)
    columns = (table[column].to_numpy() for column in ("step", "loss", "seconds"))
    figures.save(figures.plot_loss(*columns), snakemake.output[0])


with job(snakemake.log[0]):
    main(snakemake)
