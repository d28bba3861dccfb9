"""Scenes: from a seed and parameters to something that can be drawn.

dice.py         choices by seed, the same everywhere
color.py        RGB, CIELAB, and how far apart two colors look
plane.py        a scene is a function of the plane; moving it, and sampling it into pixels
noise.py        smooth noise, for natural-looking surfaces
patterns.py     black-and-white patterns that fill the frame
contents.py     structured colored things for a part of the frame
composition.py  a pattern, a view, or an object on a ground: what a probe file can name
"""
