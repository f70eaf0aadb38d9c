from sketchscope.run.job import job


def main(snakemake, device):
    import torch
    from sketchscope.images import manifest
    from sketchscope.io.atomic import atomic_folder
    from sketchscope.io.images import write_image
    from sketchscope.segmentation import cellpose

    chosen = {"train": manifest.training_rows, "test": manifest.held_out_rows}[snakemake.params.split]
    rows = chosen(manifest.read_manifest(snakemake.input.manifest))
    torch.set_num_threads(snakemake.threads)
    segmenter = cellpose.Segmenter(
        snakemake.input.model,
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
