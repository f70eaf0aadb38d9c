"""Simulate the instance masks of a batch of volumes."""

from sketchscope.run.job import job


def main(snakemake):
    import numpy as np
    from sketchscope.images.manifest import read_manifest
    from sketchscope.io.atomic import atomic_folder, read_json, write_json
    from sketchscope.io.images import SUFFIXES, write_image
    from sketchscope.masks.census import check_census, describe
    from sketchscope.masks.simulators import SIMULATORS, read_settings
    from sketchscope.streams import stream_key

    params = snakemake.params
    first = read_manifest(snakemake.input.manifest)[0]
    values = {"diameter": params.cell_diameter, **params.settings}
    for path in snakemake.input.fit:
        values |= read_json(path)["simulation"]
    simulate, settings = SIMULATORS[params.simulator].simulate, read_settings(params.simulator, values)
    key = stream_key(params.seed, snakemake.wildcards.organism, "masks")
    census = {}
    with atomic_folder(snakemake.output.masks) as folder:
        for volume, index in params.volumes.items():
            rng = np.random.default_rng([*key, index])
            labels, count = simulate(params.volume_shape or first.shape, first.voxel_size, settings, rng)
            write_image(folder / f"{volume}{SUFFIXES[params.volume_format]}", labels, first.voxel_size)
            print(f"{volume}: {labels.max()} cells; {describe(count)}")
            census |= {volume: count._asdict()} if count else {}
        check_census(census.values(), labels.ndim)
    write_json(snakemake.output.census, census)


with job(snakemake.log[0], seed=snakemake.params.seed):
    main(snakemake)
