from sketchscope.jobs import job


def main(snakemake):
    import pandas as pd
    from sketchscope import audit, files

    named = {name: pd.read_csv(path) for name, path in snakemake.input.items()}
    table = pd.DataFrame([{"labels": name, **audit.summarise_audit(cells)} for name, cells in named.items()])
    with files.atomic_path(snakemake.output[0]) as temporary:
        table.to_csv(temporary, index=False)
    print(table.to_string(index=False))


with job(snakemake.log[0]):
    main(snakemake)
