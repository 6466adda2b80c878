//! Events of the `vision` module.
