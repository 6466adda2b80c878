//! A picture to draw on.
//!
//! Letters are the fixed ones that come with the drawing library: a gateway needs no font installed.

use std::convert::Infallible;

use embedded_graphics::{
    Drawable as _, Pixel,
    geometry::{OriginDimensions, Size},
    mono_font::{MonoTextStyle, ascii::FONT_7X13},
    pixelcolor::Rgb888,
    prelude::{DrawTarget, Point, Primitive as _, RgbColor as _},
    primitives::{Line, PrimitiveStyle, Rectangle},
    text::{Baseline, Text},
};
use image::{Rgb, RgbImage};

/// Height of a letter.
pub const TEXT_HEIGHT: i32 = 13;
/// Width of a letter.
pub const TEXT_WIDTH: i32 = 7;

/// A part of the picture with a scale in either direction.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// Its left edge.
    pub left: i32,
    /// Its upper edge.
    pub top: i32,
    /// How wide it is.
    pub width: i32,
    /// How high it is.
    pub height: i32,
}

impl Frame {
    /// Its right edge.
    pub fn right(self) -> i32 {
        self.left + self.width
    }

    /// Its lower edge.
    pub fn bottom(self) -> i32 {
        self.top + self.height
    }

    /// The column of a share of its width, 0 to 1; what lies outside is set on the edge.
    pub fn x(self, share: f64) -> i32 {
        self.left + (share.clamp(0.0, 1.0) * f64::from(self.width)).round() as i32
    }

    /// The row of a share of its height, counted from below.
    pub fn y(self, share: f64) -> i32 {
        self.bottom() - (share.clamp(0.0, 1.0) * f64::from(self.height)).round() as i32
    }
}

/// A picture; what is drawn outside of it is lost.
pub struct Canvas {
    image: RgbImage,
}

impl Canvas {
    /// A white one.
    pub fn new(width: i32, height: i32) -> Self {
        Self { image: RgbImage::from_pixel(width.max(1) as u32, height.max(1) as u32, Rgb([255; 3])) }
    }

    /// The picture.
    pub fn into_image(self) -> RgbImage {
        self.image
    }

    /// A line between two points.
    pub fn line(&mut self, from: (i32, i32), to: (i32, i32), colour: Rgb888) {
        let line = Line::new(Point::new(from.0, from.1), Point::new(to.0, to.1));
        let Ok(()) = line.into_styled(PrimitiveStyle::with_stroke(colour, 1)).draw(self);
    }

    /// A broken line across a frame.
    pub fn dashed(&mut self, frame: Frame, y: i32, colour: Rgb888) {
        for x in (frame.left..frame.right()).step_by(9) {
            self.line((x, y), ((x + 5).min(frame.right()), y), colour);
        }
    }

    /// A frame's columns from one to another.
    pub fn band(&mut self, frame: Frame, from: i32, to: i32, colour: Rgb888) {
        let size = Size::new((to - from).max(0) as u32, frame.height.max(0) as u32);
        let band = Rectangle::new(Point::new(from, frame.top), size);
        let Ok(()) = band.into_styled(PrimitiveStyle::with_fill(colour)).draw(self);
    }

    /// A frame's edges.
    pub fn border(&mut self, frame: Frame, colour: Rgb888) {
        let size = Size::new(frame.width as u32 + 1, frame.height as u32 + 1);
        let border = Rectangle::new(Point::new(frame.left, frame.top), size);
        let Ok(()) = border.into_styled(PrimitiveStyle::with_stroke(colour, 1)).draw(self);
    }

    /// A small square.
    pub fn mark(&mut self, x: i32, y: i32, colour: Rgb888) {
        let mark = Rectangle::new(Point::new(x - 2, y - 2), Size::new(5, 5));
        let Ok(()) = mark.into_styled(PrimitiveStyle::with_fill(colour)).draw(self);
    }

    /// One line of text with its upper left corner there.
    pub fn text(&mut self, x: i32, y: i32, text: &str, colour: Rgb888) {
        let style = MonoTextStyle::new(&FONT_7X13, colour);
        let Ok(_) = Text::with_baseline(text, Point::new(x, y), style, Baseline::Top).draw(self);
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.image.width(), self.image.height())
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(Point { x, y }, colour) in pixels {
            if let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y))
                && let Some(pixel) = self.image.get_pixel_mut_checked(x, y)
            {
                *pixel = Rgb([colour.r(), colour.g(), colour.b()]);
            }
        }
        Ok(())
    }
}
