from sketchscope.jobs import job

EXAMPLES = 3
LARGEST = 320  # pixels of a panel along each side


def main(snakemake):
    import numpy as np
    from sketchscope import cells, figures, files, manifest

    rows = manifest.training_rows(manifest.read_manifest(snakemake.input.manifest))
    low, high = manifest.typical_limits(rows)

    def volume(folder, name):
        image = files.read_image(files.image_files(folder)[name])
        return image.reshape((1,) * (len(rows[0].shape) - image.ndim) + image.shape)

    def pair(row, name):
        real = manifest.load_image(row, snakemake.input.images)
        folders = (snakemake.input.sketches, snakemake.input.synthetic, snakemake.input.masks)
        sketch, synthetic, mask = (volume(folder, name) for folder in folders)
        size = np.minimum(np.minimum(real.shape, synthetic.shape), LARGEST)
        real = manifest.normalise(real[figures.crop_typical(real, size)], low, high)
        window = figures.crop_typical(synthetic, size)
        synthetic = manifest.normalise(synthetic[window], low, high)
        sketch = manifest.denormalise(sketch[window], low, high, np.float32, row.gamma)
        return figures.Pair(real, manifest.normalise(sketch, low, high), synthetic, mask[window])

    names = cells.spread_out(list(files.image_files(snakemake.input.synthetic)), EXAMPLES)
    chosen = [rows[index] for index in np.linspace(0, len(rows) - 1, len(names)).astype(int)]
    pairs = [pair(row, name) for row, name in zip(chosen, names, strict=True)]
    figures.save(figures.plot_pairs(pairs, rows[0].voxel_size), snakemake.output[0])


with job(snakemake.log[0]):
    main(snakemake)
