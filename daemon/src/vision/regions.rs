//! Where to look: which parts of a picture a model is shown.
//!
//! A region is best shown at the model's own size or up to [`COMFORT`] times it, so that a person of 40 pixels is seen
//! large enough. What is wanted (predicted boxes of tracks, clusters of motion) is gathered greedily: as long as
//! a region stays comfortable it takes in its neighbours. What is larger is shown whole, reduced; and in tiles too, unless it
//! is known to be one large thing, for it may be many small ones.

use snowgate_core::geometry::Rect;

use super::preprocess::PixelRect;

/// A region may be so many times as wide and high as the model's input.
pub const COMFORT: f32 = 1.5;
/// The most tiles of a sweep; on very large pictures tiles grow instead.
pub const MAX_TILES: usize = 32;
/// The most regions that are ever planned for one picture.
pub const MAX_REGIONS: usize = 32;

/// Share of a tile that overlaps with its neighbour.
const OVERLAP: f32 = 0.25;
/// Room around what is wanted: a share of its size and so many pixels, for a detector needs some surroundings.
const MARGIN: f32 = 0.15;
const MARGIN_PIXELS: f32 = 12.0;
/// What lies in a region by this share of its area is covered.
const COVERED: f32 = 0.97;
/// All of it, but for rounding.
const ALL: f32 = 0.9999;

/// A part of the picture that a model should be shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wanted {
    /// Fractions of the frame.
    pub rect: Rect,
    /// Whether it is known what is there, so that it need not be searched for small things if it is large.
    pub known: bool,
}

/// Plans the regions of one model.
#[derive(Debug)]
pub struct Planner {
    /// The smallest input: regions are no smaller, for enlarging shows nothing new.
    smallest: (f32, f32),
    /// The largest comfortable region.
    comfortable: (f32, f32),
    /// The model's input sizes, smallest first.
    inputs: Vec<(u32, u32)>,
    /// What regions grow from: pixel boxes (left, top, right, bottom).
    contents: Vec<Content>,
    regions: Vec<PixelRect>,
    limit: usize,
    cut: usize,
}

impl Planner {
    /// For a model that is shown inputs of these sizes, smallest first, and `limit` regions of a picture at the most.
    pub fn new(input_sizes: &[(u32, u32)], limit: u32) -> Self {
        let float = |size: Option<&(u32, u32)>| size.map_or((320.0, 320.0), |size| (size.0 as f32, size.1 as f32));
        let (smallest, largest) = (float(input_sizes.first()), float(input_sizes.last()));
        Self {
            smallest,
            comfortable: (largest.0 * COMFORT, largest.1 * COMFORT),
            inputs: input_sizes.to_vec(),
            contents: Vec::with_capacity(MAX_REGIONS),
            regions: Vec::with_capacity(MAX_REGIONS),
            limit: (limit as usize).clamp(1, MAX_REGIONS),
            cut: 0,
        }
    }

