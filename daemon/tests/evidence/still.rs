//! Stills of real pictures by the real models: nobody can be seen in them any more.

use image::RgbImage;
use sha2::{Digest, Sha256};
use snowgate::{
    evidence::still::{MAX_STILL_BYTES, Outline, Still, StillMaker},
    shutdown::Shutdown,
    vision::preprocess::PixelRect,
};
use snowgate_core::{
    geometry::{Point, Polygon, Rect},
    observation::Detection,
    rules::Subject,
};

use crate::support::{I420, WHOLE, head, look, model, open_models, request};

/// What covers; far from it is no cover.
const COVER: [u8; 3] = [96, 96, 96];

fn maker() -> StillMaker {
    open_models(Shutdown::new()).unwrap()
}

fn decoded(still: &Still) -> RgbImage {
    let image = image::load_from_memory_with_format(&still.jpeg, image::ImageFormat::Jpeg).unwrap().to_rgb8();
    assert_eq!(image.dimensions(), (still.width, still.height));
    image
}

/// The share of an area's pixels that are the cover's colour, but for what JPEG makes of it.
fn covered_share(image: &RgbImage, area: PixelRect) -> f32 {
    let mut covered = 0;
    for y in area.y..area.bottom() {
        for x in area.x..area.right() {
            let pixel = image.get_pixel(x, y).0;
            covered += u32::from(pixel.iter().zip(COVER).all(|(found, cover)| found.abs_diff(cover) <= 12));
        }
    }
    covered as f32 / (area.width * area.height).max(1) as f32
}

#[test]
fn no_face_of_the_sample_pictures_can_be_found_in_their_stills() {
    let (mut maker, mut faces) = (maker(), model("centerface"));
    let samples = [
        ("multi_face.jpg", 5),
        ("faces1.jpg", 3),
        ("faces2.jpg", 3),
        ("faces3.jpg", 3),
        ("faces4.jpg", 4),
        ("faces5.jpg", 5),
        ("faces6.jpg", 4),
    ];
    for (name, there) in samples {
        let picture = I420::sample(name);
        assert!(
            look(&mut faces, &picture, 480, 0.3).len() >= there,
            "{name}: the look that must find nothing finds faces"
        );
        let still = maker.make(&request(picture)).unwrap();
        assert!(still.faces_covered as usize >= there, "{name}: {} faces", still.faces_covered);
        assert!(still.jpeg.len() <= MAX_STILL_BYTES && still.width <= 1280);
        let digest = snowgate_core::hex::hex(Sha256::digest(&still.jpeg));
        assert_eq!(still.sha256, digest);
        let left = look(&mut faces, &I420::of(&decoded(&still)), 480, 0.3);
        assert!(left.is_empty(), "{name}: {left:?}");
    }
}

