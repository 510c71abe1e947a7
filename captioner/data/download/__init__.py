"""Downloads, checks and unpacks data sets."""
