from sketchscope.jobs import job


def main(snakemake):
    import pandas as pd
    from sketchscope import files, start

    params = snakemake.params
    choice = start.choose_start(
        pd.read_csv(snakemake.input.scores), **params.limits, t_start=params.t_start, sigma=params.sigma
    )
    files.write_json(snakemake.output.choice, choice)
    print(f"t_start {choice['t_start']}, sigma {choice['sigma']:g}")


with job(snakemake.log[0]):
    main(snakemake)
