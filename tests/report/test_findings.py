"""The findings as a whole: their sections, their figures, and that they can be reproduced."""

from small_findings import SETTINGS, write

from spon.report.findings import write_findings


def test_a_section_without_its_tables_is_left_out():
    text = write(without=("layer_position", "controls"))
    assert "## Baselines" in text
    missing = ["Layers and cost", "Controls", "The published claims", "Analyses", "Checkpoints"]
    for title in missing:
        assert f"## {title}" not in text
    assert "## Setup" not in write(facts={"settings": SETTINGS})
    assert write_findings("empty", {}, {}, {}) == "# Findings of the study `empty`\n"


def test_details_stand_behind_a_line_across_the_page():
    first_page, details = write().split("\n---\n")
    assert "## Summary" in first_page
    assert "## Results" in details and "## Limits" in details


def test_figures_are_embedded_where_they_are_and_with_a_caption():
    path = "../../figures/small/fig1_perplexity.png"
    text = write(figures={"fig1_perplexity": path})
    assert f"![Perplexity above the dense model]({path})\n\n*What sparsity costs" in text
    assert "fig2" not in text
    path = "../../figures/small/fig2_damage_recovery.png"
    results = write(figures={"fig2_damage_recovery": path}).split("\n## Results")[1]
    assert f"![Share of TEAL's damage that is won back]({path})\n\n*Share" in results


def test_the_same_numbers_give_the_same_text_and_no_path_of_this_machine():
    assert write() == write()
    assert "/home" not in write()
    assert "`small`: 64 parameters, 4 layers" in write()
