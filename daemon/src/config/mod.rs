//! Files to one validated configuration.

pub mod spec;

use snowgate_core::spec::{DeserError, Deserialize, Value, ValueInner};

/// A section that was left out: every key at its default.
///
/// # Panics
/// If a key of the section has no default, which the reading test of every section would show.
#[allow(clippy::expect_used, reason = "a table whose every key has a default cannot fail to be read from nothing")]
pub(crate) fn all_defaults<T: for<'de> Deserialize<'de>>() -> T {
    let mut nothing = Value::new(ValueInner::Table(Default::default()));
    let section: Result<T, DeserError> = T::deserialize(&mut nothing);
    section.expect("every key of an optional section has a default")
}
