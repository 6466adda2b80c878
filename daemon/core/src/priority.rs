//! Who goes first where not everything can be done at once.

use crate::choice;

choice! {
    /// Who goes first when the box has more to do than it can; who goes first is the least.
    #[derive(Default)]
    pub enum Priority {
        /// First in its turn, last to give way.
        High = "high",
        /// In between.
        #[default]
        Normal = "normal",
        /// Last in its turn, first to give way.
        Low = "low",
    }
}
