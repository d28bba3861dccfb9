"""One run of the suites, from its options to its results.

configuring.py    from options to a configuration; all checks before anything is measured
configuration.py  what is measured, and what the results are compared with
floors.py         limits of pass fractions and scores
preflight.py      one call of each metric that is not built in
session.py        results, measured batch by batch when they are looked up
ahead.py          computing results in other threads before they are needed
crashes.py        what processes that crashed were measuring
construction.py   constructing metrics again, in a new process
loading.py        a single variant for use in other code
tuning.py         from probes to a tuned metric
worker.py         measuring data sets into a store, as one of several workers
"""
