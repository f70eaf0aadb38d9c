"""Fetch the weights of one published model and record their sha256, or why they could not be fetched."""

from sketchscope.run.job import job


def main(snakemake):
    from sketchscope.fetch.datasets import fetch_weights

    params = snakemake.params
    fetch_weights(params.weights, snakemake.output[0], required=params.required, mirror=params.mirror)


with job(snakemake.log[0]):
    main(snakemake)
