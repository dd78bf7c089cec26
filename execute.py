"""Execute a notebook with parameters, for the Snakefile; a failure names the notebook that shows it."""

import sys

import papermill
from papermill.exceptions import PapermillExecutionError

if __name__ == "__main__":
    output = snakemake.params.notebook  # noqa: F821
    try:
        papermill.execute_notebook(
            snakemake.input.notebook,  # noqa: F821
            output,
            dict(snakemake.params.values),  # noqa: F821
            progress_bar=False,
            stderr_file=sys.stderr,  # the bars of progress of what runs inside
            extra_arguments=["--log-level=ERROR"],
        )
    except PapermillExecutionError as error:
        sys.exit(f"{output} failed: {error.ename}: {error.evalue}")
