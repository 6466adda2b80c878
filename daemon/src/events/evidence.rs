//! Events of the `evidence` module.
