//! Events of the `uplink` module.