    /// Plans at most so many regions of a picture from now on.
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = (limit as usize).clamp(1, MAX_REGIONS);
    }

    /// Plans a picture of `frame` pixels: what is `wanted`, the most urgent first, then `fixed` regions (tiles of a sweep) as
    /// long as there is room. Answers how many of those will have been shown.
    pub fn plan(&mut self, frame: (u32, u32), wanted: &[Wanted], fixed: &[PixelRect]) -> usize {
        self.regions.clear();
        self.contents.clear();
        self.cut = 0;
        let size = (frame.0 as f32, frame.1 as f32);
        let comfortable = (self.comfortable.0.min(size.0), self.comfortable.1.min(size.1));
        for Wanted { rect, known } in wanted {
            let content = with_margin(rect, size);
            if content[2] - content[0] < 1.0 || content[3] - content[1] < 1.0 {
                continue;
            }
            let joins = |other: &Content| {
                let both = union(&other.edges, &content);
                let cost = |edges: &[f32; 4]| input_area(&self.inputs, &self.around(edges, size));
                fits(&both, comfortable) && cost(&both) <= cost(&other.edges) + cost(&content)
            };
            match self.contents.iter().position(joins) {
                Some(i) => {
                    let edges = union(&self.contents[i].edges, &content);
                    self.contents[i] = Content { edges, must_be_covered: ALL, ..self.contents[i] };
                }
                None if self.contents.len() < MAX_REGIONS => {
                    self.contents.push(Content { edges: content, must_be_covered: COVERED, searched: !known });
                }
                None => self.cut += 1,
            }
        }
        // Small contents first: their regions may already cover what is large.
        self.contents.sort_by_key(|content| !fits(&content.edges, comfortable));
        for i in 0..self.contents.len() {
            let Content { edges: content, must_be_covered, searched } = self.contents[i];
            let region = self.around(&content, size);
            if !self.is_covered(&content, must_be_covered) {
                self.add(region);
            }
            if searched && !fits(&content, comfortable) {
                let tiles = Tiles::new((content[2] - content[0], content[3] - content[1]), comfortable);
                for [left, top, right, bottom] in tiles {
                    let tile = [left + content[0], top + content[1], right + content[0], bottom + content[1]];
                    if !self.is_covered(&tile, COVERED) {
                        let region = self.around(&tile, size);
                        self.add(region);
                    }
                }
            }
        }
        for (shown, region) in fixed.iter().enumerate() {
            let [x, y] = [region.x as f32, region.y as f32];
            if self.is_covered(&[x, y, x + region.width as f32, y + region.height as f32], COVERED) {
                continue;
            }
            if self.regions.len() >= self.limit {
                return shown;
            }
            self.regions.push(*region);
        }
        fixed.len()
    }

    /// The regions of the last plan.
    pub fn regions(&self) -> &[PixelRect] {
        &self.regions
    }

    /// How many regions the last plan left out for being too many.
    pub fn cut(&self) -> usize {
        self.cut
    }

    /// The tiles that show all of a frame: first the whole of it, reduced, then overlapping comfortable ones.
    pub fn sweep(&self, frame: (u32, u32), tiles: &mut Vec<PixelRect>) {
        let size = (frame.0 as f32, frame.1 as f32);
        tiles.clear();
        tiles.push(PixelRect { x: 0, y: 0, width: frame.0, height: frame.1 });
        let mut side = self.comfortable;
        while Tiles::new(size, side).count() > MAX_TILES {
            side = (side.0 * 1.2, side.1 * 1.2);
        }
        if side.0 < size.0 || side.1 < size.1 {
            tiles.extend(Tiles::new(size, side).map(whole_pixels));
        }
    }

    fn add(&mut self, region: PixelRect) {
        if self.regions.len() < self.limit {
            self.regions.push(region);
        } else {
            self.cut += 1;
        }
    }

    fn is_covered(&self, [left, top, right, bottom]: &[f32; 4], share: f32) -> bool {
        let area = (right - left) * (bottom - top);
        self.regions.iter().any(|region| {
            let width = right.min(region.right() as f32) - left.max(region.x as f32);
            let height = bottom.min(region.bottom() as f32) - top.max(region.y as f32);
            // A region that shows it much smaller does not replace a closer look.
            let scale = region.width as f32 / self.comfortable.0;
            width > 0.0 && height > 0.0 && width * height >= share * area && scale <= 1.01
        })
    }

    /// A region of the input's proportions around a content, moved into the frame.
    fn around(&self, [left, top, right, bottom]: &[f32; 4], frame: (f32, f32)) -> PixelRect {
        let (width, height) = (right - left, bottom - top);
        let scale = (width / self.smallest.0).max(height / self.smallest.1).max(1.0);
        let place = |low: f32, high: f32, side: f32, most: f32| {
            let side = side.min(most);
            let start = ((low + high - side) / 2.0).clamp(0.0, most - side);
            (start, start + side)
        };
        let (left, right) = place(*left, *right, self.smallest.0 * scale, frame.0);
        let (top, bottom) = place(*top, *bottom, self.smallest.1 * scale, frame.1);
        whole_pixels([left, top, right, bottom])
    }
}

/// What a region is to show.
#[derive(Debug, Clone, Copy)]
struct Content {
    edges: [f32; 4],
    /// The share of it that another region must show to do for it: all of it where several things were joined, because one
    /// of them may be the part that is left out.
    must_be_covered: f32,
    /// Whether it is shown in tiles too where it is large.
    searched: bool,
}

/// The place of the input that shows a region: the smallest that shows it without reducing it much, the largest for what is
/// larger still. `None` if there are no inputs.
pub fn input_for(inputs: impl Iterator<Item = (u32, u32)>, region: &PixelRect) -> Option<usize> {
    let mut last = None;
    for (index, (width, height)) in inputs.enumerate() {
        last = Some(index);
        if region.width as f32 <= width as f32 * 1.25 && region.height as f32 <= height as f32 * 1.25 {
            break;
        }
    }
    last
}

