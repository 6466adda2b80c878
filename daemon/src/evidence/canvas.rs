//! A picture on its way out of the box, as types that cannot be taken in the wrong order:
//!
//! [`Uncovered`] ─ `cover(&Cover)` ─► [`Covered`] ─ `fit`, `draw` ─► `jpeg`
//!
//! Only [`Covered`] can be scaled, drawn on or encoded, and only covering makes one. Privacy masks are burnt in before
//! an [`Uncovered`] exists.

use image::{
    ExtendedColorType, ImageEncoder, RgbImage,
    codecs::jpeg::JpegEncoder,
    imageops::{self, FilterType},
};
use snowgate_core::geometry::{Point, Rect};
use yuv::{
    BufferStoreMut, YuvBiPlanarImage, YuvConversionMode, YuvPlanarImage, YuvPlanarImageMut, YuvRange, YuvStandardMatrix,
};

use super::cover::Cover;
use crate::{
    camera::pixels::{Chroma, Pixels},
    vision::masks::Masks,
};

/// The most pixels a side: larger pictures come from no camera.
const MAX_SIDE: usize = 8192;

/// Below this quality blocks hide what the still is to show.
const LOWEST_QUALITY: u8 = 30;

/// By how much the quality goes down until the file is small enough.
const QUALITY_STEP: u8 = 10;

/// Red, green, blue.
pub(super) type Rgb = [u8; 3];

/// What covers faces and heads: a flat grey that takes nothing from what lies below it.
pub(super) const COVER: Rgb = [96, 96, 96];

/// What covers privacy masks.
const MASK: Rgb = [0, 0, 0];

/// Why there is no picture to send.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CanvasError {
    /// The planes do not make up a picture.
    #[error("a picture of {width}x{height} pixels cannot be converted: {reason}")]
    Picture {
        /// Pixels across.
        width: usize,
        /// Pixels down.
        height: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The areas to cover were found in a picture of another size.
    #[error("the areas to cover belong to a picture of {found:?} pixels, not {expected:?}")]
    OtherPicture {
        /// Size of this picture.
        expected: (u32, u32),
        /// Size of the picture that was looked at.
        found: (u32, u32),
    },
    /// It cannot be scaled.
    #[error("the picture cannot be scaled to {width}x{height} pixels: {reason}")]
    Scale {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// What the scaler says.
        reason: String,
    },
    /// It cannot be encoded.
    #[error("the picture cannot be encoded as JPEG: {0}")]
    Encode(String),
    /// Even at the lowest quality it is too large.
    #[error("the JPEG has {bytes} bytes even at quality {LOWEST_QUALITY}; {limit} are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The most it may have.
        limit: usize,
    },
}

/// RGB pixels, row after row without gaps.
struct Raster {
    rgb: Vec<u8>,
    width: u32,
    height: u32,
}

impl Raster {
    /// Fills columns of a row; what lies outside is cut off.
    fn fill_row(&mut self, y: u32, columns: std::ops::Range<u32>, colour: Rgb) {
        let (start, end) = (columns.start.min(self.width), columns.end.min(self.width));
        if y < self.height && start < end {
            let row = y as usize * self.width as usize;
            let pixels = &mut self.rgb[(row + start as usize) * 3..(row + end as usize) * 3];
            pixels.chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(&colour));
        }
    }
}

/// A picture nobody outside may see yet: it can be covered and nothing else.
pub(super) struct Uncovered(Raster);

impl Uncovered {
    /// Converts a decoded picture and blackens the privacy masks.
    ///
    /// # Errors
    /// Planes that do not fit together.
    pub fn new(pixels: &Pixels<'_>, masks: &Masks) -> Result<Self, CanvasError> {
        let (width, height) = (pixels.luma.width, pixels.luma.height);
        let mut raster = convert(pixels).map_err(|reason| CanvasError::Picture { width, height, reason })?;
        for y in 0..raster.height {
            for span in masks.row(y as usize) {
                raster.fill_row(y, span.start..span.end, MASK);
            }
        }
        Ok(Self(raster))
    }

