"""Agreement with people: the BAPPS data set (Zhang et al. 2018, arXiv:1801.03924), and a stand-in of the same form.

dataset.py      triplets and pairs with judgments, in shards that are read when they are needed
folders.py      the layout of a BAPPS folder, what is wrong with one; reading, verifying and writing
shard_files.py  the images and judgments in it
fetching.py     downloading and unpacking BAPPS
synthetic.py    the stand-in, drawn
rank_flips.py   the same triplets with the compared images shifted or rotated a little

BAPPS calls an original ``ref``, which is said in `shard_files` only.
"""
