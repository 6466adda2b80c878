//! A region of a picture, straight from its I420 or NV12 planes into a model's input tensor.
//!
//! One pass over output rows: source rows are blended into a line of floats (Y, U and V each at its own resolution), the
//! lines are resampled to the output's columns, converted to RGB and normalised. There is never an RGB picture.
//! Resampling is bilinear up to a scale of two and averages areas beyond it, so strong reductions do not alias.
//! Chroma is taken to be sited in the middle of its four luma samples.
//!
//! Masked pixels are black, whatever part of a masked pixel an output pixel would have seen.

use snowgate_core::{choice, geometry::Rect};

use super::masks::Masks;
use crate::camera::pixels::{Chroma, Pixels, Plane};

/// A rectangle of whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PixelRect {
    /// Left column.
    pub x: u32,
    /// Top row.
    pub y: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl PixelRect {
    /// The whole picture.
    pub fn whole(pixels: &Pixels<'_>) -> Self {
        Self { x: 0, y: 0, width: pixels.luma.width as u32, height: pixels.luma.height as u32 }
    }

    /// This rectangle in fractions of a frame of `width` × `height` pixels.
    pub fn in_frame(&self, width: u32, height: u32) -> Rect {
        let (w, h) = (width.max(1) as f32, height.max(1) as f32);
        Rect::new(self.x as f32 / w, self.y as f32 / h, self.width as f32 / w, self.height as f32 / h)
    }

    /// This rectangle cut to a frame of `width` × `height` pixels.
    pub fn clamped(&self, width: u32, height: u32) -> Self {
        let (x, y) = (self.x.min(width), self.y.min(height));
        Self { x, y, width: self.width.min(width - x), height: self.height.min(height - y) }
    }

    /// First column to the right of it.
    pub fn right(&self) -> u32 {
        self.x.saturating_add(self.width)
    }

    /// First row below it.
    pub fn bottom(&self) -> u32 {
        self.y.saturating_add(self.height)
    }
}

choice! {
    /// How a tensor's values are laid out; batch size is one.
    pub enum Layout {
        /// Three planes, one a channel.
        Nchw = "nchw",
        /// Three values a pixel.
        Nhwc = "nhwc",
    }
}

choice! {
    /// Order of the channels.
    pub enum Colour {
        /// Red first.
        Rgb = "rgb",
        /// Blue first.
        Bgr = "bgr",
    }
}

choice! {
    /// How a region is brought to the input's size.
    pub enum Fit {
        /// Proportions kept, placed at the top left, the rest filled with grey (114, as the YOLO family was trained).
        Letterbox = "letterbox",
        /// Stretched to fill the input.
        Stretch = "stretch",
    }
}

/// The brightness that fills what a letterbox leaves over.
pub const PADDING: f32 = 114.0;

/// What a model wants to see.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Format {
    /// Layout of the values.
    pub layout: Layout,
    /// Order of the channels.
    pub colour: Colour,
    /// How a region is brought to size.
    pub fit: Fit,
    /// Subtracted from each channel's 0..255, in the order of `colour`.
    pub mean: [f32; 3],
    /// Then divided by, in the order of `colour`.
    pub std: [f32; 3],
}

/// Where a region lies in an input: maps a model's boxes back to the frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    /// The region of the picture.
    pub region: PixelRect,
    /// Picture pixels per input pixel, across.
    pub scale_x: f32,
    /// Picture pixels per input pixel, down.
    pub scale_y: f32,
    /// Width of the picture in pixels.
    pub frame_width: f32,
    /// Height of the picture in pixels.
    pub frame_height: f32,
}

impl Placement {
    /// Where a region of a picture comes to lie in an input of the given size.
    pub fn new(region: PixelRect, frame: (u32, u32), input: (u32, u32), fit: Fit) -> Self {
        let across = region.width.max(1) as f32 / input.0.max(1) as f32;
        let down = region.height.max(1) as f32 / input.1.max(1) as f32;
        let (scale_x, scale_y) = match fit {
            Fit::Stretch => (across, down),
            Fit::Letterbox => (across.max(down), across.max(down)),
        };
        let (frame_width, frame_height) = (frame.0.max(1) as f32, frame.1.max(1) as f32);
        Self { region, scale_x, scale_y, frame_width, frame_height }
    }

