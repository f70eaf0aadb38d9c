"""Gather scores, comparisons, cost and versions of one organism in one small JSON file."""

from sketchscope.run.job import job


def main(snakemake):
    import pandas as pd
    from sketchscope.evaluation.availability import split_available
    from sketchscope.images.manifest import read_manifest
    from sketchscope.io.atomic import read_json, write_json
    from sketchscope.masks.census import summarise_census
    from sketchscope.report.summary import Findings, Scored, format_summary, read_training, summarise
    from sketchscope.run import cost

    inputs, params = snakemake.input, snakemake.params
    available, reasons = split_available(dict(zip(params.models, map(read_json, inputs.scores), strict=True)))
    scored = Scored(available, list(map(read_json, inputs.replicates)), reasons)
    rows = read_manifest(inputs.manifest)
    census = [volume for path in inputs.census for volume in read_json(path).values()]
    findings = Findings(
        comparisons=pd.read_csv(inputs.statistics),
        fidelity=read_json(inputs.choice),
        audit=pd.read_csv(inputs.audit, index_col="labels"),
        shapes=pd.read_csv(inputs.shapes, index_col="measure"),
        costs=cost.sum_costs(params.benchmarks, params.logs),
        held_out=all(row.split != "both" for row in rows),
        training=read_training(inputs.get("training"), params.checkpoint),
        groups=read_json(inputs.groups),
        masks=summarise_census(census, len(rows[0].voxel_size)),
    )
    result = summarise(snakemake.wildcards.organism, params.scale, scored, findings)
    write_json(snakemake.output[0], result)
    print(format_summary(result))


with job(snakemake.log[0]):
    main(snakemake)
