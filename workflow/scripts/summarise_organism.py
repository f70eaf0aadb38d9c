from sketchscope.run.job import job


def main(snakemake):
    import pandas as pd
    from sketchscope.images.manifest import read_manifest
    from sketchscope.io.atomic import read_json, write_json
    from sketchscope.report import summary
    from sketchscope.run import cost

    trained, baseline = map(read_json, (snakemake.input.trained, snakemake.input.baseline))
    result = summary.summarise(
        trained,
        baseline,
        organism=snakemake.wildcards.organism,
        replicates=list(map(read_json, snakemake.input.replicates)),
        scale=snakemake.params.scale,
        baseline_name=snakemake.params.baseline,
        comparison=pd.read_csv(snakemake.input.statistics).iloc[0],
        fidelity=read_json(snakemake.input.choice),
        audit=pd.read_csv(snakemake.input.audit, index_col="labels"),
        shapes=pd.read_csv(snakemake.input.shapes, index_col="measure"),
        costs=cost.rule_costs(snakemake.params.benchmarks, snakemake.params.logs),
        held_out=all(row.split != "both" for row in read_manifest(snakemake.input.manifest)),
    )
    write_json(snakemake.output[0], result)
    print(summary.format_summary(result))


with job(snakemake.log[0]):
    main(snakemake)
