from sketchscope.run.job import job


def main(snakemake):
    import pandas as pd
    from sketchscope.evaluation import start_sweep
    from sketchscope.io.atomic import write_json

    params = snakemake.params
    choice = start_sweep.choose_start(
        pd.read_csv(snakemake.input.scores), **params.limits, t_start=params.t_start, sigma=params.sigma
    )
    write_json(snakemake.output.choice, choice)
    print(f"t_start {choice['t_start']}, sigma {choice['sigma']:g}")


with job(snakemake.log[0]):
    main(snakemake)
