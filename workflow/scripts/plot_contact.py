from sketchscope.jobs import job

LARGEST = 400  # pixels of a panel along each side


def main(snakemake):
    from sketchscope import figures, files, manifest

    inputs = snakemake.input

    def panels(path, *folders):
        rows = manifest.training_rows(manifest.read_manifest(path))
        names = [files.image_files(folder) for folder in folders]
        mask, sketch, synthetic = (files.read_image(paths[next(iter(names[0]))]) for paths in names)
        window = figures.crop_typical(synthetic, [LARGEST] * synthetic.ndim)
        drawn = manifest.as_real(sketch[window], rows)
        return figures.Panels(mask[window], drawn, synthetic[window], rows[0].voxel_size)

    folders = (inputs.manifests, inputs.masks, inputs.sketches, inputs.synthetic)
    each = [panels(*paths) for paths in zip(*folders, strict=True)]
    contact = dict(zip(snakemake.params.organisms, each, strict=True))
    figures.save(figures.plot_contact(contact), snakemake.output[0])


with job(snakemake.log[0]):
    main(snakemake)
