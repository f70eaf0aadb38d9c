"""Fetch one published data set and describe it in dataset.json, which is written last."""

from sketchscope.run.job import job


def main(snakemake):
    from sketchscope.fetch.datasets import fetch_dataset

    params = snakemake.params
    fetch_dataset(params.dataset, params.name, snakemake.output[0], mirror=params.get("mirror"))


with job(snakemake.log[0]):
    main(snakemake)
