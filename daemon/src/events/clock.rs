//! Whether the clock can be relied on.

use std::sync::LazyLock;

use prometheus::IntGaugeVec;
use tracing::{info, warn};

use super::gauge;

static SYNCHRONISED: LazyLock<IntGaugeVec> =
    LazyLock::new(|| gauge("snowgate_clock_synchronised", "Whether the box's clock is synchronised", &[]));

/// How the clock is judged has changed, or is known for the first time.
pub(crate) struct ClockJudged {
    pub synchronised: bool,
}

impl ClockJudged {
    pub(crate) fn emit(self) {
        SYNCHRONISED.with_label_values::<&str>(&[]).set(self.synchronised.into());
        if self.synchronised {
            info!("the clock is synchronised");
        } else {
            warn!(
                "the clock is not synchronised: times are not relied on, no light turns, and nobody can have the box look again"
            );
        }
    }
}
