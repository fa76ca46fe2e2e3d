"""A tiny package, in place of a real dependency."""


def describe(values):
    return {
        "count": len(values),
        "mean": round(sum(values) / len(values), 6),
        "smallest": min(values),
        "largest": max(values),
    }
