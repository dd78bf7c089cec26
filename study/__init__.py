"""What this study asks and shows: questions, results, comparisons, tables, figures, chapters."""

import sercore  # noqa: F401  # first, since it silences a warning of what others import
