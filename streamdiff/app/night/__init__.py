"""The report on a night: what its archive tells of the quality of the results."""
