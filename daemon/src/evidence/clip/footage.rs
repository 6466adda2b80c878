//! Encoded pictures that a covered copy is to be made of: references into what the ring has held, so that their memory stays
//! taken until they are let go of. All footage together is bounded.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::camera::access_unit::AccessUnit;

/// Bytes of all footage that is collected or waits for its copy.
const MOST_BYTES: usize = 64 << 20;

/// Charged for each unit beside its bytes.
const UNIT_OVERHEAD: usize = 512;

/// How much memory all footage takes; clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Budget(Arc<AtomicUsize>);

/// Units in decoding order, the first a key frame.
#[derive(Debug)]
pub(super) struct Footage {
    units: Vec<AccessUnit>,
    bytes: usize,
    budget: Budget,
}

/// There is too much of it already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMuch {
    /// So many bytes.
    pub bytes: usize,
}

impl Footage {
    /// None yet.
    pub fn new(budget: &Budget) -> Self {
        Self { units: Vec::new(), bytes: 0, budget: budget.clone() }
    }

    /// Adds the next unit; its bytes are shared, not copied.
    pub fn push(&mut self, unit: AccessUnit) -> Result<(), TooMuch> {
        let cost = unit.size + UNIT_OVERHEAD;
        let bytes = self.budget.0.fetch_add(cost, Ordering::Relaxed);
        self.bytes += cost;
        if bytes + cost > MOST_BYTES {
            return Err(TooMuch { bytes });
        }
        self.units.push(unit);
        Ok(())
    }

    /// The units.
    pub fn units(&self) -> &[AccessUnit] {
        &self.units
    }
}

impl Drop for Footage {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
