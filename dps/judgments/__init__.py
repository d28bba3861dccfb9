"""Data sets of people's judgments, in one common form, and a synthetic stand-in.

dataset.py      pairs and triplets with judgments, in shards that are read on demand
shard_files.py  image and judgment files of a shard
studies.py      data sets from rows that name image files; validation of the rows
tables.py       CSV files: your own study, and predictions computed elsewhere
layouts.py      published data sets, recognized by their files
bapps.py        folders in the layout of BAPPS (Zhang et al. 2018, arXiv:1801.03924)
fetching.py     download of BAPPS
synthetic.py    the synthetic stand-in
rank_flips.py   triplets whose compared images are shifted or rotated slightly
"""
