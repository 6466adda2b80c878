//! A read-only view of one decoded picture's planes, wherever they lie.

/// How chroma is stored; both are 4:2:0, 8 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chroma<'a> {
    /// I420: a plane for U and a plane for V.
    Planar {
        /// Blue difference.
        u: Plane<'a>,
        /// Red difference.
        v: Plane<'a>,
    },
    /// NV12: one plane of U, V pairs; the plane's width counts pairs.
    Interleaved {
        /// The pairs.
        uv: Plane<'a>,
    },
}

/// One plane of samples.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Plane<'a> {
    /// The samples, row after row, `stride` bytes apart; at least `stride * (height - 1) + row bytes` long.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Samples (or pairs) in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl std::fmt::Debug for Plane<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plane({}x{}, stride {})", self.width, self.height, self.stride)
    }
}

/// A picture's planes. Luma has the picture's size; chroma half of it in both directions, rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pixels<'a> {
    /// Brightness.
    pub luma: Plane<'a>,
    /// Colour.
    pub chroma: Chroma<'a>,
    /// Whether samples use the full range 0..255 rather than the video range 16..235.
    pub full_range: bool,
    /// Whether colours follow BT.709 (HD) rather than BT.601.
    pub bt709: bool,
}

impl Pixels<'_> {
    /// How much memory the planes take.
    pub fn bytes(&self) -> usize {
        let of = |plane: &Plane<'_>| plane.stride * plane.height;
        let chroma = match &self.chroma {
            Chroma::Planar { u, v } => of(u) + of(v),
            Chroma::Interleaved { uv } => of(uv),
        };
        of(&self.luma) + chroma
    }
}
