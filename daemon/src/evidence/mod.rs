//! Evidence of incidents: stills with every face and head covered.

pub mod spec;
