"""User-defined objects: metrics and networks that are named on the command line.

reading.py   from text to names: lists, sums, paths of files
loading.py   from a name to an object in a module, a file or a package that registers it
guest.py     calls of user-defined code, whose changes to the state of the process are undone
"""
