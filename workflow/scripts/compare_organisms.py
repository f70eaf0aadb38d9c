"""Gather the comparisons of all organisms and correct their p-values for their number."""

from sketchscope.run.job import job


def main(snakemake):
    import pandas as pd
    from sketchscope.evaluation.comparison import compare_organisms
    from sketchscope.io.atomic import atomic_path

    table = compare_organisms([pd.read_csv(path) for path in snakemake.input])
    for organism, sentence in zip(table["organism"], table["sentence"], strict=True):
        print(f"{organism}: {sentence}")
    with atomic_path(snakemake.output[0]) as temporary:
        table.to_csv(temporary, index=False)


with job(snakemake.log[0]):
    main(snakemake)
