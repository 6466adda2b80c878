//! What makes two pictures of a camera comparable, place by place.

use snowgate_core::{geometry::Polygon, hex::hex, ids::Id, scene::anomaly::Origin};

use sha2::{Digest as _, Sha256};

/// Digits of the digest: it tells views of one camera apart, and keeps nobody from anything.
const DIGITS: usize = 16;

/// Whose pictures are learnt: the camera, the digest of the model's file, and the view, which is the size of its pictures
/// in pixels (width first) and what is masked in them. Where the camera looks is for its health to tell.
pub fn origin(camera: &Id, model: &str, size: (usize, usize), masks: &[Polygon]) -> Origin {
    let mut digest = Sha256::new();
    let (width, height) = size;
    for mask in masks {
        for corner in mask.corners() {
            digest.update(corner.x.to_le_bytes());
            digest.update(corner.y.to_le_bytes());
        }
        digest.update(b"\n");
    }
    let mut digest = hex(digest.finalize());
    digest.truncate(DIGITS);
    let masks = if masks.is_empty() { "no masks".to_owned() } else { format!("masks {digest}") };
    Origin { camera: camera.to_string(), model: model.to_owned(), view: format!("{width} × {height} pixels, {masks}") }
}

#[cfg(test)]
mod tests {
    use snowgate_core::geometry::Point;

    use super::*;

    #[test]
    fn another_size_and_other_masks_are_another_view() {
        let camera = "yard".parse().unwrap();
        let mask = |right: f32| {
            Polygon::new(vec![Point::new(0.0, 0.0), Point::new(right, 0.0), Point::new(right, 0.5)]).unwrap()
        };
        let view = |size, masks: &[Polygon]| origin(&camera, "m", size, masks).view;
        let plain = view((640, 360), &[]);
        assert_eq!(plain, "640 × 360 pixels, no masks");
        assert_eq!(plain, view((640, 360), &[]));
        let views = [
            plain,
            view((360, 640), &[]),
            view((640, 360), &[mask(0.5)]),
            view((640, 360), &[mask(0.25)]),
            view((640, 360), &[mask(0.5), mask(0.25)]),
        ];
        let different: std::collections::BTreeSet<_> = views.iter().collect();
        assert_eq!(different.len(), views.len(), "{views:?}");
    }
}
