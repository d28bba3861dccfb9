"""Reports of a run: data, tables, sentences and figures.

run_report.py        the end of a run: write all reports
results.py           results.json: rows at full precision; and its cases as CSV
gate.py              the run against its baseline, another metric, and required floors
findings.py          sentences, tables and notes of all reports
summary.py           both as text: on a terminal, as report.md, and for GitHub
page.py              report.html: one page with tables, figures and every case
tables.py            typed tables of variants: on a terminal, in Markdown and in LaTeX
pass_fractions.py    passed cases by variant and probe
layers.py            the same by each layer alone
strata.py            the same by stratum, such as content, source or severity
pairs.py             probes and their counterparts
heat_map.py          every variant and probe, at the top of the page
attacks_table.py     attacked photographs
thresholds_table.py  psychometric thresholds
scores_table.py      scores: agreement with people's judgments
published.py         the paper's published tables
paper_images.py      Table 1 of the paper, measured on its own images
run_comparison.py    two runs side by side
tuning_page.py       the result of tuning a metric
figure_style.py      the look of figures, and their export
figures.py           figures of each probe
album.py             the images of a run's cases, and the gallery of the page
explain_page.py      one explained case: sentences, figures and page
sheets.py            contact sheets of cases
"""

from dps.report.run_report import describe_resumption, finish

__all__ = ["describe_resumption", "finish"]
