"""Choose the start and the blur by their scores."""

from sketchscope.run.job import job


def main(snakemake):
    import pandas as pd
    from sketchscope.config.auto import AUTO
    from sketchscope.evaluation import start_sweep
    from sketchscope.io.atomic import write_json

    params = snakemake.params
    set_already = {name: params[name] for name in ("t_start", "sigma") if params[name] != AUTO}
    choice = start_sweep.choose_start(pd.read_csv(snakemake.input.scores), **params.limits, **set_already)
    write_json(snakemake.output.choice, choice)
    print(f"t_start {choice['t_start']}, sigma {choice['sigma']:g}")


with job(snakemake.log[0]):
    main(snakemake)
