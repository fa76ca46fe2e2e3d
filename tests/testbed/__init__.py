"""A real Docker for the tests, on any machine where one can be had.

As root it is a private `dockerd` of our own; otherwise the daemon that answers. Images are pulled where that works,
and else built from Debian's packages. `python -m testbed` does the same by hand.
"""
