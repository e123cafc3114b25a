"""Whether an installation can work, and what to do where it can not."""
