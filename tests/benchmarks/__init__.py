"""How fast the host is, beside others: `make bench`. Nothing here is a test."""
