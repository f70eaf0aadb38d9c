from sketchscope.run.job import job


def main(snakemake, device):
    import pandas as pd
    import torch
    from sketchscope.evaluation import audit
    from sketchscope.images import manifest
    from sketchscope.io.atomic import atomic_path
    from sketchscope.io.images import pair_images, read_image
    from sketchscope.labels import without
    from sketchscope.segmentation import cellpose

    voxel_size = manifest.read_manifest(snakemake.input.manifest)[0].voxel_size
    cell_diameter = snakemake.params.cell_diameter
    torch.set_num_threads(snakemake.threads)
    lost = audit.read_lost(snakemake.input.lost)
    pairs = (
        (read_image(path), without(read_image(mask), lost.get(volume, ())))
        for volume, path, mask in pair_images(snakemake.input.synthetic, snakemake.input.masks)
    )
    stitched = snakemake.params.stitched
    images, labels = cellpose.training_planes(pairs, voxel_size, cell_diameter, stitched=stitched)
    losses = cellpose.train(
        snakemake.output.model,
        images,
        labels,
        pixel_diameter=cell_diameter / voxel_size[-1],
        seed=snakemake.params.seed,
        device=device,
        **snakemake.params.settings,
    )
    with atomic_path(snakemake.output.losses) as temporary:
        pd.DataFrame({"epoch": range(1, len(losses) + 1), "loss": losses}).to_csv(temporary, index=False)


device, gpus, seed = snakemake.params.device, snakemake.resources.get("gpu", 0), snakemake.params.seed
with job(snakemake.log[0], device=device, gpus=gpus, seed=seed) as device:
    main(snakemake, device)
