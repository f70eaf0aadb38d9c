from sketchscope.run.job import job


def main(snakemake):
    import pandas as pd
    from sketchscope.report import charts, style

    tables = {
        "trained on synthetic images": snakemake.input.trained,
        f"baseline: {snakemake.params.baseline}": snakemake.input.baseline,
    }
    ious = {name: pd.read_csv(path)["iou"].to_numpy(float) for name, path in tables.items()}
    style.save(charts.plot_iou(ious), snakemake.output[0])


with job(snakemake.log[0]):
    main(snakemake)
