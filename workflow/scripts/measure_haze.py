"""Measure the background of typical training images outside the cells."""

from sketchscope.run.job import job


def main(snakemake):
    from sketchscope.config.auto import fill_auto
    from sketchscope.images import manifest
    from sketchscope.sketches.from_images import add_missed, sketch_flat
    from sketchscope.sketches.haze import measure_haze, write_haze
    from sketchscope.stains import STAINS

    inputs, params = snakemake.input, snakemake.params
    stain = STAINS[params.stain]
    settings = stain.sketch(**stain.plain, **fill_auto(params.settings, [inputs.depth]))
    measured = {}
    for row in manifest.select_typical(manifest.read_manifest(inputs.manifest)):
        image = manifest.load_normalised(row, inputs.images).clip(-1, 1)
        labels = manifest.load_image(row, inputs.rough)
        cells = labels if stain.touching else add_missed(labels, image, row.voxel_size, params.cell_diameter)
        flat = sketch_flat(image, cells, row.voxel_size, stain.draw, settings)
        measured[row.image] = haze = measure_haze(image, *flat, row.voxel_size, params.cell_diameter)
        print(f"{row.image}: standard deviation of slow changes {haze.changes.std():.4f}, glow {haze.glow:.4f}")
    write_haze(snakemake.output.haze, measured)


with job(snakemake.log[0]):
    main(snakemake)
