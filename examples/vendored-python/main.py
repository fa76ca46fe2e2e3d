"""A bot whose dependency lies in vendor/, as `pip install --target vendor` puts it there."""

from tinystats import describe


def main(id, config):
    values = config.get("values", [3, 1, 4, 1, 5, 9, 2, 6])
    summary = describe(values)
    print(f"{id}: {summary['count']} values, mean {summary['mean']}")
    return summary
