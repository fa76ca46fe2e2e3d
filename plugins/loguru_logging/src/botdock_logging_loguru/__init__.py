"""Send every line a bot writes to loguru."""
