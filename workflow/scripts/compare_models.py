"""Compare the trained model with each baseline on the same images, and say what holds."""

from sketchscope.run.job import job


def main(snakemake):
    import pandas as pd
    from sketchscope.evaluation.availability import split_available
    from sketchscope.evaluation.comparison import compare_baselines
    from sketchscope.evaluation.units import Segmented
    from sketchscope.images.manifest import read_manifest
    from sketchscope.io.atomic import atomic_path, read_json
    from sketchscope.streams import stream_key, stream_seed

    inputs, params = snakemake.input, snakemake.params
    available, _ = split_available(dict(zip(params.models, map(read_json, inputs.scores), strict=True)))
    paths = dict(zip(params.models, inputs.ious, strict=True))
    models = {
        model: Segmented(pd.read_csv(paths[model], dtype={"image": str}), scores["per_image"])
        for model, scores in available.items()
    }
    organism = snakemake.wildcards.organism
    groups = {row.image: row.unit for row in read_manifest(inputs.manifest)}
    seed = stream_seed(stream_key(params.seed, organism, "bootstrap"))
    comparison = compare_baselines(models, groups, organism=organism, margin=params.margin, seed=seed)
    print(comparison.T.to_string(header=False) if len(comparison) else "no baseline is available")
    with atomic_path(snakemake.output[0]) as temporary:
        comparison.to_csv(temporary, index=False)


with job(snakemake.log[0]):
    main(snakemake)
