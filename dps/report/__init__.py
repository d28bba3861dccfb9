"""What a run found: as data, as tables, in words.

run_report.py        the end of a run: all reports are written
results.py           results.json: rows at full precision; and its cases as CSV
gate.py              the run against its baseline, another metric, and required floors
findings.py          what to notice in sentences, and the tables, for all reports
summary.py           both as text: on a terminal, as report.md, and for GitHub
page.py              report.html: one page with tables, figures and every case
tables.py            typed tables of variants: on a terminal, in Markdown and in LaTeX
pass_fractions.py    cases passed by variant and probe; and what to notice in it
layers.py            the same by each layer of a network alone
strata.py            the same by what cases were drawn with, and by how far images are distorted
pairs.py             probes that answer each other
heat_map.py          every variant on every probe, the first screen of the page
attacks_table.py     attacked photographs
thresholds_table.py  psychometric thresholds
scores_table.py      scores: agreement with people, or with what stands in for them
published.py         the paper's published tables, beside which ours are shown
paper_images.py      Table 1 of the paper, measured on its own images
run_comparison.py    two runs side by side
figure_style.py      the look of figures, whatever else uses Matplotlib
figures.py           figures of each probe
album.py             the images of a run's cases, and the gallery of the page
explain_page.py      one explained case: words, figures and page
sheets.py            contact sheets of cases
"""

from dps.report.run_report import describe_resumption, finish

__all__ = ["describe_resumption", "finish"]
