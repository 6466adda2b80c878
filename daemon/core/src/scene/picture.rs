//! A decoded picture's samples, wherever they lie.

/// The most samples in a row, and the most rows, that are looked at.
pub const LARGEST: usize = 16_384;

/// One channel of 8-bit samples. Nothing is supposed of its numbers: rows that do not lie within `data` are not there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Samples<'a> {
    /// The samples, row after row.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Bytes from one sample to the next: 1 in a plane of its own, 2 where two channels alternate (NV12's chroma).
    pub step: usize,
    /// Samples in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// One decoded picture: luma, and chroma where there is any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture<'a> {
    /// Brightness; its samples lie side by side, whatever `step` says.
    pub luma: Samples<'a>,
    /// Blue and red difference, at any size; none where the picture has no colour channels at all.
    pub chroma: Option<[Samples<'a>; 2]>,
    /// Whether samples use the full range 0..=255 rather than the video range 16..=235 (ITU-R BT.601, BT.709).
    pub full_range: bool,
}

impl<'a> Samples<'a> {
    /// A row's bytes, from its first sample to its last; `None` where there is none, or not all of it.
    pub(super) fn row(&self, y: usize) -> Option<&'a [u8]> {
        if y >= self.height.min(LARGEST) {
            return None;
        }
        let bytes = self.columns().checked_sub(1)?.checked_mul(self.step.max(1))?.checked_add(1)?;
        let start = y.checked_mul(self.stride)?;
        self.data.get(start..start.checked_add(bytes)?)
    }

    /// Samples of a row that are looked at.
    pub(super) fn columns(&self) -> usize {
        self.width.min(LARGEST)
    }

    /// Rows that are there and are looked at.
    pub(super) fn rows(&self) -> usize {
        (0..self.height.min(LARGEST)).take_while(|y| self.row(*y).is_some()).count()
    }
}

impl std::fmt::Debug for Samples<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Samples({}x{}, stride {}, step {})", self.width, self.height, self.stride, self.step)
    }
}
