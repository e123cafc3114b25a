"""One page per visit that shows how well its images were matched."""
