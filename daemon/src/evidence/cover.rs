//! Which areas of a picture must be covered: every face, and the head region of every person whether a face was found
//! or not.
//!
//! Faces and people are looked for anew in the picture itself, at low thresholds, in the whole frame and in overlapping
//! tiles of it; the people that are known already (the incident's subjects, live tracks) come on top. All of it counts:
//! nothing is weighed against anything, because one area too many hurts nobody. When any look fails, there is no
//! [`Cover`], and without one no picture.

use std::error::Error;

use snowgate_core::geometry::Rect;

use super::tiles::Pyramid;
use crate::{
    camera::pixels::Pixels,
    shutdown::Shutdown,
    vision::{masks::Masks, preprocess::PixelRect},
};

/// What a detector says when it fails.
pub type FindError = Box<dyn Error + Send + Sync>;

/// Something that finds one kind of thing (faces, or people) in a part of a picture, at a threshold low enough to
/// cover by. It says where, never who.
pub trait Find: Send {
    /// Appends a box, in fractions of the frame, for each thing in the region.
    ///
    /// # Errors
    /// The model did not run through: what was found is worthless, because something may have been missed.
    fn find(
        &mut self,
        pixels: &Pixels<'_>,
        masks: &Masks,
        region: PixelRect,
        found: &mut Vec<Rect>,
    ) -> Result<(), FindError>;

    /// Size in pixels of a region that is seen at about its own resolution.
    fn native_size(&self) -> (u32, u32);
}

/// Why it is not known what must be covered.
#[derive(Debug, thiserror::Error)]
pub enum CoverError {
    /// A model did not run through.
    #[error("looking for {what} failed: {source}")]
    Find {
        /// "faces" or "people".
        what: &'static str,
        /// What the model says.
        source: FindError,
    },
    /// The daemon stops.
    #[error("stopped while looking for what must be covered")]
    Stopping,
}

/// A face is covered with this share of its size more on every side: chin, forehead and ears identify too, and boxes
/// are not exact.
const FACE_MARGIN: f32 = 0.3;

/// The head of somebody who stands is in the upper eighth of the body; a box that is cut, drawn loosely or of a child
/// makes that a third.
const HEAD_SHARE: f32 = 0.35;

/// The less upright a person's box, the more of it may be head: half of a portrait's, either end of a lying body's.
const HEAD_TO_WIDTH: f32 = 0.6;

/// A face that is at least so wide, in shares of a person's box, is that person's own and not that of somebody behind.
const OWN_FACE_TO_WIDTH: f32 = 0.25;

/// A head region reaches this share of the box's width beyond it on both sides.
const HEAD_MARGIN_X: f32 = 0.15;

/// And this share of its own height beyond the top of the box.
const HEAD_MARGIN_TOP: f32 = 0.25;

/// Chroma is stored for two by two pixels: areas begin and end between such blocks, so that nothing outside an area
/// shares a sample with anything inside it.
const CHROMA_BLOCK: f32 = 2.0;

/// Faces: what the model is unsure of at twice its size, tilted or in the dark, it may find at its own.
const FACE_GROWTH: u32 = 2;

/// The smallest tiles that faces are looked for in are enlarged so much: at its own resolution the model loses one in
/// four faces of twelve pixels, and more of those that are dark, blurred or tilted.
const FACE_ENLARGED: u32 = 2;

/// Frames larger than this are looked at for faces as if they were so large, or as large as the still if that is more.
/// It is the width of a still unless the operator says otherwise; a narrower one is no reason to look less closely.
const FACE_FINE: u32 = 1280;

/// Frames larger than this are looked at for people as if they were so large.
const PERSON_FINE: u32 = 1920;

/// People: the object model loses what is less than an eighth of its input.
const PERSON_GROWTH: u32 = 2;

/// All areas of one picture that must be covered. Only [`Finder::find`] makes one.
#[derive(Debug)]
pub(super) struct Cover {
    areas: Vec<PixelRect>,
    frame: (u32, u32),
    faces: u32,
    heads: u32,
}

