"""What the plugin manager is made of: discovery, checks of hooks and of what they yield, and the table of names."""
