"""Draw a mask, a sketch and a synthetic image of every organism."""

from sketchscope.run.job import job

LARGEST = 400  # pixels of a panel along each side


def main(snakemake):
    from sketchscope.images import manifest
    from sketchscope.images.windows import crop_typical
    from sketchscope.io.images import list_image_files, read_image
    from sketchscope.report import pictures, style

    inputs = snakemake.input

    def panels(path, *folders):
        rows = manifest.select_training(manifest.read_manifest(path))
        names = [list_image_files(folder) for folder in folders]
        mask, sketch, synthetic = (read_image(paths[next(iter(names[0]))]) for paths in names)
        window = crop_typical(synthetic, [LARGEST] * synthetic.ndim)
        drawn = manifest.denormalise_like(sketch[window], rows)
        return pictures.Panels(mask[window], drawn, synthetic[window], rows[0].voxel_size)

    folders = (inputs.manifests, inputs.masks, inputs.sketches, inputs.synthetic)
    each = [panels(*paths) for paths in zip(*folders, strict=True)]
    contact = dict(zip(snakemake.params.organisms, each, strict=True))
    style.save(pictures.plot_contact(contact), snakemake.output[0])


with job(snakemake.log[0]):
    main(snakemake)
