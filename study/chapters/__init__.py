"""A module for each chapter that needs more than comparisons."""
