"""The small parent of a bot: starts it, keeps its log, records its end, and outlives the runner.

It runs as a program of its own, without site-packages, so nothing in this package may import anything but the standard
library and this package. What the engine and the supervisor both know of the folder of a container stands here too.
"""