#[test]
fn faces_of_twelve_pixels_are_found() {
    // A picture of five people, so small that the smallest of their faces is twelve pixels high, in a large grey one.
    let sample = image::open(concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/media/multi_face.jpg")).unwrap().to_rgb8();
    let found = look(&mut model("centerface"), &I420::of(&sample), WHOLE, 0.5);
    assert_eq!(found.len(), 5);
    let smallest = found.iter().map(|face| face.rect.height).fold(1.0, f32::min) * sample.height() as f32;
    let scale = 12.0 / smallest;
    let size = [sample.width(), sample.height()].map(|side| (side as f32 * scale) as u32);
    let small = image::imageops::resize(&sample, size[0], size[1], image::imageops::FilterType::Triangle);
    let mut picture = RgbImage::from_pixel(1920, 1080, image::Rgb([120, 120, 120]));
    image::imageops::overlay(&mut picture, &small, 1000, 600);
    let still = maker().make(&request(I420::of(&picture))).unwrap();
    assert!(still.faces_covered >= 5, "{} of 5", still.faces_covered);
}

#[test]
fn faces_of_twelve_pixels_are_covered_in_the_dark() {
    let sample = image::open(concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/media/multi_face.jpg")).unwrap().to_rgb8();
    let found = look(&mut model("centerface"), &I420::of(&sample), WHOLE, 0.5);
    let smallest = found.iter().map(|face| face.rect.height).fold(1.0, f32::min) * sample.height() as f32;
    let size = [sample.width(), sample.height()].map(|side| (side as f32 * 12.0 / smallest) as u32);
    let small = image::imageops::resize(&sample, size[0], size[1], image::imageops::FilterType::Triangle);
    let at = (700, 400);
    let mut picture = RgbImage::from_pixel(1280, 720, image::Rgb([120, 120, 120]));
    image::imageops::overlay(&mut picture, &small, i64::from(at.0), i64::from(at.1));
    picture.iter_mut().for_each(|sample| *sample /= 4);
    let still = decoded(&maker().make(&request(I420::of(&picture))).unwrap());
    for Detection { rect, .. } in found {
        let place = |share: f32, side: u32, from: u32| from + (share * side as f32) as u32;
        let area = PixelRect {
            x: place(rect.x, size[0], at.0) + 1,
            y: place(rect.y, size[1], at.1) + 1,
            width: (rect.width * size[0] as f32) as u32 - 2,
            height: (rect.height * size[1] as f32) as u32 - 2,
        };
        assert!(covered_share(&still, area) > 0.97, "{area:?}");
    }
}

#[test]
fn the_head_of_everybody_who_walks_by_is_flat() {
    let (mut maker, mut people) = (maker(), model("ssdlite-mobilenet-v2"));
    let mut seen = 0;
    for (index, picture) in I420::clip("vtest.mp4", &[2, 15, 40, 70]).into_iter().enumerate() {
        let size = picture.size();
        let mut found = look(&mut people, &picture, 300, 0.3);
        found.retain(|thing| thing.label.as_str() == "person");
        seen += found.len();
        let still = maker.make(&request(picture)).unwrap();
        let image = decoded(&still);
        assert_eq!(image.dimensions(), size, "not scaled, so that pixels can be compared");
        for person in found {
            let share = covered_share(&image, head(&person.rect, size));
            assert!(share > 0.97, "picture {index}: {person:?} is covered by {share}");
        }
    }
    assert!(seen >= 20, "{seen} people, some of them seen twice");
}

#[test]
fn whoever_is_known_is_covered_found_or_not() {
    let mut request = request(I420::sample("faces1.jpg"));
    let size = request.picture.size();
    // Where there is nobody: a track's box after its person was lost.
    request.people = vec![Rect::new(0.02, 0.5, 0.1, 0.4)];
    request.subjects = vec![
        Subject { label: "person".into(), rect: Rect::new(0.85, 0.5, 0.1, 0.4), track: None },
        Subject { label: "face".into(), rect: Rect::new(0.5, 0.8, 0.05, 0.1), track: None },
    ];
    let boxes = [request.people[0], request.subjects[0].rect, request.subjects[1].rect];
    let still = maker().make(&request).unwrap();
    let image = decoded(&still);
    let scale = still.width as f32 / size.0 as f32;
    assert!(scale <= 1.0);
    for rect in boxes {
        // Lines are drawn along the edges of subjects.
        let area = head(&rect, image.dimensions());
        let inner = PixelRect { x: area.x + 8, y: area.y + 8, width: area.width - 16, height: area.height - 12 };
        assert!(covered_share(&image, inner) > 0.97, "{rect:?}");
    }
}

#[test]
fn what_is_drawn_lies_above_what_covers() {
    let mut request = request(I420::grey(640, 480));
    request.subjects = vec![Subject { label: "person".into(), rect: Rect::new(0.4, 0.2, 0.2, 0.6), track: None }];
    let corners = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]].map(Point::from).to_vec();
    request.outline = Some(Outline::Polygon(Polygon::new(corners).unwrap()));
    let image = decoded(&maker().make(&request).unwrap());
    let red = image.get_pixel(320, 95).0;
    assert!(red[0] > 150 && red[1] < 100, "the top edge of the box, above the covered head: {red:?}");
    let amber = image.get_pixel(63, 240).0;
    assert!(amber[0] > 180 && amber[2] < 100, "the zone: {amber:?}");
    assert!(covered_share(&image, PixelRect { x: 280, y: 110, width: 80, height: 60 }) > 0.99);
}

#[test]
fn a_privacy_mask_is_black_in_the_still() {
    let mut request = request(I420::grey(640, 480));
    let corners = [[0.0, 0.7], [0.3, 0.7], [0.3, 1.0], [0.0, 1.0]].map(Point::from).to_vec();
    request.masks = vec![Polygon::new(corners).unwrap()].into();
    let still = maker().make(&request).unwrap();
    let image = decoded(&still);
    for (x, y) in [(0.05, 0.75), (0.25, 0.75), (0.15, 0.95)] {
        let pixel = image.get_pixel((x * still.width as f32) as u32, (y * still.height as f32) as u32).0;
        assert!(pixel.iter().all(|channel| *channel < 12), "{pixel:?}");
    }
}
