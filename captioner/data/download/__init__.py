"""Downloads: data sets fetched, checked and unpacked."""