impl Cover {
    /// Areas, each inside the frame; they may overlap.
    pub fn areas(&self) -> &[PixelRect] {
        &self.areas
    }

    /// Size of the picture they belong to.
    pub fn frame(&self) -> (u32, u32) {
        self.frame
    }

    /// How many faces were found; boxes that overlap are one face.
    pub fn faces(&self) -> u32 {
        self.faces
    }

    /// How many people's heads are covered; boxes that overlap are one person.
    pub fn heads(&self) -> u32 {
        self.heads
    }

    /// The same, and what had to be covered in other pictures of the same scene: those of another size cannot be held against it.
    pub fn and<'c>(&self, others: impl Iterator<Item = &'c Self>) -> Self {
        let others = others.filter(|other| other.frame == self.frame).flat_map(|other| &other.areas);
        let areas = self.areas.iter().chain(others).copied().collect();
        Self { areas, frame: self.frame, faces: self.faces, heads: self.heads }
    }

    /// How many pixels lie in one area or more.
    pub fn pixels(&self) -> u32 {
        let mut spans = Vec::new();
        let row = |y: u32| {
            spans.clear();
            let crossing = self.areas.iter().filter(|area| (area.y..area.bottom()).contains(&y));
            spans.extend(crossing.map(|area| (area.x, area.right())));
            spans.sort_unstable();
            let mut reached = 0;
            spans.iter().fold(0, |pixels, (start, end)| {
                let fresh = end.saturating_sub(reached.max(*start));
                reached = reached.max(*end);
                pixels + fresh
            })
        };
        (0..self.frame.1).map(row).sum()
    }

    fn new(frame: (u32, u32), faces: &[Rect], people: &[Rect]) -> Self {
        let areas = faces.iter().map(|face| face_area(face, frame));
        let areas = areas.chain(people.iter().map(|person| head_area(person, has_own_face(person, faces), frame)));
        let areas = areas.filter(|area| area.width > 0 && area.height > 0).collect();
        Self { areas, frame, faces: distinct(faces), heads: distinct(people) }
    }
}

/// Looks for what must be covered.
pub(super) struct Finder {
    faces: Box<dyn Find>,
    people: Box<dyn Find>,
    face_tiles: Pyramid,
    person_tiles: Pyramid,
    shutdown: Shutdown,
}

impl Finder {
    /// Looks with these models; `still` is the width of what is published, in pixels.
    pub fn new(faces: Box<dyn Find>, people: Box<dyn Find>, still: u32, shutdown: Shutdown) -> Self {
        let (width, height) = faces.native_size();
        let finest = (width / FACE_ENLARGED, height / FACE_ENLARGED);
        let face_tiles = Pyramid { finest, growth: FACE_GROWTH, fine: still.max(FACE_FINE) };
        let person_tiles = Pyramid { finest: people.native_size(), growth: PERSON_GROWTH, fine: PERSON_FINE };
        Self { faces, people, face_tiles, person_tiles, shutdown }
    }

    /// Everything in this picture that must be covered; `faces` and `people` are those that are known already.
    ///
    /// # Errors
    /// A model failed, or the daemon stops: nothing is known.
    pub fn find(
        &mut self,
        pixels: &Pixels<'_>,
        masks: &Masks,
        mut faces: Vec<Rect>,
        mut people: Vec<Rect>,
    ) -> Result<Cover, CoverError> {
        let whole = PixelRect::whole(pixels);
        let looks = [
            ("faces", &mut self.faces, self.face_tiles, &mut faces),
            ("people", &mut self.people, self.person_tiles, &mut people),
        ];
        for (what, model, pyramid, found) in looks {
            for tile in pyramid.tiles(whole.width, whole.height) {
                if self.shutdown.is_triggered() {
                    return Err(CoverError::Stopping);
                }
                model.find(pixels, masks, tile, found).map_err(|source| CoverError::Find { what, source })?;
            }
        }
        Ok(Cover::new((whole.width, whole.height), &faces, &people))
    }
}

