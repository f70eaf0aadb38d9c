from sketchscope.jobs import job


def main(snakemake):
    import pandas as pd
    from sketchscope import files, statistics

    table = statistics.compare_organisms([pd.read_csv(path) for path in snakemake.input])
    for organism, sentence in zip(table["organism"], table["sentence"], strict=True):
        print(f"{organism}: {sentence}")
    with files.atomic_path(snakemake.output[0]) as temporary:
        table.to_csv(temporary, index=False)


with job(snakemake.log[0]):
    main(snakemake)