    /// A box in input pixels (left, top, right, bottom) as fractions of the frame, cut to the region: a model sees
    /// nothing beyond it.
    pub fn to_frame(&self, left: f32, top: f32, right: f32, bottom: f32) -> Rect {
        let (w, h) = (self.region.width as f32, self.region.height as f32);
        let x = |x: f32| (self.region.x as f32 + (x * self.scale_x).clamp(0.0, w)) / self.frame_width;
        let y = |y: f32| (self.region.y as f32 + (y * self.scale_y).clamp(0.0, h)) / self.frame_height;
        Rect::from_edges(x(left), y(top), x(right), y(bottom))
    }
}

/// The buffers of [`Preprocessor::fill`]; reused from call to call.
#[derive(Debug, Default)]
pub struct Preprocessor {
    luma_columns: Taps,
    luma_rows: Taps,
    chroma_columns: Taps,
    chroma_rows: Taps,
    blended: Vec<f32>,
    y: Vec<f32>,
    u: Vec<f32>,
    v: Vec<f32>,
}

impl Preprocessor {
    /// Fills `tensor` (3 × `input.0` × `input.1` values; width first) with a region of the picture and tells where it lies.
    ///
    /// The region is cut to the picture; an empty one gives an input of padding. A tensor of another length is left alone.
    pub fn fill(
        &mut self,
        pixels: &Pixels<'_>,
        masks: &Masks,
        region: PixelRect,
        input: (u32, u32),
        format: &Format,
        tensor: &mut [f32],
    ) -> Placement {
        let frame = (pixels.luma.width as u32, pixels.luma.height as u32);
        let region = region.clamped(frame.0, frame.1);
        let placement = Placement::new(region, frame, input, format.fit);
        let (in_width, in_height) = (input.0 as usize, input.1 as usize);
        if tensor.len() != 3 * in_width * in_height {
            return placement;
        }
        let (content_width, content_height) = if region.width == 0 || region.height == 0 {
            (0, 0)
        } else {
            let size = |pixels: u32, scale: f32, most: usize| ((pixels as f32 / scale).round() as usize).clamp(1, most);
            (size(region.width, placement.scale_x, in_width), size(region.height, placement.scale_y, in_height))
        };
        let to_rgb = Matrix::new(pixels.full_range, pixels.bt709);
        let normalise = Normalise::new(format);
        let mut writer = Writer { format, normalise, in_width, in_height, tensor };
        if content_width > 0 && content_height > 0 {
            self.prepare(pixels, &placement, content_width, content_height);
            for row in 0..content_height {
                self.resample_row(pixels, row);
                writer.row(row, &self.y, &self.u, &self.v, &to_rgb);
                if !masks.is_empty() {
                    black_out(masks, &placement, &self.luma_rows, &self.luma_columns, row, &mut writer);
                }
                writer.pad(row, content_width..in_width);
            }
        }
        for row in content_height..in_height {
            writer.pad(row, 0..in_width);
        }
        placement
    }

    fn prepare(&mut self, pixels: &Pixels<'_>, placement: &Placement, width: usize, height: usize) {
        let region = placement.region;
        let chroma = match &pixels.chroma {
            Chroma::Planar { u, .. } => u,
            Chroma::Interleaved { uv } => uv,
        };
        let (scale_x, scale_y) = (placement.scale_x, placement.scale_y);
        let (x, y) = (region.x as f32, region.y as f32);
        self.luma_columns.build(x, scale_x, width, region.x as usize..region.right() as usize);
        self.luma_rows.build(y, scale_y, height, region.y as usize..region.bottom() as usize);
        let half = |start: u32, end: u32, most: usize| {
            let end = (end as usize).div_ceil(2).min(most);
            (start as usize / 2).min(end.saturating_sub(1))..end
        };
        self.chroma_columns.build(x / 2.0, scale_x / 2.0, width, half(region.x, region.right(), chroma.width));
        self.chroma_rows.build(y / 2.0, scale_y / 2.0, height, half(region.y, region.bottom(), chroma.height));
        for line in [&mut self.y, &mut self.u, &mut self.v] {
            line.resize(width, 0.0);
        }
    }

