"""What a run found: as data, as tables, in words.

run_report.py        the end of a run: all reports are written
terminal.py          what the terminal shows
markdown.py          report.md, and the summary that GitHub shows
results.py           results.json: rows at full precision, written atomically
tables.py            typed tables of variants: on a terminal, in Markdown and in LaTeX
published.py         the paper's published tables, beside which ours are shown
pass_fractions.py    cases passed by variant and probe; and what to notice in it
scores_table.py      scores: agreement with people, or with what stands in for them
strata.py            pass fractions by what cases were drawn with
severity.py          psychometric curves: distances and passes by how far images are distorted
throughput_table.py  throughput beside the bare forward pass
findings.py          what to notice, in sentences, for all reports
gate.py              the run against its baseline, another metric, and required floors
run_comparison.py    two runs side by side
figure_style.py      the look of figures, whatever else uses Matplotlib
figures.py           figures of each probe
export.py            tables and figures as files for a paper
album.py             the images of a run's cases, and the gallery of the page
page.py              report.html: one page with tables, figures and every case
sheets.py            contact sheets of cases
probe_page.py        probes/README.md
"""

from dps.report.run_report import finish, how_to_go_on

__all__ = ["finish", "how_to_go_on"]
