"""Sum up the audit of synthetic labels, beside that of the references."""

from sketchscope.run.job import job


def main(snakemake):
    import pandas as pd
    from sketchscope.evaluation import audit
    from sketchscope.io.atomic import atomic_path

    named = {name: pd.read_csv(path) for name, path in snakemake.input.items()}
    table = pd.DataFrame([{"labels": name, **audit.summarise_audit(cells)} for name, cells in named.items()])
    with atomic_path(snakemake.output[0]) as temporary:
        table.to_csv(temporary, index=False)
    print(table.to_string(index=False))


with job(snakemake.log[0]):
    main(snakemake)