    /// Brings one output row of Y, U and V to the output's width.
    fn resample_row(&mut self, pixels: &Pixels<'_>, row: usize) {
        blend_rows(&pixels.luma, &self.luma_rows, row, &self.luma_columns.span, 1, &mut self.blended);
        self.luma_columns.apply::<1>(&self.blended, 0, &mut self.y);
        match &pixels.chroma {
            Chroma::Planar { u, v } => {
                for (plane, line) in [(u, &mut self.u), (v, &mut self.v)] {
                    blend_rows(plane, &self.chroma_rows, row, &self.chroma_columns.span, 1, &mut self.blended);
                    self.chroma_columns.apply::<1>(&self.blended, 0, line);
                }
            }
            Chroma::Interleaved { uv } => {
                blend_rows(uv, &self.chroma_rows, row, &self.chroma_columns.span, 2, &mut self.blended);
                self.chroma_columns.apply::<2>(&self.blended, 0, &mut self.u);
                self.chroma_columns.apply::<2>(&self.blended, 1, &mut self.v);
            }
        }
    }
}

/// Which source samples each output sample is made of: equally many for each, with weights that sum to one.
#[derive(Debug, Default)]
struct Taps {
    /// First and last source sample used by any output sample.
    span: std::ops::Range<usize>,
    per_output: usize,
    /// Index of the first sample, counted from `span.start`.
    first: Vec<u32>,
    weights: Vec<f32>,
}

impl Taps {
    /// Output sample i covers the source from `start + i * scale` to `start + (i + 1) * scale`, sample k being the
    /// interval from k to k + 1; samples outside `bounds` repeat the outermost ones.
    fn build(&mut self, start: f32, scale: f32, outputs: usize, bounds: std::ops::Range<usize>) {
        let bounds = bounds.start..bounds.end.max(bounds.start + 1);
        let available = bounds.len();
        self.per_output = if scale > 2.0 { scale.ceil() as usize + 1 } else { 2 }.min(available);
        self.span = bounds.clone();
        self.first.clear();
        self.weights.clear();
        self.weights.resize(outputs * self.per_output, 0.0);
        let last_first = available - self.per_output;
        for (i, weights) in self.weights.chunks_exact_mut(self.per_output).enumerate() {
            let from = start + i as f32 * scale - bounds.start as f32;
            let centre = from + scale / 2.0 - 0.5;
            let (low, high) = if scale > 2.0 { (from, from + scale) } else { (centre, centre + 1.0) };
            let first = (low.floor().max(0.0) as usize).min(last_first);
            self.first.push(first as u32);
            let mut total = 0.0;
            let whole = if scale > 2.0 { scale } else { 1.0 };
            for k in (low.floor() as i64)..=(high.ceil() as i64) {
                let share = if scale > 2.0 {
                    ((k + 1) as f32).min(high) - (k as f32).max(low)
                } else {
                    1.0 - (k as f32 - centre).abs()
                };
                if share > 0.0 {
                    let index = (k.clamp(0, available as i64 - 1) as usize).clamp(first, first + weights.len() - 1);
                    weights[index - first] += share / whole;
                    total += share / whole;
                }
            }
            if total > 0.0 {
                weights.iter_mut().for_each(|weight| *weight /= total);
            } else {
                weights[0] = 1.0;
            }
        }
    }

    /// Resamples a line of samples `STEP` apart.
    fn apply<const STEP: usize>(&self, line: &[f32], offset: usize, out: &mut [f32]) {
        if self.per_output == 2 {
            for ((out, first), weights) in out.iter_mut().zip(&self.first).zip(self.weights.chunks_exact(2)) {
                let at = *first as usize * STEP + offset;
                *out = line[at] * weights[0] + line[at + STEP] * weights[1];
            }
        } else {
            for ((out, first), weights) in
                out.iter_mut().zip(&self.first).zip(self.weights.chunks_exact(self.per_output))
            {
                let samples = line[*first as usize * STEP + offset..].iter().step_by(STEP);
                *out = samples.zip(weights).map(|(sample, weight)| sample * weight).sum();
            }
        }
    }
}

