"""Archives: folders of event logs that one recorder writes, and their indexes."""
