"""Draw the IoU of every reference cell under every model."""

from sketchscope.run.job import job


def main(snakemake):
    import pandas as pd
    from sketchscope.evaluation.availability import split_available
    from sketchscope.io.atomic import read_json
    from sketchscope.report import charts, style

    inputs, models = snakemake.input, snakemake.params.models
    available, _ = split_available(dict(zip(models, map(read_json, inputs.scores), strict=True)))
    paths = dict(zip(models, inputs.ious, strict=True))
    ious = {model: pd.read_csv(paths[model])["iou"].to_numpy(float) for model in available}
    style.save(charts.plot_iou(ious), snakemake.output[0])


with job(snakemake.log[0]):
    main(snakemake)
