"""Objects that users name on the command line, of any kind ('metric', 'network').

reading.py   from text to names: lists, sums, files of any path
loading.py   from a name to an object: of a module, a file or a package that registers it
guest.py     users' code changes nothing of the process that runs it
"""
