//! What may be wrong with what a camera shows.

use crate::choice;

choice! {
    /// What may be wrong with what a camera shows, in the order of [`Condition::PRECEDENCE`].
    pub enum Condition {
        /// The picture is no picture: green or pink frames, lost macroblocks, nothing but noise.
        Corrupted = "corrupted",
        /// Nothing but black.
        Black = "black",
        /// Nearly everything is blinded by light.
        White = "white",
        /// Something hides most of what is otherwise to be seen.
        Covered = "covered",
        /// The same picture again and again.
        Frozen = "frozen",
        /// Edges are much wider than they used to be.
        Defocused = "defocused",
        /// The known scene stands elsewhere in the frame.
        Moved = "moved",
        /// The scene is none that is known.
        WrongScene = "wrong_scene",
    }
}

impl Condition {
    /// How many there are.
    pub const COUNT: usize = Self::PRECEDENCE.len();

    /// Which one is told where several are to be seen, the first one first.
    ///
    /// | before the ones below | because |
    /// |---|---|
    /// | corrupted | what was decoded is not what the camera saw; a green frame has black luma, pure noise no known scene |
    /// | black | nothing is to be seen: that it is flat, dull and always the same follows |
    /// | white | likewise |
    /// | covered | what hides the scene has no sharp edges, is unknown, and a still, plain thing may even freeze |
    /// | frozen | of a picture that is not new, nothing else is news |
    /// | defocused | a strong blur takes the edges by which a scene is known |
    /// | moved | a scene that is found again elsewhere is known |
    /// | wrong_scene | it is what remains |
    pub const PRECEDENCE: [Self; 8] = [
        Self::Corrupted,
        Self::Black,
        Self::White,
        Self::Covered,
        Self::Frozen,
        Self::Defocused,
        Self::Moved,
        Self::WrongScene,
    ];

    /// Its place in the order of precedence.
    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

/// What one picture says of one condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// It is not there.
    Clear,
    /// Between the thresholds, or not to be told: as it was before.
    Between,
    /// It is there.
    Present,
}

impl Level {
    /// By two thresholds: present from `enter` on, clear up to `leave`, which is the lower one.
    pub(super) fn rising(value: f32, leave: f32, enter: f32) -> Self {
        match value {
            value if value >= enter => Self::Present,
            value if value <= leave => Self::Clear,
            _ => Self::Between,
        }
    }

    /// The stronger one: present before between before clear.
    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Present, _) | (_, Self::Present) => Self::Present,
            (Self::Between, _) | (_, Self::Between) => Self::Between,
            _ => Self::Clear,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_declaration_is_the_precedence() {
        for (index, condition) in Condition::PRECEDENCE.into_iter().enumerate() {
            assert_eq!(condition.index(), index);
        }
        assert_eq!(Condition::COUNT, Condition::WORDS.len());
    }

    #[test]
    fn between_thresholds_nothing_is_said() {
        let levels = [0.0, 0.3, 0.4, 0.5, 1.0, f32::NAN].map(|value| Level::rising(value, 0.3, 0.5));
        use Level::{Between, Clear, Present};
        assert_eq!(levels, [Clear, Clear, Between, Present, Present, Between]);
    }
}
