"""Compare the trained model with each baseline on the same cells, and say what holds."""

from sketchscope.run.job import job


def main(snakemake):
    import pandas as pd
    from sketchscope.evaluation.availability import split_available
    from sketchscope.evaluation.comparison import compare_baselines
    from sketchscope.io.atomic import atomic_path, read_json
    from sketchscope.streams import stream_key, stream_seed

    inputs, params = snakemake.input, snakemake.params
    available, _ = split_available(dict(zip(params.models, map(read_json, inputs.scores), strict=True)))
    tables = {
        model: pd.read_csv(path, dtype={"image": str})
        for model, path in zip(params.models, inputs.ious, strict=True)
        if model in available
    }
    organism = snakemake.wildcards.organism
    seed = stream_seed(stream_key(params.seed, organism, "bootstrap"))
    comparison = compare_baselines(tables, organism=organism, margin=params.margin, seed=seed)
    print(comparison.T.to_string(header=False) if len(comparison) else "no baseline is available")
    with atomic_path(snakemake.output[0]) as temporary:
        comparison.to_csv(temporary, index=False)


with job(snakemake.log[0]):
    main(snakemake)
