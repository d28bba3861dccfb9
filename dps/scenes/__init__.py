"""Scenes: drawn from a seed and parameters, rendered at any size.

rng.py          a random number generator with the same stream on every machine
color.py        RGB, CIELAB, and the difference of two colors
parameters.py   types and limits of the parameters of scenes and distortions
plane.py        scenes as functions of the plane: affine maps, layers, rendering
noise.py        smooth noise and cells, for natural-looking surfaces
patterns.py     black-and-white patterns that fill the frame
contents.py     colored objects and backgrounds, drawn or cut from photographs
composition.py  the scenes that probe files can name
"""
