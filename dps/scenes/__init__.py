"""Scenes: from a seed and parameters to something that can be drawn.

rng.py          random numbers by seed, the same on every machine
color.py        RGB, CIELAB, and the distance of two colors
parameters.py   types and limits of what scenes and distortions take
plane.py        a scene is a function of the plane; moving it, and sampling it into pixels
noise.py        smooth noise, for natural-looking surfaces
patterns.py     black-and-white patterns that fill the frame
contents.py      structured colored things for a part of the frame
composition.py  a pattern, a view, or an object on a ground: what a probe file can name
"""
