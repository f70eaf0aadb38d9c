"""Train Cellpose from random weights on the synthetic images and their masks alone."""

from sketchscope.run.job import job


def main(snakemake, device):
    import pandas as pd
    import torch
    from sketchscope.evaluation import audit
    from sketchscope.images import manifest
    from sketchscope.io.atomic import atomic_path
    from sketchscope.io.images import pair_images, read_image
    from sketchscope.labels import drop_labels
    from sketchscope.segmentation import cellpose
    from sketchscope.streams import stream_key, stream_seed

    inputs, params = snakemake.input, snakemake.params
    voxel_size = manifest.read_manifest(inputs.manifest)[0].voxel_size
    torch.set_num_threads(snakemake.threads)
    lost = audit.read_lost(inputs.lost)
    pairs = (
        (read_image(path), drop_labels(read_image(mask), lost.get(volume, ())))
        for volume, path, mask in pair_images(inputs.synthetic, inputs.masks)
    )
    images, labels = cellpose.make_training_planes(pairs, voxel_size, params.cell_diameter, stitched=params.stitched)
    losses = cellpose.train(
        snakemake.output.model,
        images,
        labels,
        cellpose.Training(**params.settings),
        pixel_diameter=params.cell_diameter / voxel_size[-1],
        seed=stream_seed(stream_key(params.seed, snakemake.wildcards.organism, "cellpose")),
        device=device,
    )
    with atomic_path(snakemake.output.losses) as temporary:
        pd.DataFrame({"epoch": range(1, len(losses) + 1), "loss": losses}).to_csv(temporary, index=False)


device, gpus, seed = snakemake.resources.device, snakemake.resources.get("gpu", 0), snakemake.params.seed
with job(snakemake.log[0], device=device, gpus=gpus, seed=seed) as device:
    main(snakemake, device)
