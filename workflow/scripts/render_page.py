"""Turn the findings into one page that needs no other file."""

from spon.job import job
from pathlib import Path

from spon.report import page

with job(snakemake) as here:
    text = page.render_page(
        Path(snakemake.input.findings).read_text(encoding="utf-8"),
        title=f"Findings of the study {snakemake.wildcards.study}",
        images={
            Path(path).name: Path(path).read_bytes() for path in snakemake.input.get("figures", [])
        },
        made_by=here.metadata,
    )
    Path(snakemake.output.page).write_text(text, encoding="utf-8")
