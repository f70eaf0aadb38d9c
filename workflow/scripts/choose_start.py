"""Choose the start and the blur by their scores."""

from sketchscope.run.job import job


def main(snakemake):
    import numpy as np
    import pandas as pd
    from sketchscope.config.auto import AUTO
    from sketchscope.evaluation import start_choice
    from sketchscope.io.atomic import write_json

    params = snakemake.params
    set_already = {name: params[name] for name in ("t_start", "sigma") if params[name] != AUTO}
    with np.load(snakemake.input.draws) as file:
        draws = start_choice.Draws(**file)
    scores, limits = pd.read_csv(snakemake.input.scores), start_choice.Limits(**params.limits)
    choice = start_choice.choose_start(scores, draws, limits, **set_already)
    write_json(snakemake.output.choice, choice)
    print(start_choice.tell_choice(choice))


with job(snakemake.log[0]):
    main(snakemake)
