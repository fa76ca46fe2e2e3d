"""The shim: starts a bot, keeps its log, records its end, and outlives the runner.

It runs as a program of its own, without site-packages, so a module of this package imports the standard library and its
neighbours only. What a runner and the shim both know of the folder of a container stands here too, in `files`.
"""
