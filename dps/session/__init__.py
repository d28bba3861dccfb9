"""One run of the suites, from its options to its results.

configuration.py  the options, checked before anything is measured
preflight.py      one call of each metric that is not built in, before anything is measured
loading.py        one variant, ready to be called
construction.py   metrics that are made anew, in a new process
session.py        results, measured batch by batch when they are looked up
crashes.py        what a process that ended was measuring
worker.py         one of many workers that measure a data set into a store
"""
