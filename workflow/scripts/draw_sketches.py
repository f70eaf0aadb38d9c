"""Draw the masks of a batch as sketches: one grey value per cell or membrane, blurred."""

from sketchscope.run.job import job


def main(snakemake):
    import numpy as np
    from sketchscope.config import auto
    from sketchscope.evaluation.audit import read_lost
    from sketchscope.images.manifest import read_manifest
    from sketchscope.io.atomic import atomic_folder
    from sketchscope.io.images import list_image_files, read_image, write_image
    from sketchscope.sketches import depth, haze
    from sketchscope.stains import STAINS
    from sketchscope.streams import stream_key

    inputs, params = snakemake.input, snakemake.params
    voxel_size = read_manifest(inputs.manifest)[0].voxel_size
    stain = STAINS[params.stain]
    settings = stain.sketch(**auto.fill_auto(params.settings, [*inputs.choice, inputs.depth]))
    hazes = [found for path in inputs.get("haze", []) for found in haze.read_haze(path)]
    measured = depth.read_measured(inputs.cells, settings.decay_um)
    print(f"Drawn with {settings}")
    lost = read_lost(filter(None, [inputs.get("audit")]))
    organism = snakemake.wildcards.organism
    keys = (stream_key(params.seed, organism, "sketches"), stream_key(params.seed, organism, "haze"))
    with atomic_folder(snakemake.output.sketches) as folder:
        for volume, path in list_image_files(inputs.masks).items():
            rng, own_rng = (np.random.default_rng([*key, params.volumes[volume]]) for key in keys)
            labels, faint = read_image(path), lost.get(volume, ())
            shading = haze.draw_shading(hazes, labels.shape, voxel_size, own_rng) if hazes else None
            drawn = stain.draw(labels, voxel_size, settings, measured, rng, lost=faint, shading=shading)
            write_image(folder / path.name, drawn, voxel_size)


with job(snakemake.log[0], seed=snakemake.params.seed):
    main(snakemake)
