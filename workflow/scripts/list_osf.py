"""List the files of a project on the Open Science Framework, as a help for new entries of datasets.yaml."""

from sketchscope.run.job import job


def main(snakemake):
    import pandas as pd
    from sketchscope.fetch import osf
    from sketchscope.io.atomic import atomic_path

    listed = pd.DataFrame(
        osf.list_files(snakemake.wildcards.node, snakemake.params.get("mirror")), columns=osf.ListedFile._fields
    )
    with atomic_path(snakemake.output[0]) as temporary:
        listed.to_csv(temporary, index=False)
    print(listed[["name", "size"]].to_string(index=False))


with job(snakemake.log[0]):
    main(snakemake)
