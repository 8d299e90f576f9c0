"""A campaign of faults, after which the books must balance: `make chaos`."""
