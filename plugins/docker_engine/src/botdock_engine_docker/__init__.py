"""Run botdock's bots on a Docker engine, strictly isolated.

The plugin is `plugin`; the engine is `engine.DockerEngine`. Nothing is imported here, so that discovery stays cheap.
"""
