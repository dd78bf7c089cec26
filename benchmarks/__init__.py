"""What training, prediction and intervals cost, beside the plain way in one run; never run by tests."""