/// Edges of a box in pixels.
#[derive(Debug, Clone, Copy)]
struct Edges {
    left: f32,
    top: f32,
    right: f32,
    bottom: f32,
}

impl Edges {
    fn new(rect: &Rect, frame: (u32, u32)) -> Self {
        let (width, height) = (frame.0 as f32, frame.1 as f32);
        let (right, bottom) = (rect.right() * width, rect.bottom() * height);
        Self { left: rect.x * width, top: rect.y * height, right, bottom }
    }

    fn width(&self) -> f32 {
        self.right - self.left
    }

    fn height(&self) -> f32 {
        self.bottom - self.top
    }

    /// Whole chroma blocks that hold it, cut to the frame. An edge that is no number is not known, and may be as far
    /// out as the frame's.
    fn pixels(&self, frame: (u32, u32)) -> PixelRect {
        let low = |edge: f32, side: u32| {
            let block = (edge / CHROMA_BLOCK).floor() * CHROMA_BLOCK;
            if block.is_nan() { 0 } else { (block.max(0.0) as u32).min(side) }
        };
        let high = |edge: f32, side: u32| {
            let block = (edge / CHROMA_BLOCK).ceil() * CHROMA_BLOCK;
            if block.is_nan() { side } else { (block.max(0.0) as u32).min(side) }
        };
        let (x, y) = (low(self.left, frame.0), low(self.top, frame.1));
        let (right, bottom) = (high(self.right, frame.0), high(self.bottom, frame.1));
        PixelRect { x, y, width: right.saturating_sub(x), height: bottom.saturating_sub(y) }
    }
}

/// The area that covers a face.
fn face_area(face: &Rect, frame: (u32, u32)) -> PixelRect {
    let face = Edges::new(face, frame);
    let (across, down) = (face.width() * FACE_MARGIN, face.height() * FACE_MARGIN);
    Edges { left: face.left - across, top: face.top - down, right: face.right + across, bottom: face.bottom + down }
        .pixels(frame)
}

/// Whether one of the faces, which are covered whole, is this person's own: inside the box, and as large as the face of
/// somebody of this width is.
fn has_own_face(person: &Rect, faces: &[Rect]) -> bool {
    let own = |face: &&Rect| person.contains(face.centre()) && face.width >= OWN_FACE_TO_WIDTH * person.width;
    faces.iter().any(|face| own(&face))
}

/// The area that covers a person's head, wherever in the box it may be. Where the person's own face is known, and covered,
/// the upper part of the box is enough.
fn head_area(person: &Rect, face_is_known: bool, frame: (u32, u32)) -> PixelRect {
    let person = Edges::new(person, frame);
    let upright = person.height() * HEAD_SHARE;
    let share = if face_is_known { upright } else { upright.max(person.width() * HEAD_TO_WIDTH) };
    // Written so that a size that is no number gives a head of unknown size, never a small one.
    let head = if share < person.height() && !person.width().is_nan() { share } else { person.height() };
    let across = person.width() * HEAD_MARGIN_X;
    Edges {
        left: person.left - across,
        top: person.top - head * HEAD_MARGIN_TOP,
        right: person.right + across,
        bottom: person.top + head,
    }
    .pixels(frame)
}

