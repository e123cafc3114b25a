"""Which errors say that a storage does not answer."""

# Clients of object storage raise errors of their own; importing them to name them
# would cost every start a second.
_CLIENTS = frozenset({"aiobotocore", "aiohttp", "botocore", "gcsfs", "google"})


def is_storage_failure(error: BaseException) -> bool:
    """Return whether an error came from a file system or a client of a storage."""
    client = type(error).__module__.partition(".")[0]
    return isinstance(error, OSError) or client in _CLIENTS
