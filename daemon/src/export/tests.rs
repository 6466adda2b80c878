//! What was written is read again, and nothing else is taken for it.
