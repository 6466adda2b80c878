//! Numbers and names in a picture.
//!
//! Letters are the fixed ones that come with the drawing library: a gateway needs no font installed. They grow with the
//! picture.

use std::convert::Infallible;

use embedded_graphics::{
    Drawable as _, Pixel,
    geometry::{OriginDimensions, Point, Size},
    mono_font::{
        MonoFont, MonoTextStyle,
        ascii::{FONT_4X6, FONT_5X8, FONT_6X12, FONT_8X13_BOLD, FONT_9X18_BOLD, FONT_10X20},
    },
    pixelcolor::BinaryColor,
    prelude::DrawTarget,
    text::{Baseline, Text},
};

use super::{
    super::canvas::{Covered, Rgb},
    EDGE,
};

/// Fonts by the height of their letters, the smallest first.
const FONTS: [&MonoFont<'static>; 6] =
    [&FONT_4X6, &FONT_5X8, &FONT_6X12, &FONT_8X13_BOLD, &FONT_9X18_BOLD, &FONT_10X20];
/// So many lines of letters are about as high as a picture.
const LINES: u32 = 32;
/// So many lines above and below its own place a name may stand.
const NEARBY: i64 = 12;

/// A font, each pixel of which is so many of the picture wide and high.
#[derive(Debug, Clone, Copy)]
pub struct Letters {
    font: &'static MonoFont<'static>,
    scale: u32,
}

impl Letters {
    /// Those that can be read in a picture of this size.
    pub fn for_picture((width, height): (u32, u32)) -> Self {
        let wanted = width.min(height) / LINES;
        let largest = FONT_10X20.character_size.height;
        let scale = (wanted / largest).max(1);
        let fits = |font: &&&MonoFont<'static>| font.character_size.height * scale <= wanted;
        Self { font: FONTS.iter().rev().find(fits).unwrap_or(&FONTS[0]), scale }
    }

    /// Pixels across and down that so many letters take, with their dark edge.
    fn size(self, letters: u32) -> (u32, u32) {
        let Size { width, height } = self.font.character_size;
        let (scale, edges) = (self.scale, 2 * self.scale);
        (letters.saturating_mul(width).saturating_mul(scale).saturating_add(edges), height * scale + edges)
    }

    /// How many letters fit into so many pixels.
    fn fit(self, pixels: u32) -> usize {
        let across = self.font.character_size.width * self.scale;
        (pixels.saturating_sub(2 * self.scale) / across) as usize
    }

    /// Writes text with its dark edge; `x` and `y` are the upper left pixel of the edge.
    fn write(self, covered: &mut Covered, text: &str, (x, y): (u32, u32), colour: Rgb) {
        let mut lit = Lit { pixels: Vec::new() };
        let style = MonoTextStyle::new(self.font, BinaryColor::On);
        let Ok(_) = Text::with_baseline(text, Point::zero(), style, Baseline::Top).draw(&mut lit);
        let scale = self.scale;
        let place = |(column, row): (u32, u32)| (x + column * scale, y + row * scale);
        for pixel in &lit.pixels {
            covered.fill(place(*pixel), (3 * scale, 3 * scale), EDGE);
        }
        for pixel in &lit.pixels {
            let (x, y) = place(*pixel);
            covered.fill((x + scale, y + scale), (scale, scale), colour);
        }
    }
}

/// The pixels that letters light up.
struct Lit {
    pixels: Vec<(u32, u32)>,
}

impl OriginDimensions for Lit {
    fn size(&self) -> Size {
        Size::new_equal(u32::MAX)
    }
}

impl DrawTarget for Lit {
    type Color = BinaryColor;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<BinaryColor>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        let lit = pixels.into_iter().filter(|Pixel(_, colour)| colour.is_on());
        self.pixels.extend(lit.filter_map(|Pixel(at, _)| Some((at.x.try_into().ok()?, at.y.try_into().ok()?))));
        Ok(())
    }
}

/// A box of pixels that letters take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    x: u32,
    y: u32,
    width: u32,
    height: u32,
}

impl Place {
    fn meets(&self, other: &Self) -> bool {
        self.x < other.x + other.width
            && other.x < self.x + self.width
            && self.y < other.y + other.height
            && other.y < self.y + self.height
    }
}

