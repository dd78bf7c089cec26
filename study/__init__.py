"""What this study asks and shows: questions, results, comparisons, tables, figures, chapters."""