    /// Fills every area with one colour.
    ///
    /// # Errors
    /// The areas were found in a picture of another size.
    pub fn cover(self, cover: &Cover) -> Result<Covered, CanvasError> {
        let Self(mut raster) = self;
        let expected = (raster.width, raster.height);
        if cover.frame() != expected {
            return Err(CanvasError::OtherPicture { expected, found: cover.frame() });
        }
        for area in cover.areas() {
            for y in area.y..area.bottom().min(raster.height) {
                raster.fill_row(y, area.x..area.right(), COVER);
            }
        }
        Ok(Covered(raster))
    }
}

/// The luma and chroma samples of a covered picture (I420), row after row and plane after plane without gaps.
pub(super) struct Planes {
    pub i420: Vec<u8>,
    /// Pixels across and down.
    pub size: (usize, usize),
}

/// Rows of so many pixels, and those of chroma of half as many, have no gaps behind them in anybody's memory.
const PLANE_WIDTH: u32 = 8;

/// A picture in which every area that had to be covered is: it may be shown.
pub(super) struct Covered(Raster);

impl Covered {
    /// Pixels across and down.
    pub fn size(&self) -> (u32, u32) {
        (self.0.width, self.0.height)
    }

    /// Scales it down to at most this width, proportions kept; a narrower picture stays as it is.
    ///
    /// # Errors
    /// The scaler refuses.
    pub fn fit(self, max_width: u32) -> Result<Self, CanvasError> {
        let Self(raster) = self;
        let max_width = max_width.max(1);
        if raster.width <= max_width {
            return Ok(Self(raster));
        }
        let scaled = u64::from(raster.height) * u64::from(max_width) / u64::from(raster.width);
        let (width, height) = (max_width, u32::try_from(scaled).unwrap_or(u32::MAX).max(1));
        let failed = |reason: String| CanvasError::Scale { width, height, reason };
        let source = RgbImage::from_raw(raster.width, raster.height, raster.rgb)
            .ok_or_else(|| failed("its samples are not as many as its size says".to_owned()))?;
        let target = imageops::resize(&source, width, height, FilterType::Triangle);
        Ok(Self(Raster { rgb: target.into_raw(), width, height }))
    }

    /// Draws the outline of a box given in fractions of the frame.
    pub fn draw_rect(&mut self, rect: &Rect, colour: Rgb) {
        let (left, top, right, bottom) = (rect.x, rect.y, rect.right(), rect.bottom());
        self.draw_outline(&[[left, top], [right, top], [right, bottom], [left, bottom]].map(Point::from), colour);
    }

    /// Draws a closed outline given in fractions of the frame.
    pub fn draw_outline(&mut self, corners: &[Point], colour: Rgb) {
        for (i, corner) in corners.iter().enumerate() {
            self.draw_line(*corner, corners[(i + 1) % corners.len()], colour);
        }
    }

    /// Draws a straight line given in fractions of the frame; what lies outside is moved to its edge.
    pub fn draw_line(&mut self, from: Point, to: Point, colour: Rgb) {
        let thickness = (self.0.width / 400).max(2);
        for pixel in self.between(from, to) {
            self.dab(pixel, thickness, colour);
        }
    }

    /// The pixel at a point given in fractions of the frame; what lies outside is moved to its edge.
    pub fn pixel_at(&self, point: Point) -> (u32, u32) {
        // NaN becomes zero: nothing that is drawn can lie outside, and no line is longer than the picture.
        let place = |fraction: f32, pixels: u32| (fraction.clamp(0.0, 1.0) * pixels.saturating_sub(1) as f32) as u32;
        (place(point.x, self.0.width), place(point.y, self.0.height))
    }

