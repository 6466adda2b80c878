//! The redacted still of an incident: pixels in, a JPEG out, or nothing.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use snowgate_core::{
    geometry::{Polygon, Rect, Segment},
    hex::hex,
    ids::Id,
    incidents::command::CommandId,
    priority::Priority,
    rules::Subject,
    time::{Clock, Moment, Mono},
};

use super::{
    canvas::{CanvasError, Covered, Rgb, Uncovered},
    cover::{Cover, CoverError, Find, Finder},
    overlay::{self, Overlay},
    provenance::Provenance,
    retake::{Retake, Take},
    spec::EvidenceSpec,
};
use crate::{
    camera::{picture::Picture, pixels::Pixels},
    shutdown::Shutdown,
    vision::masks::Masks,
};

/// The most bytes of a still: what a bad uplink carries in a few seconds.
pub const MAX_STILL_BYTES: usize = 300 * 1024;

/// The most bytes of a view: it goes over no uplink.
const MAX_VIEW_BYTES: usize = 4 << 20;

/// JPEG quality of a view: thin lines and small letters stay sharp.
const VIEW_QUALITY: u8 = 92;

/// Something that holds a decoded picture.
pub trait HasPixels: Send {
    /// A view of its planes.
    fn pixels(&self) -> Pixels<'_>;
}

impl HasPixels for Arc<Picture> {
    fn pixels(&self) -> Pixels<'_> {
        Picture::pixels(self)
    }
}

/// A still that is wanted.
#[derive(Debug, Clone)]
pub struct StillRequest<P> {
    /// The incident it belongs to.
    pub of: Arc<Provenance>,
    /// The command of the verification that wants it; none of the incident's own still.
    pub verification: Option<CommandId>,
    /// Whether it goes before others, and who gives way when there are too many.
    pub priority: Priority,
    /// The camera that took the picture.
    pub camera: Id,
    /// The picture.
    pub picture: P,
    /// When it was taken.
    pub taken: Moment,
    /// What the incident is about: boxes are drawn around them, faces and heads covered.
    pub subjects: Vec<Subject>,
    /// Where people are known to be, by fresh or older detections: their heads are covered.
    pub people: Vec<Rect>,
    /// The zone or line of the rule, if it has one.
    pub outline: Option<Outline>,
    /// What nobody may look at.
    pub masks: Arc<[Polygon]>,
    /// Where a better picture may come from while it waits.
    pub retake: Option<Arc<Retake<P>>>,
}

impl<P> StillRequest<P> {
    /// Whether no better picture is waited for.
    pub fn is_due(&self, now: Mono) -> bool {
        self.retake.as_ref().is_none_or(|retake| retake.is_due(now))
    }

    /// The same with the better picture, if there is one.
    pub fn settled(mut self, clock: &dyn Clock) -> Self {
        if let Some(Take { picture, at, subjects, people }) = self.retake.take().and_then(|retake| retake.take()) {
            self = Self { picture, taken: clock.moment_at(at), subjects, people, ..self };
        }
        self
    }
}

/// What a rule watches.
#[derive(Debug, Clone, PartialEq)]
pub enum Outline {
    /// A zone.
    Polygon(Polygon),
    /// A line.
    Segment(Segment),
}

/// A redacted picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Still {
    /// The file; that of an incident's still is at most [`MAX_STILL_BYTES`] long.
    pub jpeg: Vec<u8>,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// How many faces were found and covered.
    pub faces_covered: u32,
    /// How many people's head regions were covered.
    pub heads_covered: u32,
    /// How many pixels of the picture, before it was scaled, are covered.
    pub covered_pixels: u32,
}

/// Why there is no still.
#[derive(Debug, thiserror::Error)]
pub enum StillError {
    /// It is not known what must be covered.
    #[error(transparent)]
    Cover(#[from] CoverError),
    /// The picture could not be converted, scaled or encoded.
    #[error(transparent)]
    Canvas(#[from] CanvasError),
}

impl StillError {
    /// The reason in a word, for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Cover(CoverError::Find { .. }) => "model",
            Self::Cover(CoverError::Stopping) => "stopping",
            Self::Canvas(CanvasError::TooLarge { .. }) => "too_large",
            Self::Canvas(_) => "picture",
        }
    }
}

/// Colour of zones and lines.
const OUTLINE: Rgb = [255, 176, 0];

