"""The runtime: consume, dispatch, emit, commit."""