    /// The pixels of a straight line, its ends included, in order.
    pub fn between(&self, from: Point, to: Point) -> impl Iterator<Item = (u32, u32)> + use<> {
        let [from, to] = [from, to].map(|point| self.pixel_at(point)).map(|(x, y)| [x as f32, y as f32]);
        let steps = (to[0] - from[0]).abs().max((to[1] - from[1]).abs()).max(1.0);
        (0..=steps as u32).map(move |step| {
            let along = |axis: usize| from[axis] + (to[axis] - from[axis]) * (step as f32 / steps);
            (along(0) as u32, along(1) as u32)
        })
    }

    /// Fills a square of so many pixels a side around a pixel; what lies outside is cut off.
    pub fn dab(&mut self, (x, y): (u32, u32), side: u32, colour: Rgb) {
        self.fill((x.saturating_sub(side / 2), y.saturating_sub(side / 2)), (side, side), colour);
    }

    /// Fills a box of so many pixels across and down, by its upper left one; what lies outside is cut off.
    pub fn fill(&mut self, (x, y): (u32, u32), (width, height): (u32, u32), colour: Rgb) {
        for row in y..y.saturating_add(height).min(self.0.height) {
            self.0.fill_row(row, x..x.saturating_add(width), colour);
        }
    }

    /// Its samples as video encoders take them, cut on the right and at the bottom to sides that they divide without rest.
    ///
    /// # Errors
    /// Too little is left, or it cannot be converted.
    pub fn planes(&self) -> Result<Planes, CanvasError> {
        let Self(Raster { rgb, width: row, height }) = self;
        let (width, height) = (row & !(PLANE_WIDTH - 1), height & !1);
        let failed = |reason: String| CanvasError::Picture { width: width as usize, height: height as usize, reason };
        if width == 0 || height == 0 {
            return Err(failed("it is too small for an encoder".to_owned()));
        }
        let size = (width as usize, height as usize);
        let pixels = size.0 * size.1;
        let mut i420 = vec![0; pixels * 3 / 2];
        let (y_plane, chroma) = i420.split_at_mut(pixels);
        let (u_plane, v_plane) = chroma.split_at_mut(pixels / 4);
        let [y_plane, u_plane, v_plane] = [y_plane, u_plane, v_plane].map(BufferStoreMut::Borrowed);
        let (y_stride, u_stride, v_stride) = (width, width / 2, width / 2);
        let mut image = YuvPlanarImageMut { y_plane, y_stride, u_plane, u_stride, v_plane, v_stride, width, height };
        // As players take streams that do not say.
        let matrix = if height > 576 { YuvStandardMatrix::Bt709 } else { YuvStandardMatrix::Bt601 };
        let rows = &rgb[..3 * *row as usize * size.1];
        yuv::rgb_to_yuv420(&mut image, rows, 3 * row, YuvRange::Limited, matrix, YuvConversionMode::Balanced)
            .map_err(|error| failed(error.to_string()))?;
        Ok(Planes { i420, size })
    }

    /// Encodes it, at this quality (1 to 100) or the best lower one at which it has at most `limit` bytes.
    ///
    /// # Errors
    /// It is larger than that even at the lowest quality.
    pub fn jpeg(&self, quality: u8, limit: usize) -> Result<Vec<u8>, CanvasError> {
        let Self(Raster { rgb, width, height }) = self;
        let mut quality = quality.clamp(LOWEST_QUALITY, 100);
        let mut jpeg = Vec::with_capacity(limit);
        loop {
            jpeg.clear();
            JpegEncoder::new_with_quality(&mut jpeg, quality)
                .write_image(rgb, *width, *height, ExtendedColorType::Rgb8)
                .map_err(|error| CanvasError::Encode(error.to_string()))?;
            if jpeg.len() <= limit {
                return Ok(jpeg);
            }
            if quality == LOWEST_QUALITY {
                return Err(CanvasError::TooLarge { bytes: jpeg.len(), limit });
            }
            quality = quality.saturating_sub(QUALITY_STEP).max(LOWEST_QUALITY);
        }
    }
}

