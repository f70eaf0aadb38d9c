from sketchscope.run.job import job


def main(snakemake, device):
    import torch
    from sketchscope.evaluation.availability import write_reason
    from sketchscope.fetch.datasets import fetch_error, find_weights
    from sketchscope.images import manifest
    from sketchscope.io.atomic import atomic_folder
    from sketchscope.io.images import write_image
    from sketchscope.segmentation import cellpose

    record = snakemake.input.get("weights")
    reason = fetch_error(record) if record else None
    if reason and snakemake.params.split == "test":  # only a baseline is missing
        write_reason(snakemake.output.predictions, reason)
        print(f"nothing is segmented: {reason}")
        return
    chosen = {"train": manifest.training_rows, "test": manifest.held_out_rows}[snakemake.params.split]
    rows = chosen(manifest.read_manifest(snakemake.input.manifest))
    torch.set_num_threads(snakemake.threads)
    segmenter = cellpose.Segmenter(
        find_weights(record) if record else snakemake.input.model,
        rows[0].voxel_size,
        snakemake.params.cell_diameter,
        device=device,
        diam_mean=snakemake.params.diam_mean,
        **snakemake.params.settings,
    )
    with atomic_folder(snakemake.output.predictions) as folder:
        for row in rows:
            labels = segmenter.segment(manifest.load_image(row, snakemake.input.images))
            write_image(folder / f"{row.image}.ome.tif", labels, row.voxel_size)
            print(f"{row.image}: {labels.max()} cells")


device, gpus, seed = snakemake.params.device, snakemake.resources.get("gpu", 0), snakemake.params.seed
with job(snakemake.log[0], device=device, gpus=gpus, seed=seed) as device:
    main(snakemake, device)
