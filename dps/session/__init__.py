"""One run of the suites, from its options to its results.

configuration.py  the options, checked before anything is measured
session.py        results, measured batch by batch when they are looked up
worker.py         one of many workers that measure a data set into a store
"""
