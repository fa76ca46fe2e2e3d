"""The smallest bot: it prints a line, and returns a value."""


def main(id, config):
    greeting = f"hello {config.get('name', 'world')}"
    print(f"{greeting}, this is {id}")
    return {"greeting": greeting}
