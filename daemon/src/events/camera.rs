//! Events of the `camera` module.