/// How many things the boxes are, boxes that overlap much being one thing. A figure for people, not a matter of safety:
/// every box is covered.
fn distinct(boxes: &[Rect]) -> u32 {
    let mut things: Vec<&Rect> = Vec::new();
    for rect in boxes {
        let same =
            |thing: &&Rect| rect.iou(thing) > 0.3 || rect.share_inside(thing) > 0.7 || thing.share_inside(rect) > 0.7;
        if !things.iter().any(same) {
            things.push(rect);
        }
    }
    things.len().try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::camera::pixels::{Chroma, Plane};

    /// Finds what it is told to, or fails at the n-th look.
    pub(in super::super) struct Told {
        pub found: Vec<Rect>,
        pub looks_until_failure: Option<u32>,
    }

    impl Find for Told {
        fn find(&mut self, _: &Pixels<'_>, _: &Masks, _: PixelRect, found: &mut Vec<Rect>) -> Result<(), FindError> {
            match &mut self.looks_until_failure {
                Some(0) => return Err("the model is broken".into()),
                Some(looks) => *looks -= 1,
                None => {}
            }
            found.extend_from_slice(&self.found);
            Ok(())
        }

        fn native_size(&self) -> (u32, u32) {
            (64, 64)
        }
    }

    pub(in super::super) fn finder(faces: Vec<Rect>, people: Vec<Rect>) -> Finder {
        let told = |found| Box::new(Told { found, looks_until_failure: None });
        Finder::new(told(faces), told(people), 1280, Shutdown::new())
    }

    /// A picture of which only the size matters: nobody looks at its samples.
    fn sized(width: usize, height: usize) -> Pixels<'static> {
        let plane = |width, height| Plane { data: &[], stride: width, width, height };
        Pixels {
            luma: plane(width, height),
            chroma: Chroma::Interleaved { uv: plane(width.div_ceil(2), height.div_ceil(2)) },
            full_range: true,
            bt709: true,
        }
    }

    fn number() -> impl Strategy<Value = f32> {
        prop_oneof![3 => -0.5f32..1.5, 1 => any::<f32>(), 1 => Just(f32::NAN), 1 => Just(f32::INFINITY)]
    }

    pub(in super::super) fn any_rect() -> impl Strategy<Value = Rect> {
        (number(), number(), number(), number()).prop_map(|(x, y, width, height)| Rect { x, y, width, height })
    }

    proptest! {
        #[test]
        fn areas_lie_inside_the_frame_whatever_the_boxes_are(
            faces in prop::collection::vec(any_rect(), 0..8), people in prop::collection::vec(any_rect(), 0..8),
            frame in (1u32..4000, 1u32..4000),
        ) {
            let cover = Cover::new(frame, &faces, &people);
            for area in cover.areas() {
                prop_assert!(area.width > 0 && area.height > 0);
                prop_assert!(area.x + area.width <= frame.0 && area.y + area.height <= frame.1);
            }
        }

        #[test]
        fn a_face_and_a_head_lie_inside_their_areas(
            x in -0.2f32..1.1, y in -0.2f32..1.1, width in 0.01f32..0.6, height in 0.01f32..0.6,
            frame in (32u32..2000, 32u32..2000),
        ) {
            let rect = Rect::new(x, y, width, height);
            let visible = rect.clamped();
            prop_assume!(visible.width * frame.0 as f32 > 1.0 && visible.height * frame.1 as f32 > 1.0);
            let holds = |area: PixelRect, rect: Rect| {
                let rect = rect.clamped();
                area.x as f32 <= rect.x * frame.0 as f32 && area.y as f32 <= rect.y * frame.1 as f32
                    && area.right() as f32 >= (rect.right() * frame.0 as f32).floor()
                    && area.bottom() as f32 >= (rect.bottom() * frame.1 as f32).floor()
            };
            prop_assert!(holds(face_area(&rect, frame), rect));
            let head = Rect { height: rect.height / 3.0, ..rect };
            prop_assert!(holds(head_area(&rect, false, frame), head) && holds(head_area(&rect, true, frame), head));
        }
    }

    #[test]
    fn pixels_of_areas_that_overlap_count_once() {
        let area = |x, y, width, height| PixelRect { x, y, width, height };
        let of = |areas: Vec<PixelRect>| Cover { areas, frame: (100, 50), faces: 0, heads: 0 }.pixels();
        assert_eq!(of(vec![]), 0);
        assert_eq!(of(vec![area(0, 0, 10, 10), area(5, 5, 10, 10), area(6, 6, 2, 2)]), 175);
        assert_eq!(of(vec![area(0, 0, 100, 50), area(90, 40, 10, 10)]), 5000);
    }

    #[test]
    fn faces_are_looked_for_enlarged_and_no_coarser_than_the_still_shows_them() {
        let finest = |still| {
            let told = || Box::new(Told { found: vec![], looks_until_failure: None });
            let finder = Finder::new(told(), told(), still, Shutdown::new());
            finder.face_tiles.tiles(3840, 2160).iter().map(|tile| tile.width).min()
        };
        // The model of these tests sees 64 pixels at their own resolution.
        assert_eq!(finest(1280), Some(32 * 3));
        assert_eq!(finest(320), finest(1280), "a smaller still is no reason to look less closely");
        assert_eq!(finest(3840), Some(32));
    }

    #[test]
    fn an_edge_that_is_no_number_covers_as_far_as_the_frame_goes() {
        let face = Rect { x: f32::NAN, y: 0.5, width: 0.1, height: 0.1 };
        let area = face_area(&face, (100, 100));
        assert_eq!((area.x, area.width), (0, 100));
    }

    #[test]
    fn a_close_up_whose_face_is_known_is_not_covered_whole() {
        let (body, face) = (Rect::new(0.0, 0.0, 1.0, 1.0), Rect::new(0.4, 0.3, 0.3, 0.5));
        assert!(has_own_face(&body, &[face]) && !has_own_face(&body, &[Rect { width: 0.1, ..face }]));
        assert_eq!(head_area(&body, true, (1000, 1000)).height, 350);
        assert_eq!(head_area(&body, false, (1000, 1000)).height, 600);
    }

    #[test]
    fn a_portrait_and_a_lying_body_have_more_head_than_somebody_who_stands() {
        let head =
            |width, height| head_area(&Rect::new(0.1, 0.2, width, height), false, (1000, 1000)).height as f32 / 1000.0;
        assert!((head(0.1, 0.4) - 0.35 * 0.4 * 1.25).abs() < 0.005);
        assert!(head(0.4, 0.4) > 0.6 * 0.4);
        assert!(head(0.6, 0.2) >= 0.2, "all of a lying body");
    }

    #[test]
    fn what_was_known_before_is_covered_beside_what_is_found_now() {
        let [a, b, c] = [0.1, 0.4, 0.7].map(|x| Rect::new(x, 0.2, 0.1, 0.3));
        let cover = finder(vec![a], vec![b]).find(&sized(200, 200), &Masks::default(), vec![], vec![c]).unwrap();
        for area in [face_area(&a, (200, 200)), head_area(&b, false, (200, 200)), head_area(&c, false, (200, 200))] {
            assert!(cover.areas().contains(&area));
        }
        assert_eq!((cover.faces(), cover.heads()), (1, 2));
    }

    #[test]
    fn nothing_is_known_when_any_look_fails_or_the_daemon_stops() {
        let pixels = sized(200, 200);
        let told = |looks_until_failure| Box::new(Told { found: vec![Rect::FRAME], looks_until_failure });
        let failing = |faces, people| Finder::new(told(faces), told(people), 1280, Shutdown::new());
        let of = |tiles: Pyramid| tiles.tiles(200, 200).len() as u32;
        let whole = failing(None, None);
        let (face_looks, person_looks) = (of(whole.face_tiles), of(whole.person_tiles));
        assert!(face_looks > 4 && person_looks > 4);
        for fails_at in 0..face_looks {
            let result = failing(Some(fails_at), None).find(&pixels, &Masks::default(), vec![], vec![]);
            assert!(matches!(result, Err(CoverError::Find { what: "faces", .. })));
        }
        for fails_at in 0..person_looks {
            let result = failing(None, Some(fails_at)).find(&pixels, &Masks::default(), vec![], vec![]);
            assert!(matches!(result, Err(CoverError::Find { what: "people", .. })));
        }
        let shutdown = Shutdown::new();
        shutdown.trigger();
        let told = || Box::new(Told { found: vec![], looks_until_failure: None });
        let result = Finder::new(told(), told(), 1280, shutdown).find(&pixels, &Masks::default(), vec![], vec![]);
        assert!(matches!(result, Err(CoverError::Stopping)));
    }
}
