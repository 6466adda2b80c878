//! Copies of a real stream: what is covered in them is looked at after they have been decoded again.

use snowgate_core::geometry::Rect;
use tempfile::TempDir;

use super::{
    super::testing::{self, read},
    *,
};
use crate::{
    camera::pixels::Pixels,
    evidence::{Find, FindError},
    shutdown::Shutdown,
    vision::preprocess::PixelRect,
};

/// Where it finds a face: the same place in each picture in which it finds any.
struct Faces {
    place: Rect,
    found_in: fn(usize) -> bool,
    picture: usize,
}

impl Find for Faces {
    fn find(
        &mut self,
        pixels: &Pixels<'_>,
        _: &Masks,
        region: PixelRect,
        found: &mut Vec<Rect>,
    ) -> Result<(), FindError> {
        // One look a picture is enough: the whole frame is the first of them.
        if region == PixelRect::whole(pixels) {
            if (self.found_in)(self.picture) {
                found.push(self.place);
            }
            self.picture += 1;
        }
        Ok(())
    }

    fn native_size(&self) -> (u32, u32) {
        (4096, 4096)
    }
}

/// Fails at the picture of this number.
struct Fails(usize);

impl Find for Fails {
    fn find(&mut self, _: &Pixels<'_>, _: &Masks, _: PixelRect, _: &mut Vec<Rect>) -> Result<(), FindError> {
        self.0 = self.0.checked_sub(1).ok_or("the model does not run through")?;
        Ok(())
    }

    fn native_size(&self) -> (u32, u32) {
        (4096, 4096)
    }
}

/// Four seconds of white, with B-frames.
fn white() -> Vec<AccessUnit> {
    testing::encoded("white", (644, 482), testing::H264_B_FRAMES)
}

fn copied(units: &[AccessUnit], masks: &[Polygon], finder: &mut Finder) -> Result<(Vec<u8>, Muxed), Refusal> {
    let camera = "gate".parse().unwrap();
    make(units, &Settings { camera: &camera, masks, fps: 2, max_width: 320 }, finder, Vec::new(), |_| Ok(()))
}

/// The brightness of each picture at a point given in fractions of the frame.
fn brightness(clip: &[u8], x: f32, y: f32) -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("copy.mp4");
    std::fs::write(&file, clip).unwrap();
    let units = read(&file);
    let mut decoder = Decoder::new(units[0].format.codec).unwrap();
    let mut seen = Vec::new();
    let mut look = |picture: Picture| {
        let luma = picture.pixels().luma;
        assert_eq!((luma.width, luma.height), (320, 238), "scaled down, and cut to even sides");
        seen.push(luma.data[(y * luma.height as f32) as usize * luma.stride + (x * luma.width as f32) as usize]);
    };
    units.iter().for_each(|unit| decoder.decode(unit, &mut look).unwrap());
    decoder.drain(&mut look).unwrap();
    seen
}

fn finder(found_in: fn(usize) -> bool) -> Finder {
    let place = Rect { x: 0.6, y: 0.6, width: 0.2, height: 0.2 };
    let faces = Faces { place, found_in, picture: 0 };
    let people = Faces { place, found_in: |_| false, picture: 0 };
    Finder::new(Box::new(faces), Box::new(people), 1280, Shutdown::new())
}

const IN_THE_FACE: (f32, f32) = (0.7, 0.7);
const IN_THE_MASK: (f32, f32) = (0.1, 0.1);
const BESIDE: (f32, f32) = (0.35, 0.8);

#[test]
fn faces_are_covered_in_the_pictures_beside_too_and_masks_in_all() {
    let corners = [[0.0, 0.0], [0.2, 0.0], [0.2, 0.2], [0.0, 0.2]].map(Into::into);
    let mask = Polygon::new(corners.to_vec()).unwrap();
    let (clip, muxed) = copied(&white(), &[mask], &mut finder(|number| number == 3)).unwrap();
    assert_eq!(muxed.pictures, 8, "two a second");
    let at = |(x, y)| brightness(&clip, x, y);
    let is_white: Vec<bool> = at(IN_THE_FACE).iter().map(|luma| *luma > 200).collect();
    assert_eq!(is_white, [true, true, false, false, false, true, true, true]);
    assert!(at(IN_THE_MASK).iter().all(|luma| *luma < 40), "{:?}", at(IN_THE_MASK));
    assert!(at(BESIDE).iter().all(|luma| *luma > 200), "{:?}", at(BESIDE));
}

#[test]
fn one_picture_that_cannot_be_covered_and_there_is_no_copy() {
    let faces = Fails(5);
    let people = Faces { place: Rect { x: 0.0, y: 0.0, width: 0.1, height: 0.1 }, found_in: |_| false, picture: 0 };
    let mut finder = Finder::new(Box::new(faces), Box::new(people), 1280, Shutdown::new());
    let refusal = copied(&white(), &[], &mut finder).unwrap_err();
    assert_eq!(refusal.reason(), "model", "{refusal}");
}

#[test]
fn the_work_ends_with_the_daemon() {
    let units = white();
    let camera = "gate".parse().unwrap();
    let settings = Settings { camera: &camera, masks: &[], fps: 2, max_width: 320 };
    let mut pictures = 0;
    let stopped = make(&units, &settings, &mut finder(|_| true), Vec::new(), |_| {
        pictures += 1;
        if pictures == 2 { Err(CoverError::Stopping.into()) } else { Ok(()) }
    });
    assert_eq!(stopped.unwrap_err().reason(), "stopping");
    assert_eq!(pictures, 2);
}
