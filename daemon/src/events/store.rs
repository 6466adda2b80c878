//! Events of the `store` module.