/// Blends the source rows of one output row over the columns in `span`; `step` samples a column.
fn blend_rows(
    plane: &Plane<'_>,
    rows: &Taps,
    row: usize,
    span: &std::ops::Range<usize>,
    step: usize,
    line: &mut Vec<f32>,
) {
    let first = rows.span.start + rows.first[row] as usize;
    let weights = &rows.weights[row * rows.per_output..(row + 1) * rows.per_output];
    line.resize(span.len() * step, 0.0);
    for (k, weight) in weights.iter().enumerate() {
        let start = (first + k) * plane.stride + span.start * step;
        let samples = &plane.data[start..start + span.len() * step];
        if k == 0 {
            line.iter_mut().zip(samples).for_each(|(out, sample)| *out = f32::from(*sample) * weight);
        } else if *weight > 0.0 {
            line.iter_mut().zip(samples).for_each(|(out, sample)| *out += f32::from(*sample) * weight);
        }
    }
}

/// YUV to RGB by ITU-R BT.601 or BT.709; the range's scaling is part of the coefficients.
#[derive(Debug, Clone, Copy)]
struct Matrix {
    luma: f32,
    black: f32,
    red_v: f32,
    green_u: f32,
    green_v: f32,
    blue_u: f32,
}

impl Matrix {
    fn new(full_range: bool, bt709: bool) -> Self {
        let (kr, kb) = if bt709 { (0.2126, 0.0722) } else { (0.299, 0.114) };
        let kg = 1.0 - kr - kb;
        let (luma, black, chroma) = if full_range { (1.0, 0.0, 1.0) } else { (255.0 / 219.0, 16.0, 255.0 / 224.0) };
        Self {
            luma,
            black,
            red_v: 2.0 * (1.0 - kr) * chroma,
            green_u: -2.0 * kb * (1.0 - kb) / kg * chroma,
            green_v: -2.0 * kr * (1.0 - kr) / kg * chroma,
            blue_u: 2.0 * (1.0 - kb) * chroma,
        }
    }

    fn rgb(&self, y: f32, u: f32, v: f32) -> [f32; 3] {
        let (y, u, v) = ((y - self.black) * self.luma, u - 128.0, v - 128.0);
        [y + self.red_v * v, y + self.green_u * u + self.green_v * v, y + self.blue_u * u]
            .map(|channel| channel.clamp(0.0, 255.0))
    }
}

/// `value * scale + offset` is `(value - mean) / std`, by position in the tensor.
#[derive(Debug, Clone, Copy)]
struct Normalise {
    scale: [f32; 3],
    offset: [f32; 3],
    /// Which of red, green, blue stands at each position.
    order: [usize; 3],
}

impl Normalise {
    fn new(format: &Format) -> Self {
        let order = match format.colour {
            Colour::Rgb => [0, 1, 2],
            Colour::Bgr => [2, 1, 0],
        };
        let scale = format.std.map(|std| 1.0 / std);
        let offset = std::array::from_fn(|i| -format.mean[i] / format.std[i]);
        Self { scale, offset, order }
    }
}

/// Writes rows into a tensor in the model's layout.
struct Writer<'a> {
    format: &'a Format,
    normalise: Normalise,
    in_width: usize,
    in_height: usize,
    tensor: &'a mut [f32],
}

impl Writer<'_> {
    fn row(&mut self, row: usize, y: &[f32], u: &[f32], v: &[f32], to_rgb: &Matrix) {
        let Normalise { scale, offset, order } = self.normalise;
        let start = row * self.in_width;
        match self.format.layout {
            Layout::Nchw => {
                let (first, rest) = self.tensor.split_at_mut(self.in_width * self.in_height);
                let (second, third) = rest.split_at_mut(self.in_width * self.in_height);
                let planes = first[start..].iter_mut().zip(&mut second[start..]).zip(&mut third[start..]);
                for (((a, b), c), ((y, u), v)) in planes.zip(y.iter().zip(u).zip(v)) {
                    let rgb = to_rgb.rgb(*y, *u, *v);
                    *a = rgb[order[0]] * scale[0] + offset[0];
                    *b = rgb[order[1]] * scale[1] + offset[1];
                    *c = rgb[order[2]] * scale[2] + offset[2];
                }
            }
            Layout::Nhwc => {
                for (out, ((y, u), v)) in self.tensor[start * 3..].chunks_exact_mut(3).zip(y.iter().zip(u).zip(v)) {
                    let rgb = to_rgb.rgb(*y, *u, *v);
                    for i in 0..3 {
                        out[i] = rgb[order[i]] * scale[i] + offset[i];
                    }
                }
            }
        }
    }

    /// Fills columns of a row with one brightness.
    fn grey(&mut self, row: usize, columns: std::ops::Range<usize>, brightness: f32) {
        let Normalise { scale, offset, .. } = self.normalise;
        let start = row * self.in_width;
        for channel in 0..3 {
            let value = brightness * scale[channel] + offset[channel];
            match self.format.layout {
                Layout::Nchw => {
                    let plane = channel * self.in_width * self.in_height + start;
                    self.tensor[plane + columns.start..plane + columns.end].fill(value);
                }
                Layout::Nhwc => {
                    let pixels = &mut self.tensor[(start + columns.start) * 3..(start + columns.end) * 3];
                    pixels.iter_mut().skip(channel).step_by(3).for_each(|out| *out = value);
                }
            }
        }
    }

    fn pad(&mut self, row: usize, columns: std::ops::Range<usize>) {
        self.grey(row, columns, PADDING);
    }
}

