"""Segment test or training images with a Cellpose model."""

from sketchscope.run.job import job


def main(snakemake, device):
    import torch
    from sketchscope.evaluation.availability import write_reason
    from sketchscope.fetch.datasets import fetch_error, find_weights
    from sketchscope.images import manifest
    from sketchscope.io.atomic import atomic_folder
    from sketchscope.io.images import write_image
    from sketchscope.segmentation import cellpose

    inputs, params = snakemake.input, snakemake.params
    record = inputs.get("weights")
    reason = fetch_error(record) if record else None
    if reason and params.split == "test":  # only a baseline is missing
        write_reason(snakemake.output.predictions, reason)
        print(f"nothing is segmented: {reason}")
        return
    choose = {"train": manifest.select_training, "test": manifest.select_held_out}
    rows = choose[params.split](manifest.read_manifest(inputs.manifest))
    torch.set_num_threads(snakemake.threads)
    segmenter = cellpose.Segmenter(
        find_weights(record) if record else inputs.model,
        rows[0].voxel_size,
        params.cell_diameter,
        cellpose.Thresholds(**params.settings),
        device=device,
        diam_mean=params.diam_mean,
    )
    with atomic_folder(snakemake.output.predictions) as folder:
        for row in rows:
            labels = segmenter.segment(manifest.load_image(row, inputs.images))
            write_image(folder / f"{row.image}.ome.tif", labels, row.voxel_size)
            print(f"{row.image}: {labels.max()} cells")


device, gpus, seed = snakemake.resources.device, snakemake.resources.get("gpu", 0), snakemake.params.seed
with job(snakemake.log[0], device=device, gpus=gpus, seed=seed) as device:
    main(snakemake, device)