/// YUV to RGB by the picture's own range and matrix.
fn convert(pixels: &Pixels<'_>) -> Result<Raster, String> {
    let side = |pixels: usize| u32::try_from(pixels).ok().filter(|side| (1..=MAX_SIDE as u32).contains(side));
    let stride = |bytes: usize| u32::try_from(bytes).map_err(|_| format!("a row of {bytes} bytes"));
    let luma = &pixels.luma;
    let (Some(width), Some(height)) = (side(luma.width), side(luma.height)) else {
        return Err(format!("a side must have 1 to {MAX_SIDE} pixels"));
    };
    let range = if pixels.full_range { YuvRange::Full } else { YuvRange::Limited };
    let matrix = if pixels.bt709 { YuvStandardMatrix::Bt709 } else { YuvStandardMatrix::Bt601 };
    let mut rgb = vec![0; 3 * luma.width * luma.height];
    let (y_plane, y_stride) = (luma.data, stride(luma.stride)?);
    let converted = match &pixels.chroma {
        Chroma::Planar { u, v } => {
            let (u_stride, v_stride) = (stride(u.stride)?, stride(v.stride)?);
            let (u_plane, v_plane) = (u.data, v.data);
            let image = YuvPlanarImage { y_plane, y_stride, u_plane, u_stride, v_plane, v_stride, width, height };
            yuv::yuv420_to_rgb(&image, &mut rgb, 3 * width, range, matrix)
        }
        Chroma::Interleaved { uv } => {
            let (uv_plane, uv_stride) = (uv.data, stride(uv.stride)?);
            let image = YuvBiPlanarImage { y_plane, y_stride, uv_plane, uv_stride, width, height };
            yuv::yuv_nv12_to_rgb(&image, &mut rgb, 3 * width, range, matrix, YuvConversionMode::Balanced)
        }
    };
    converted.map(|()| Raster { rgb, width, height }).map_err(|error| error.to_string())
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use snowgate_core::geometry::Polygon;

    use super::*;
    use crate::{
        camera::pixels::Plane,
        evidence::cover::tests::{any_rect, finder},
    };

    /// A picture with no two neighbouring pixels alike.
    struct Picture {
        width: usize,
        height: usize,
        luma: Vec<u8>,
        chroma: Vec<u8>,
    }

    impl Picture {
        fn new(width: usize, height: usize) -> Self {
            let luma = (0..width * height).map(|i| 110 + (i * 37 % 100) as u8).collect();
            let chroma = (0..width.div_ceil(2) * height.div_ceil(2)).map(|i| 100 + (i * 29 % 50) as u8).collect();
            Self { width, height, luma, chroma }
        }

        fn pixels(&self) -> Pixels<'_> {
            let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
            let plane = Plane { data: &self.chroma, stride: width, width, height };
            Pixels {
                luma: Plane { data: &self.luma, stride: self.width, width: self.width, height: self.height },
                chroma: Chroma::Planar { u: plane, v: plane },
                full_range: true,
                bt709: false,
            }
        }
    }

    /// A picture of one grey with nothing to cover.
    pub(in super::super) fn covered(width: u32, height: u32, grey: u8) -> Covered {
        Covered(Raster { rgb: vec![grey; 3 * (width * height) as usize], width, height })
    }

    /// What a pixel shows.
    pub(in super::super) fn pixel_of(covered: &Covered, (x, y): (u32, u32)) -> Rgb {
        pixel(&covered.0, x, y)
    }

    fn pixel(raster: &Raster, x: u32, y: u32) -> Rgb {
        let at = 3 * (y * raster.width + x) as usize;
        [raster.rgb[at], raster.rgb[at + 1], raster.rgb[at + 2]]
    }

    fn cover_of(pixels: &Pixels<'_>, faces: Vec<Rect>, people: Vec<Rect>) -> Cover {
        finder(faces, people).find(pixels, &Masks::default(), vec![], vec![]).unwrap()
    }

    proptest! {
        #[test]
        fn every_pixel_of_an_area_has_one_value_and_every_other_is_as_it_was(
            width in 1usize..90, height in 1usize..90,
            faces in prop::collection::vec(any_rect(), 0..3), people in prop::collection::vec(any_rect(), 0..3),
        ) {
            let picture = Picture::new(width, height);
            let pixels = picture.pixels();
            let before = Uncovered::new(&pixels, &Masks::default()).unwrap().0;
            let cover = cover_of(&pixels, faces, people);
            let after = Uncovered::new(&pixels, &Masks::default()).unwrap().cover(&cover).unwrap().0;
            for y in 0..height as u32 {
                for x in 0..width as u32 {
                    let inside = |area: &crate::vision::preprocess::PixelRect| {
                        (area.x..area.right()).contains(&x) && (area.y..area.bottom()).contains(&y)
                    };
                    let expected = if cover.areas().iter().any(inside) { COVER } else { pixel(&before, x, y) };
                    prop_assert_eq!(pixel(&after, x, y), expected);
                }
            }
        }

        #[test]
        fn anything_may_be_drawn(
            rect in any_rect(), from in (any::<f32>(), any::<f32>()), to in (any::<f32>(), any::<f32>()),
            width in 1usize..60, height in 1usize..60,
        ) {
            let picture = Picture::new(width, height);
            let cover = cover_of(&picture.pixels(), vec![], vec![]);
            let mut covered = Uncovered::new(&picture.pixels(), &Masks::default()).unwrap().cover(&cover).unwrap();
            covered.draw_rect(&rect, [255, 0, 0]);
            covered.draw_line(Point::new(from.0, from.1), Point::new(to.0, to.1), [0, 255, 0]);
            prop_assert_eq!(covered.0.rgb.len(), 3 * width * height);
        }

        #[test]
        fn fitting_keeps_proportions(width in 1usize..400, height in 1usize..400, most in 1u32..400) {
            let picture = Picture::new(width, height);
            let cover = cover_of(&picture.pixels(), vec![], vec![]);
            let covered = Uncovered::new(&picture.pixels(), &Masks::default()).unwrap().cover(&cover).unwrap();
            let (w, h) = covered.fit(most).unwrap().size();
            prop_assert!(w <= most && w <= width as u32);
            prop_assert!((f64::from(h) - height as f64 * f64::from(w) / width as f64).abs() <= 1.0);
        }
    }

    #[test]
    fn what_lies_below_a_cover_changes_no_byte_of_the_still() {
        let (face, still) = (Rect::new(0.3, 0.25, 0.2, 0.3), 200);
        let jpeg = |picture: &Picture| {
            let cover = cover_of(&picture.pixels(), vec![face], vec![]);
            let covered = Uncovered::new(&picture.pixels(), &Masks::default()).unwrap().cover(&cover).unwrap();
            (covered.fit(still).unwrap().jpeg(80, 1 << 20).unwrap(), cover)
        };
        let mut picture = Picture::new(320, 240);
        let (before, cover) = jpeg(&picture);
        // Every sample below the cover becomes another, and no other sample does.
        for area in cover.areas() {
            for (plane, width, block) in [(&mut picture.luma, 320, 1), (&mut picture.chroma, 160, 2)] {
                for y in area.y / block..area.bottom() / block {
                    let row = (y * width) as usize;
                    let samples = &mut plane[row + (area.x / block) as usize..row + (area.right() / block) as usize];
                    samples.iter_mut().for_each(|sample| *sample = 255 - *sample);
                }
            }
        }
        assert_eq!(jpeg(&picture).0, before);
    }

    #[test]
    fn planar_and_interleaved_chroma_give_the_same_colours() {
        let picture = Picture::new(34, 18);
        let pairs: Vec<u8> = picture.chroma.iter().flat_map(|sample| [*sample, *sample]).collect();
        let planar = picture.pixels();
        let uv = Plane { data: &pairs, stride: 34, width: 17, height: 9 };
        for (full_range, bt709) in [(true, true), (true, false), (false, true), (false, false)] {
            let planar = Pixels { full_range, bt709, ..planar };
            let interleaved = Pixels { chroma: Chroma::Interleaved { uv }, ..planar };
            let [a, b] = [planar, interleaved].map(|pixels| Uncovered::new(&pixels, &Masks::default()).unwrap().0.rgb);
            assert!(a.iter().zip(&b).all(|(a, b)| a.abs_diff(*b) <= 1));
        }
    }

    #[test]
    fn range_and_matrix_are_those_of_the_picture() {
        // Pure red as ITU-R BT.601 and BT.709 code it, in video range.
        for (bt709, [y, u, v]) in [(false, [81, 90, 240]), (true, [63, 102, 240])] {
            let plane = |data| Plane { data, stride: 1, width: 1, height: 1 };
            let (y, u, v) = ([y], [u], [v]);
            let chroma = Chroma::Planar { u: plane(&u), v: plane(&v) };
            let pixels = Pixels { luma: plane(&y), chroma, full_range: false, bt709 };
            let rgb = pixel(&Uncovered::new(&pixels, &Masks::default()).unwrap().0, 0, 0);
            assert!(rgb[0] > 250 && rgb[1] < 5 && rgb[2] < 5, "{rgb:?}");
        }
    }

    #[test]
    fn masks_are_black_before_anything_else() {
        let picture = Picture::new(40, 40);
        let corners = [[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]].map(Point::from).to_vec();
        let masks = Masks::rasterise(&[Polygon::new(corners).unwrap()], 40, 40);
        let raster = Uncovered::new(&picture.pixels(), &masks).unwrap().0;
        for y in 10..30 {
            assert!((10..30).all(|x| pixel(&raster, x, y) == MASK));
        }
        assert_ne!(pixel(&raster, 5, 5), MASK);
    }

    #[test]
    fn areas_of_another_picture_cover_nothing() {
        let (small, large) = (Picture::new(20, 20), Picture::new(40, 40));
        let cover = cover_of(&small.pixels(), vec![], vec![]);
        let result = Uncovered::new(&large.pixels(), &Masks::default()).unwrap().cover(&cover);
        assert!(matches!(result, Err(CanvasError::OtherPicture { .. })));
    }

    #[test]
    fn planes_that_are_too_short_are_an_error() {
        let picture = Picture::new(40, 40);
        let pixels = picture.pixels();
        let short = Plane { data: &pixels.luma.data[..1599], ..pixels.luma };
        let empty = Plane { data: &[], stride: 0, width: 0, height: 0 };
        let huge = Plane { data: &[], stride: 1 << 20, width: 1 << 20, height: 1 << 20 };
        for luma in [short, empty, huge] {
            assert!(Uncovered::new(&Pixels { luma, ..pixels }, &Masks::default()).is_err());
        }
    }

    #[test]
    fn quality_gives_way_to_the_limit_and_then_the_picture_does() {
        let picture = Picture::new(160, 160);
        let cover = cover_of(&picture.pixels(), vec![], vec![]);
        let covered = Uncovered::new(&picture.pixels(), &Masks::default()).unwrap().cover(&cover).unwrap();
        let free = covered.jpeg(90, 1 << 20).unwrap();
        assert!(free.starts_with(&[0xff, 0xd8]));
        let bounded = covered.jpeg(90, free.len() - 1).unwrap();
        assert!(bounded.len() < free.len());
        assert!(matches!(covered.jpeg(90, 1000), Err(CanvasError::TooLarge { limit: 1000, .. })));
    }
}
