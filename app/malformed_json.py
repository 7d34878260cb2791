"""What reading JSON fails with where a stranger wrote it."""

import msgspec

MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Text that is no JSON or of another shape; bytes that are no UTF-8; more levels than the reader has."""
