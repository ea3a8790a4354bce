"""Numbers as cells of Markdown tables."""


def format_count(mean):
    """Writes the mean of counts, with one decimal where it is no whole number."""
    return f"{mean:,.1f}".removesuffix(".0")


def format_mean(values):
    """Writes mean ± standard deviation (n - 1 in the denominator) of an array, the mean alone of a single value."""
    deviation = f" ± {values.std(ddof=1):.2f}" if len(values) > 1 else ""
    return f"{values.mean():.2f}{deviation}"


def table_line(cells):
    """Writes one line of a Markdown table, with a dash for what is not a number."""
    return "| " + " | ".join("–" if cell == "nan" else cell for cell in cells) + " |"
