from sketchscope.run.job import job


def main(snakemake):
    import numpy as np
    from sketchscope.config.auto import fill_auto
    from sketchscope.diffusion.noise import stable_key
    from sketchscope.evaluation import audit
    from sketchscope.images.manifest import read_manifest
    from sketchscope.io.atomic import atomic_folder
    from sketchscope.io.images import image_files, read_image, write_image
    from sketchscope.sketches import depth, draw

    params = snakemake.params
    voxel_size = read_manifest(snakemake.input.manifest)[0].voxel_size
    settings = fill_auto(params.settings, [*snakemake.input.choice, snakemake.input.depth])
    measured = depth.read_measured(snakemake.input.cells, settings["decay_um"])
    print(f"Drawn with {settings}")
    lost = audit.read_lost(filter(None, [snakemake.input.get("audit")]))
    with atomic_folder(snakemake.output.sketches) as folder:
        for volume, path in image_files(snakemake.input.masks).items():
            seed = [params.seed, stable_key(snakemake.wildcards.organism), params.volumes[volume]]
            drawn = draw.draw(
                read_image(path),
                voxel_size,
                stain=params.stain,
                measured=measured.grey,
                measured_background=measured.background,
                lost=lost.get(volume, ()),
                rng=np.random.default_rng(seed),
                **settings,
            )
            write_image(folder / path.name, drawn, voxel_size)


with job(snakemake.log[0], seed=snakemake.params.seed):
    main(snakemake)
