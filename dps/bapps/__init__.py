"""Agreement with people: the BAPPS data set, and a small synthetic stand-in of the same form.

dataset.py    what both are: triplets and pairs with judgments, in shards that are read when they are needed
folders.py    a BAPPS folder: reading it, verifying every file of it, writing one
fetching.py   downloading and unpacking BAPPS
synthetic.py  the stand-in, drawn
moved.py      the same triplets with the distorted images moved a little

Zhang et al. 2018, arXiv:1801.03924, gathered BAPPS. Its original is called ``ref`` in its folders, and nowhere
else here.
"""
