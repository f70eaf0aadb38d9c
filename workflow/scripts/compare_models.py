from sketchscope.run.job import job


def main(snakemake):
    import pandas as pd
    from sketchscope import TRAINED
    from sketchscope.evaluation.comparison import compare_models
    from sketchscope.io.atomic import atomic_path

    trained, baseline = (
        pd.read_csv(path, dtype={"image": str}) for path in (snakemake.input.trained, snakemake.input.baseline)
    )
    comparison = compare_models(
        trained,
        baseline,
        organism=snakemake.wildcards.organism,
        model_a=TRAINED,
        model_b=snakemake.params.baseline,
        margin=snakemake.params.margin,
        seed=snakemake.params.seed,
    )
    print(comparison.T.to_string(header=False))
    with atomic_path(snakemake.output[0]) as temporary:
        comparison.to_csv(temporary, index=False)


with job(snakemake.log[0]):
    main(snakemake)