/// What has been written in a picture.
#[derive(Debug)]
pub struct Labels {
    letters: Letters,
    picture: (u32, u32),
    taken: Vec<Place>,
}

impl Labels {
    /// None yet.
    pub fn new(letters: Letters, picture: (u32, u32)) -> Self {
        Self { letters, picture, taken: Vec::new() }
    }

    /// Writes text around a pixel, if nothing is written there yet.
    pub fn put_if_free(&mut self, covered: &mut Covered, text: &str, at: (u32, u32), colour: Rgb) {
        let text = self.cut(text);
        if let Some(place) = self.place(text, at, 0)
            && self.is_free(&place)
        {
            self.write(covered, text, place, colour);
        }
    }

    /// Writes text around a pixel or, where something is written there already, above or below; if there is no room, over it.
    pub fn put(&mut self, covered: &mut Covered, text: &str, at: (u32, u32), colour: Rgb) {
        let text = self.cut(text);
        let nearby = (0..=NEARBY).flat_map(|lines| [lines, -lines]);
        let free = nearby.filter_map(|lines| self.place(text, at, lines)).find(|place| self.is_free(place));
        if let Some(place) = free.or_else(|| self.place(text, at, 0)) {
            self.write(covered, text, place, colour);
        }
    }

    /// As much of a text as a row of the picture holds.
    fn cut<'t>(&self, text: &'t str) -> &'t str {
        let end = text.char_indices().nth(self.letters.fit(self.picture.0)).map_or(text.len(), |(at, _)| at);
        &text[..end]
    }

    /// Where a text stands around a pixel, so many lines below; moved into the picture. None of a text without letters, or where the
    /// picture is lower than a letter.
    fn place(&self, text: &str, at: (u32, u32), lines: i64) -> Option<Place> {
        let (width, height) = self.letters.size(u32::try_from(text.chars().count()).ok().filter(|count| *count > 0)?);
        let start = |at: u32, lines: i64, size: u32, side: u32| {
            let last = i64::from(side.checked_sub(size)?);
            let start = i64::from(at) - i64::from(size / 2) + lines * i64::from(size);
            u32::try_from(start.clamp(0, last)).ok()
        };
        let (x, y) = (start(at.0, 0, width, self.picture.0)?, start(at.1, lines, height, self.picture.1)?);
        Some(Place { x, y, width, height })
    }

    fn is_free(&self, place: &Place) -> bool {
        !self.taken.iter().any(|taken| taken.meets(place))
    }

    fn write(&mut self, covered: &mut Covered, text: &str, place: Place, colour: Rgb) {
        self.letters.write(covered, text, (place.x, place.y), colour);
        self.taken.push(place);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::super::canvas::tests::covered, *};

    #[test]
    fn letters_grow_with_the_picture_and_never_vanish() {
        let height = |size| Letters::for_picture(size).size(1).1;
        let heights = [(1, 1), (160, 90), (320, 240), (640, 360), (1280, 720), (1920, 1080), (3840, 2160)].map(height);
        assert!(heights.is_sorted(), "{heights:?}");
        assert_eq!((heights[0], heights[6]), (6 + 2, 60 + 6));
    }

    #[test]
    fn what_has_no_room_at_its_place_stands_apart() {
        let size = (640, 360);
        let mut picture = covered(size.0, size.1, 90);
        let mut labels = Labels::new(Letters::for_picture(size), size);
        for _ in 0..6 {
            labels.put(&mut picture, "middle-road", (320, 180), [255; 3]);
        }
        let taken = labels.taken.clone();
        for (index, place) in taken.iter().enumerate() {
            assert!(taken[..index].iter().all(|other| !other.meets(place)), "{place:?}");
        }
        labels.put_if_free(&mut picture, "0.5", (320, 180), [255; 3]);
        assert_eq!(labels.taken, taken);
    }

    #[test]
    fn a_name_is_cut_to_what_the_picture_holds() {
        let size = (60, 40);
        let mut picture = covered(size.0, size.1, 90);
        let mut labels = Labels::new(Letters::for_picture(size), size);
        labels.put(&mut picture, &"x".repeat(64), (59, 39), [255; 3]);
        let place = labels.taken[0];
        assert!(place.x + place.width <= 60 && place.y + place.height <= 40 && place.width > 50, "{place:?}");
    }
}
