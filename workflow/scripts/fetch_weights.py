"""Fetch the weights of one published model and record their sha256 beside them."""

from sketchscope.run.job import job


def main(snakemake):
    from sketchscope.fetch.datasets import fetch_weights

    params = snakemake.params
    fetch_weights(params.weights, snakemake.output[0], mirror=params.get("mirror"))


with job(snakemake.log[0]):
    main(snakemake)