/// Colour of the boxes around subjects.
const SUBJECT: Rgb = [230, 30, 30];

/// Makes stills: owns its models, and lives on one thread.
pub struct StillMaker {
    finder: Finder,
    max_width: u32,
    quality: u8,
    max_bytes: usize,
}

impl StillMaker {
    /// Makes stills with these models; gives up between two looks when the daemon stops.
    pub fn new(faces: Box<dyn Find>, people: Box<dyn Find>, spec: &EvidenceSpec, shutdown: Shutdown) -> Self {
        Self {
            finder: Finder::new(faces, people, spec.max_width.value, shutdown),
            max_width: spec.max_width.value,
            quality: u8::try_from(spec.jpeg_quality.value).unwrap_or(u8::MAX),
            max_bytes: MAX_STILL_BYTES,
        }
    }

    /// Makes none larger than this either.
    pub fn at_most(mut self, bytes: usize) -> Self {
        self.max_bytes = self.max_bytes.min(bytes);
        self
    }

    /// Its models, for whoever covers other pictures than stills.
    pub(super) fn into_finder(self) -> Finder {
        self.finder
    }

    /// The still: masks and everything that must be covered are, then it is scaled down, and zone and subjects are drawn.
    ///
    /// # Errors
    /// Any step failed: then there is no picture at all.
    pub fn make<P: HasPixels>(&mut self, request: &StillRequest<P>) -> Result<Still, StillError> {
        let (mut covered, cover) = self.cover(&request.picture.pixels(), &request.masks, known(request))?;
        annotate(&mut covered, request);
        still(&covered, &cover, self.quality, self.max_bytes)
    }

    /// What a camera shows, for whoever sets it up: covered and scaled like a still, with the overlay drawn if there is one.
    ///
    /// # Errors
    /// Any step failed: then there is no picture at all.
    pub fn view(
        &mut self,
        picture: &impl HasPixels,
        masks: &[Polygon],
        overlay: Option<&Overlay>,
    ) -> Result<Still, StillError> {
        let (mut covered, cover) = self.cover(&picture.pixels(), masks, Default::default())?;
        if let Some(overlay) = overlay {
            overlay::draw(&mut covered, overlay, masks);
        }
        still(&covered, &cover, VIEW_QUALITY, MAX_VIEW_BYTES)
    }

    /// The picture with masks burnt in and everything covered that must be, scaled down; `faces` and `people` are known already.
    fn cover(
        &mut self,
        pixels: &Pixels<'_>,
        masks: &[Polygon],
        (faces, people): (Vec<Rect>, Vec<Rect>),
    ) -> Result<(Covered, Cover), StillError> {
        let masks = Masks::rasterise(masks, pixels.luma.width, pixels.luma.height);
        // First: it tells whether the planes make up a picture that models may look at.
        let uncovered = Uncovered::new(pixels, &masks)?;
        let cover = self.finder.find(pixels, &masks, faces, people)?;
        Ok((uncovered.cover(&cover)?.fit(self.max_width)?, cover))
    }
}

fn still(covered: &Covered, cover: &Cover, quality: u8, max_bytes: usize) -> Result<Still, StillError> {
    let (width, height) = covered.size();
    let jpeg = covered.jpeg(quality, max_bytes)?;
    let sha256 = hex(Sha256::digest(&jpeg));
    let (faces_covered, heads_covered, covered_pixels) = (cover.faces(), cover.heads(), cover.pixels());
    Ok(Still { jpeg, sha256, width, height, faces_covered, heads_covered, covered_pixels })
}

/// Faces and people that the request knows of. What is neither (a car) has no head.
fn known<P>(request: &StillRequest<P>) -> (Vec<Rect>, Vec<Rect>) {
    let mut faces = Vec::new();
    let mut people = request.people.clone();
    for subject in &request.subjects {
        if subject.label.is_face() {
            faces.push(subject.rect);
        } else if subject.label.is_person() {
            people.push(subject.rect);
        }
    }
    (faces, people)
}

fn annotate<P>(covered: &mut Covered, request: &StillRequest<P>) {
    match &request.outline {
        Some(Outline::Polygon(polygon)) => covered.draw_outline(polygon.corners(), OUTLINE),
        Some(Outline::Segment(line)) => covered.draw_line(line.start, line.end, OUTLINE),
        None => {}
    }
    for subject in &request.subjects {
        covered.draw_rect(&subject.rect, SUBJECT);
    }
}
