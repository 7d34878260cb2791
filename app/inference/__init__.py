"""Pictures to decisions: decoding, finding faces, batching. Knows no HTTP."""
