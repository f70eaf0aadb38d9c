from sketchscope.jobs import job


def main(snakemake, device):
    import torch
    from sketchscope import cellpose_model, files, manifest

    chosen = {"train": manifest.training_rows, "test": manifest.held_out_rows}[snakemake.params.split]
    rows = chosen(manifest.read_manifest(snakemake.input.manifest))
    torch.set_num_threads(snakemake.threads)
    segmenter = cellpose_model.Segmenter(
        snakemake.input.model,
        rows[0].voxel_size,
        snakemake.params.cell_diameter,
        device=device,
        diam_mean=snakemake.params.diam_mean,
        **snakemake.params.settings,
    )
    with files.atomic_folder(snakemake.output.predictions) as folder:
        for row in rows:
            labels = segmenter.segment(manifest.load_image(row, snakemake.input.images))
            files.write_image(folder / f"{row.image}.ome.tif", labels, row.voxel_size)
            print(f"{row.image}: {labels.max()} cells")


device, gpus, seed = snakemake.params.device, snakemake.resources.get("gpu", 0), snakemake.params.seed
with job(snakemake.log[0], device=device, gpus=gpus, seed=seed) as device:
    main(snakemake, device)