/// What showing a region costs, in pixels of the input: inference takes time in proportion to them.
fn input_area(inputs: &[(u32, u32)], region: &PixelRect) -> u64 {
    let input = input_for(inputs.iter().copied(), region).and_then(|index| inputs.get(index));
    input.map_or(1, |(width, height)| u64::from(*width) * u64::from(*height))
}

fn with_margin(rect: &Rect, frame: (f32, f32)) -> [f32; 4] {
    let (x, y) = (rect.width * MARGIN * frame.0 + MARGIN_PIXELS, rect.height * MARGIN * frame.1 + MARGIN_PIXELS);
    [
        (rect.x * frame.0 - x).clamp(0.0, frame.0),
        (rect.y * frame.1 - y).clamp(0.0, frame.1),
        (rect.right() * frame.0 + x).clamp(0.0, frame.0),
        (rect.bottom() * frame.1 + y).clamp(0.0, frame.1),
    ]
}

fn union(a: &[f32; 4], b: &[f32; 4]) -> [f32; 4] {
    [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]
}

fn fits(content: &[f32; 4], size: (f32, f32)) -> bool {
    content[2] - content[0] <= size.0 + 0.5 && content[3] - content[1] <= size.1 + 0.5
}

fn whole_pixels([left, top, right, bottom]: [f32; 4]) -> PixelRect {
    let (x, y) = (left.floor() as u32, top.floor() as u32);
    PixelRect { x, y, width: (right.ceil() as u32).saturating_sub(x), height: (bottom.ceil() as u32).saturating_sub(y) }
}

/// Equally spaced tiles that cover an area and overlap.
struct Tiles {
    area: (f32, f32),
    side: (f32, f32),
    columns: usize,
    rows: usize,
    next: usize,
}

impl Tiles {
    fn new(area: (f32, f32), side: (f32, f32)) -> Self {
        let side = (side.0.min(area.0), side.1.min(area.1));
        let count = |area: f32, side: f32| {
            let step = side * (1.0 - OVERLAP);
            if area <= side { 1 } else { ((area - side) / step).ceil() as usize + 1 }
        };
        Self { area, side, columns: count(area.0, side.0), rows: count(area.1, side.1), next: 0 }
    }
}

impl Iterator for Tiles {
    type Item = [f32; 4];

