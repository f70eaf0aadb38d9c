"""Draw real images beside sketches, synthetic images and the outlines of their masks."""

from sketchscope.run.job import job

EXAMPLES = 3
LARGEST = 320  # pixels of a panel along each side


def main(snakemake):
    import numpy as np
    from sketchscope.images import manifest
    from sketchscope.images.intensity import denormalise, normalise
    from sketchscope.images.windows import crop_typical
    from sketchscope.io.images import list_image_files, read_image
    from sketchscope.report import pictures, style
    from sketchscope.sequences import spread_out

    rows = manifest.select_training(manifest.read_manifest(snakemake.input.manifest))
    low, high = manifest.find_typical_limits(rows)

    def volume(folder, name):
        image = read_image(list_image_files(folder)[name])
        return image.reshape((1,) * (len(rows[0].shape) - image.ndim) + image.shape)

    def pair(row, name):
        real = manifest.load_image(row, snakemake.input.images)
        folders = (snakemake.input.sketches, snakemake.input.synthetic, snakemake.input.masks)
        sketch, synthetic, mask = (volume(folder, name) for folder in folders)
        size = np.minimum(np.minimum(real.shape, synthetic.shape), LARGEST)
        real = normalise(real[crop_typical(real, size)], low, high)
        window = crop_typical(synthetic, size)
        synthetic = normalise(synthetic[window], low, high)
        sketch = denormalise(sketch[window], low, high, np.float32, row.gamma)
        return pictures.Pair(real, normalise(sketch, low, high), synthetic, mask[window])

    names = spread_out(list(list_image_files(snakemake.input.synthetic)), EXAMPLES)
    chosen = [rows[index] for index in np.linspace(0, len(rows) - 1, len(names)).astype(int)]
    pairs = [pair(row, name) for row, name in zip(chosen, names, strict=True)]
    style.save(pictures.plot_pairs(pairs, rows[0].voxel_size), snakemake.output[0])


with job(snakemake.log[0]):
    main(snakemake)