/// Blackens the output pixels of a row that were made of masked pixels, chroma's neighbours included.
fn black_out(masks: &Masks, placement: &Placement, rows: &Taps, columns: &Taps, row: usize, writer: &mut Writer<'_>) {
    let first = rows.span.start + rows.first[row] as usize;
    // Chroma is shared by two rows and columns and interpolated: it reaches up to two pixels beyond luma's samples.
    let reach = 2.0 + placement.scale_x;
    for y in first.saturating_sub(2)..first + rows.per_output + 2 {
        for span in masks.row(y) {
            let to_output = |x: f32| (x - placement.region.x as f32) / placement.scale_x;
            let start = to_output(span.start as f32 - reach).floor().max(0.0) as usize;
            let end = (to_output(span.end as f32 + reach).ceil().max(0.0) as usize).min(columns.first.len());
            if start < end {
                writer.grey(row, start..end, 0.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use snowgate_core::geometry::{Point, Polygon};

    use super::*;

    const RAW: Format =
        Format { layout: Layout::Nchw, colour: Colour::Rgb, fit: Fit::Stretch, mean: [0.0; 3], std: [1.0; 3] };

    struct Picture {
        width: usize,
        height: usize,
        luma: Vec<u8>,
        u: Vec<u8>,
        v: Vec<u8>,
        uv: Vec<u8>,
    }

    impl Picture {
        /// Smooth enough that rounding of coordinates cannot matter much, different in every place.
        fn new(width: usize, height: usize, seed: u32) -> Self {
            let (cw, ch) = (width.div_ceil(2), height.div_ceil(2));
            let value = |x: usize, y: usize, salt: u32| {
                let (x, y, s) = (x as f32, y as f32, (seed.wrapping_add(salt) % 97) as f32);
                (128.0 + 60.0 * (x * 0.31 + s).sin() + 60.0 * (y * 0.23 + s * 2.0).cos()) as u8
            };
            let plane = |w: usize, h: usize, stride: usize, salt| {
                let mut data = vec![255; stride * h];
                (0..h).for_each(|y| (0..w).for_each(|x| data[y * stride + x] = value(x, y, salt)));
                data
            };
            let (u, v) = (plane(cw, ch, cw + 3, 1), plane(cw, ch, cw + 3, 2));
            let mut uv = vec![7; (2 * cw + 5) * ch];
            for y in 0..ch {
                for x in 0..cw {
                    uv[y * (2 * cw + 5) + 2 * x] = u[y * (cw + 3) + x];
                    uv[y * (2 * cw + 5) + 2 * x + 1] = v[y * (cw + 3) + x];
                }
            }
            Self { width, height, luma: plane(width, height, width + 7, 0), u, v, uv }
        }

        fn pixels(&self, planar: bool, full_range: bool, bt709: bool) -> Pixels<'_> {
            let (w, h) = (self.width.div_ceil(2), self.height.div_ceil(2));
            let chroma = if planar {
                Chroma::Planar {
                    u: Plane { data: &self.u, stride: w + 3, width: w, height: h },
                    v: Plane { data: &self.v, stride: w + 3, width: w, height: h },
                }
            } else {
                Chroma::Interleaved { uv: Plane { data: &self.uv, stride: 2 * w + 5, width: w, height: h } }
            };
            let luma = Plane { data: &self.luma, stride: self.width + 7, width: self.width, height: self.height };
            Pixels { luma, chroma, full_range, bt709 }
        }
    }

    /// One sample of a plane as a continuous function: the mean over an area, or bilinear.
    fn sample(plane: &[u8], stride: usize, bounds: [usize; 4], at: [f64; 2], scale: [f64; 2]) -> f64 {
        let axis = |centre: f64, scale: f64, low: usize, high: usize| -> Vec<(usize, f64)> {
            let weigh = |k: i64| {
                if scale > 2.0 {
                    let (from, to) = (centre - scale / 2.0, centre + scale / 2.0);
                    (((k + 1) as f64).min(to) - (k as f64).max(from)).max(0.0) / scale
                } else {
                    (1.0 - (k as f64 + 0.5 - centre).abs()).max(0.0)
                }
            };
            let reach = scale.ceil() as i64 + 2;
            (centre as i64 - reach..=centre as i64 + reach)
                .map(|k| (k.clamp(low as i64, high as i64 - 1) as usize, weigh(k)))
                .filter(|(_, weight)| *weight > 0.0)
                .collect()
        };
        let [left, top, right, bottom] = bounds;
        let (xs, ys) = (axis(at[0], scale[0], left, right), axis(at[1], scale[1], top, bottom));
        let total: f64 = ys
            .iter()
            .map(|(y, wy)| xs.iter().map(|(x, wx)| wx * wy * f64::from(plane[y * stride + x])).sum::<f64>())
            .sum();
        total / (xs.iter().map(|x| x.1).sum::<f64>() * ys.iter().map(|y| y.1).sum::<f64>())
    }

    /// Red, green, blue of an output pixel, the slow and plain way.
    fn reference(picture: &Picture, place: &Placement, full: bool, bt709: bool, x: usize, y: usize) -> [f64; 3] {
        let region = place.region;
        let scale = [f64::from(place.scale_x), f64::from(place.scale_y)];
        let at = [f64::from(region.x) + (x as f64 + 0.5) * scale[0], f64::from(region.y) + (y as f64 + 0.5) * scale[1]];
        let bounds = [region.x, region.y, region.right(), region.bottom()].map(|edge| edge as usize);
        let luma = sample(&picture.luma, picture.width + 7, bounds, at, scale);
        let halves = [bounds[0] / 2, bounds[1] / 2, bounds[2].div_ceil(2), bounds[3].div_ceil(2)];
        let chroma = |plane: &[u8]| {
            let stride = picture.width.div_ceil(2) + 3;
            sample(plane, stride, halves, at.map(|c| c / 2.0), scale.map(|s| s / 2.0)) - 128.0
        };
        let (u, v) = (chroma(&picture.u), chroma(&picture.v));
        let (y, u, v) =
            if full { (luma, u, v) } else { ((luma - 16.0) * 255.0 / 219.0, u * 255.0 / 224.0, v * 255.0 / 224.0) };
        // The numbers as ITU-R publishes them.
        let rgb = if bt709 {
            [y + 1.5748 * v, y - 0.187_324 * u - 0.468_124 * v, y + 1.8556 * u]
        } else {
            [y + 1.402 * v, y - 0.344_136 * u - 0.714_136 * v, y + 1.772 * u]
        };
        rgb.map(|channel| channel.clamp(0.0, 255.0))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        #[test]
        fn agrees_with_the_slow_and_plain_way(
            width in 8usize..90, height in 8usize..90, seed in 0u32..1000,
            corner in (0.0f32..0.8, 0.0f32..0.8), size in (0.1f32..1.0, 0.1f32..1.0),
            input in (1u32..50, 1u32..50),
            planar: bool, full_range: bool, bt709: bool, nchw: bool, rgb: bool, letterbox: bool,
        ) {
            let picture = Picture::new(width, height, seed);
            let region = PixelRect {
                x: (corner.0 * width as f32) as u32,
                y: (corner.1 * height as f32) as u32,
                width: ((size.0 * width as f32) as u32).max(2),
                height: ((size.1 * height as f32) as u32).max(2),
            };
            let format = Format {
                layout: if nchw { Layout::Nchw } else { Layout::Nhwc },
                colour: if rgb { Colour::Rgb } else { Colour::Bgr },
                fit: if letterbox { Fit::Letterbox } else { Fit::Stretch },
                mean: [10.0, 20.0, 30.0],
                std: [2.0, 4.0, 8.0],
            };
            let (w, h) = (input.0 as usize, input.1 as usize);
            let mut tensor = vec![f32::NAN; 3 * w * h];
            let pixels = picture.pixels(planar, full_range, bt709);
            let place = Preprocessor::default().fill(&pixels, &Masks::default(), region, input, &format, &mut tensor);
            let content = (
                ((place.region.width as f32 / place.scale_x).round() as usize).clamp(1, w),
                ((place.region.height as f32 / place.scale_y).round() as usize).clamp(1, h),
            );
            for y in 0..h {
                for x in 0..w {
                    let inside = x < content.0 && y < content.1;
                    let expected = if inside {
                        reference(&picture, &place, full_range, bt709, x, y)
                    } else {
                        [f64::from(PADDING); 3]
                    };
                    for channel in 0..3 {
                        let index = if nchw { (channel * h + y) * w + x } else { (y * w + x) * 3 + channel };
                        let value = tensor[index] * format.std[channel] + format.mean[channel];
                        let expected = expected[if rgb { channel } else { 2 - channel }];
                        prop_assert!((f64::from(value) - expected).abs() < 0.75, "({x}, {y}) {channel}: {value} for {expected}");
                    }
                }
            }
        }

        #[test]
        fn boxes_map_back_to_where_they_were(
            x in 0u32..500, y in 0u32..300, width in 10u32..400, height in 10u32..400, letterbox: bool,
            corner in (0.0f32..1.0, 0.0f32..1.0),
        ) {
            let region = PixelRect { x, y, width, height };
            let fit = if letterbox { Fit::Letterbox } else { Fit::Stretch };
            let place = Placement::new(region, (1000, 800), (320, 192), fit);
            let (left, top) = (corner.0 * width as f32, corner.1 * height as f32);
            let rect = place.to_frame(left / place.scale_x, top / place.scale_y, 1e9, f32::INFINITY);
            prop_assert!((rect.x * 1000.0 - (x as f32 + left)).abs() < 0.01);
            prop_assert!((rect.y * 800.0 - (y as f32 + top)).abs() < 0.01);
            prop_assert!((rect.right() * 1000.0 - region.right() as f32).abs() < 0.01);
            prop_assert!((rect.bottom() * 800.0 - region.bottom() as f32).abs() < 0.01);
        }

        #[test]
        fn masked_pixels_leave_no_trace(
            x in 0.1f32..0.6, y in 0.1f32..0.6, region in (0u32..20, 0u32..20, 20u32..60, 20u32..60), input in 8u32..50,
        ) {
            let corners = [(x, y), (x + 0.3, y), (x + 0.3, y + 0.3), (x, y + 0.3)];
            let polygon = Polygon::new(corners.map(|(x, y)| Point::new(x, y)).to_vec()).unwrap();
            let masks = Masks::rasterise(std::slice::from_ref(&polygon), 64, 64);
            let region = PixelRect { x: region.0, y: region.1, width: region.2, height: region.3 };
            // Two pictures that differ under the mask only must give the same input.
            let open = Picture::new(64, 64, 5);
            let mut other = Picture::new(64, 64, 5);
            let chroma_stride = 32 + 3;
            for py in 0..64 {
                for span in masks.row(py) {
                    for px in span.start as usize..span.end as usize {
                        other.luma[py * (64 + 7) + px] = 255;
                        other.u[py / 2 * chroma_stride + px / 2] = 0;
                        other.v[py / 2 * chroma_stride + px / 2] = 255;
                    }
                }
            }
            let mut inputs = [vec![0.0; (3 * input * input) as usize], vec![1.0; (3 * input * input) as usize]];
            for (picture, tensor) in [&open, &other].into_iter().zip(&mut inputs) {
                let pixels = picture.pixels(true, true, false);
                Preprocessor::default().fill(&pixels, &masks, region, (input, input), &RAW, tensor);
            }
            prop_assert!(inputs[0] == inputs[1]);
        }
    }

    #[test]
    fn an_empty_region_is_padding() {
        let picture = Picture::new(16, 16, 1);
        let mut tensor = vec![0.0; 3 * 8 * 8];
        let region = PixelRect { x: 99, y: 99, width: 10, height: 10 };
        let pixels = picture.pixels(true, true, true);
        Preprocessor::default().fill(&pixels, &Masks::default(), region, (8, 8), &RAW, &mut tensor);
        assert!(tensor.iter().all(|value| *value == PADDING));
    }
}
