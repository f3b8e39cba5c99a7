"""The workflow, where `snakemake` looks for it first; its parts are in workflow/."""


include: "workflow/Snakefile"


# That of an included file does not count.
workflow.default_target = "all"