    fn next(&mut self) -> Option<[f32; 4]> {
        let (column, row) = (self.next % self.columns, self.next / self.columns);
        if row >= self.rows {
            return None;
        }
        self.next += 1;
        let start = |index: usize, count: usize, area: f32, side: f32| {
            if count > 1 { (area - side) * index as f32 / (count - 1) as f32 } else { 0.0 }
        };
        let left = start(column, self.columns, self.area.0, self.side.0);
        let top = start(row, self.rows, self.area.1, self.side.1);
        Some([left, top, left + self.side.0, top + self.side.1])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What moves, and nobody knows yet what it is.
    fn unknown(rects: impl IntoIterator<Item = Rect>) -> Vec<Wanted> {
        rects.into_iter().map(|rect| Wanted { rect, known: false }).collect()
    }

    fn covered(regions: &[PixelRect], rect: &Rect, frame: (u32, u32)) -> bool {
        regions.iter().any(|region| rect.share_inside(&region.in_frame(frame.0, frame.1)) > 0.99)
    }

    #[test]
    fn neighbours_share_a_region_and_strangers_do_not() {
        let mut planner = Planner::new(&[(300, 300)], 6);
        let frame = (1920, 1080);
        let person = |x: f32| Rect::new(x / 1920.0, 0.5, 30.0 / 1920.0, 70.0 / 1080.0);
        planner.plan(frame, &unknown([person(500.0), person(640.0)]), &[]);
        assert_eq!(planner.regions().len(), 1);
        assert_eq!((planner.regions()[0].width, planner.regions()[0].height), (300, 300));
        planner.plan(frame, &unknown([person(500.0), person(1200.0)]), &[]);
        assert_eq!(planner.regions().len(), 2);
        planner.plan(frame, &[], &[]);
        assert!(planner.regions().is_empty());
    }

    #[test]
    fn regions_are_joined_only_where_one_is_cheaper_than_two() {
        let mut planner = Planner::new(&[(320, 192), (640, 384)], 6);
        let frame = (1920, 1080);
        let face = |x: f32| Rect::new(x / 1920.0, 0.5, 40.0 / 1920.0, 50.0 / 1080.0);
        planner.plan(frame, &unknown([face(500.0), face(620.0)]), &[]);
        assert_eq!(planner.regions().len(), 1, "both fit the small input");
        planner.plan(frame, &unknown([face(500.0), face(1000.0)]), &[]);
        assert_eq!(planner.regions().len(), 2, "the large input costs as much as four small ones");
    }

    #[test]
    fn what_is_large_is_seen_whole_and_close() {
        let mut planner = Planner::new(&[(300, 300)], 32);
        let frame = (1280, 720);
        let truck = Rect::new(0.1, 0.1, 0.7, 0.8);
        planner.plan(frame, &unknown([truck]), &[]);
        assert!(covered(planner.regions(), &truck, frame), "whole");
        let close = planner.regions().iter().filter(|region| region.width <= 451).count();
        assert!(close >= 4, "{:?}", planner.regions());
        planner.plan(frame, &[Wanted { rect: truck, known: true }], &[]);
        assert!(covered(planner.regions(), &truck, frame));
        assert_eq!(planner.regions().len(), 1, "a truck that is known is shown once");
    }

    #[test]
    fn what_is_too_much_is_counted() {
        let mut planner = Planner::new(&[(300, 300)], 3);
        let wanted: Vec<Rect> = (0..8).map(|i| Rect::new(0.12 * i as f32, 0.1, 0.02, 0.05)).collect();
        planner.plan((3840, 2160), &unknown(wanted), &[]);
        assert_eq!(planner.regions().len(), 3);
        assert!(planner.cut() >= 2, "{}", planner.cut());
    }

    proptest! {
        #[test]
        fn regions_lie_in_the_frame_and_show_what_is_wanted(
            frame in (64u32..4000, 64u32..2500), fixed: bool,
            wanted in prop::collection::vec((-0.1f32..1.0, -0.1f32..1.0, 0.0f32..0.6, 0.0f32..0.6), 0..30),
        ) {
            let sizes: &[(u32, u32)] = if fixed { &[(300, 300)] } else { &[(320, 192), (640, 384)] };
            let mut planner = Planner::new(sizes, 32);
            let wanted: Vec<Rect> = wanted.into_iter().map(|(x, y, w, h)| Rect::new(x, y, w, h)).collect();
            planner.plan(frame, &unknown(wanted.iter().copied()), &[]);
            prop_assert!(planner.regions().len() <= MAX_REGIONS);
            for region in planner.regions() {
                prop_assert!(region.right() <= frame.0 && region.bottom() <= frame.1, "{region:?}");
                prop_assert!(region.width > 0 && region.height > 0);
            }
            if planner.cut() == 0 {
                for rect in wanted.iter().map(Rect::clamped).filter(|rect| rect.area() > 1e-4) {
                    let whole = covered(planner.regions(), &rect, frame);
                    // What a comfortable region covers nearly whole is not shown again.
                    let nearly = planner.regions().iter().any(|r| rect.share_inside(&r.in_frame(frame.0, frame.1)) > 0.75);
                    prop_assert!(whole || nearly, "{rect:?} of {frame:?} in {:?}", planner.regions());
                }
            }
        }

        #[test]
        fn a_sweep_shows_everything(frame in (64u32..8000, 64u32..5000), at in (0.0f32..1.0, 0.0f32..1.0)) {
            let mut tiles = Vec::new();
            Planner::new(&[(300, 300)], 6).sweep(frame, &mut tiles);
            prop_assert!(tiles.len() <= MAX_TILES + 1);
            prop_assert!(tiles.iter().all(|tile| tile.right() <= frame.0 + 1 && tile.bottom() <= frame.1 + 1));
            let close = if tiles.len() > 1 { &tiles[1..] } else { &tiles[..] };
            // A thing of a sixteenth of a tile's side lies in one of them whole.
            let side = close[0].width.min(close[0].height) as f32 / 16.0;
            let (x, y) = (at.0 * (frame.0 as f32 - side), at.1 * (frame.1 as f32 - side));
            let thing = Rect::new(x / frame.0 as f32, y / frame.1 as f32, side / frame.0 as f32, side / frame.1 as f32);
            prop_assert!(covered(close, &thing, frame));
        }
    }
}
