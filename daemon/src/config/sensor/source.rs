//! Checks of `[source]`: what a sensor measures, and where in its protocol that stands.

use super::{Checker, KnownNetwork, SensorFile};

pub(super) fn check(file: &SensorFile, network: Option<&KnownNetwork>, check: &mut Checker<'_>) {
    let quantities = file.source.source.quantities();
    check.unique("quantity", quantities.iter().map(|quantity| &quantity.id));
    let _ = network;
}
