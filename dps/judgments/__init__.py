"""Data sets of people's judgments, in one form, and a drawn stand-in of that form.

dataset.py      pairs and triplets with judgments, in shards that are read when they are needed
shard_files.py  the images and judgments of a shard
studies.py      from rows that name image files to a data set; what is wrong with them
tables.py       CSV files: a study of one's own, and predictions that were made elsewhere
layouts.py      published data sets, recognized by their files
bapps.py        the layout of a BAPPS folder (Zhang et al. 2018, arXiv:1801.03924); reading, verifying and writing
fetching.py     downloading and unpacking BAPPS
synthetic.py    the stand-in
rank_flips.py   the same triplets with the compared images shifted or rotated a little
"""
