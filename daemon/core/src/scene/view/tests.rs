use proptest::prelude::*;

use super::*;
use crate::scene::{
    registration::{register, similarity},
    testing::{Camera, Lit, Shot},
};

fn grey_picture(data: &[u8], width: usize, height: usize, full_range: bool) -> Picture<'_> {
    Picture { luma: Samples { data, stride: width, step: 1, width, height }, chroma: None, full_range }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// No numbers do harm, and what comes out is in range, whatever they say of the memory.
    #[test]
    fn any_size_and_stride_do_no_harm(
        data in proptest::collection::vec(any::<u8>(), 0..5000),
        width in prop_oneof![0usize..200, Just(usize::MAX)], height in prop_oneof![0usize..200, Just(usize::MAX)],
        stride in prop_oneof![0usize..200, Just(usize::MAX)], step in 0usize..4, offset in 0usize..3, full_range: bool,
    ) {
        let samples = Samples { data: &data, stride, step, width, height };
        let other = Samples { data: data.get(offset..).unwrap_or(&[]), height: height / 2, ..samples };
        let mut view = View::new();
        let measures = *view.take(&Picture { luma: samples, chroma: Some([samples, other]), full_range });
        for share in [measures.black, measures.white, measures.flat, measures.blocky, measures.unnatural] {
            prop_assert!((0.0..=1.0).contains(&share));
        }
        prop_assert!((0.0..=255.0).contains(&measures.mean) && measures.spread.is_finite() && measures.noise.is_finite());
        prop_assert!(measures.sharpness.is_none_or(|sharpness| sharpness.is_finite() && sharpness >= 0.0));
        prop_assert!(view.grey().iter().all(|level| (0.0..=255.0).contains(level)));
        prop_assert_eq!(*view.take(&Picture { luma: samples, chroma: Some([samples, other]), full_range }), measures);
    }

    /// A constant stays that constant: no edge, no spread, no noise, at any size.
    #[test]
    fn a_constant_is_reduced_to_that_constant(level: u8, width in 1usize..400, height in 1usize..300) {
        let data = vec![level; width * height];
        let mut view = View::new();
        let measures = *view.take(&grey_picture(&data, width, height, true));
        prop_assert!(view.grey().iter().all(|grey| *grey == f32::from(level)));
        prop_assert_eq!((measures.mean, measures.spread, measures.noise), (f32::from(level), 0.0, 0.0));
        prop_assert_eq!((measures.flat, measures.blocky, measures.sharpness), (1.0, 0.0, None));
    }

    /// One sample that differs is another picture; padding between rows is none of it.
    #[test]
    fn the_digest_is_of_the_samples_alone(
        data in proptest::collection::vec(any::<u8>(), 700), at in 0usize..700, by in 1u8..=255, padding in 1usize..9,
    ) {
        let (width, height) = (35, 20);
        let mut view = View::new();
        let digest = view.take(&grey_picture(&data, width, height, false)).digest;
        let mut other = data.clone();
        other[at] = other[at].wrapping_add(by);
        prop_assert_ne!(view.take(&grey_picture(&other, width, height, false)).digest, digest);
        let padded: Vec<u8> = data.chunks(width).flat_map(|row| [row, &vec![by; padding]].concat()).collect();
        let luma = Samples { data: &padded, stride: width + padding, step: 1, width, height };
        prop_assert_eq!(view.take(&Picture { luma, chroma: None, full_range: false }).digest, digest);
    }
}

#[test]
fn chroma_measures_the_same_in_either_layout() {
    let mut camera = Camera::new(5);
    camera.take(&Shot::DAY);
    let planar = camera.picture();
    let [u, v] = planar.chroma.unwrap();
    let pairs: Vec<u8> = u.data.iter().zip(v.data).flat_map(|(u, v)| [*u, *v]).collect();
    let half = |data| Samples { data, stride: 2 * u.stride, step: 2, ..u };
    let interleaved = Picture { chroma: Some([half(&pairs), half(&pairs[1..])]), ..planar };
    let (mut one, mut two) = (View::new(), View::new());
    let (one, two) = (one.take(&planar), two.take(&interleaved));
    assert_eq!((one.colour, one.unnatural), (two.colour, two.unnatural));
    let mut other = pairs.clone();
    *other.last_mut().unwrap() ^= 1;
    let other = Picture { chroma: Some([half(&other), half(&other[1..])]), ..planar };
    assert_ne!(View::new().take(&other).digest, two.digest, "the last sample of the second channel counts too");
}

fn polygon(corners: &[[f32; 2]]) -> Polygon {
    Polygon::new(corners.iter().map(|corner| Point::from(*corner)).collect()).unwrap()
}

/// The samples of a picture of 640 × 360 whose middles lie in one of the masks.
fn samples_in(masks: &[Polygon]) -> Vec<usize> {
    let middle = |at: usize| Point::new(((at % 640) as f32 + 0.5) / 640.0, ((at / 640) as f32 + 0.5) / 360.0);
    (0..640 * 360).filter(|at| masks.iter().any(|mask| mask.contains(middle(*at)))).collect()
}

#[test]
fn what_is_masked_leaves_no_structure_and_moves_nothing() {
    let masks = [
        polygon(&[[0.1, 0.3], [0.55, 0.2], [0.75, 0.8], [0.3, 0.95]]),
        // Thinner than a cell, and up to the frame's edge.
        polygon(&[[0.8, 0.0], [0.8021, 0.0], [0.9999, 1.0], [0.9978, 1.0]]),
    ];
    let hidden = samples_in(&masks);
    assert!(hidden.len() > 640 * 360 / 5);
    let (mut masking, mut open) = (View::masking(&masks), View::new());
    let mut camera = Camera::new(4);
    masking.take(&camera.take(&Shot::DAY).picture());
    let (grey, structure) = (masking.grey().to_vec(), masking.structure().clone());
    open.take(&camera.picture());
    let seen = open.structure().clone();

    // Everything behind the masks goes a tenth of the frame's width to the right.
    let luma = camera.luma.clone();
    hidden.iter().for_each(|at| camera.luma[*at] = luma[at - at.min(&64)]);
    masking.take(&camera.picture());
    assert!(masking.grey() == grey, "not even a cell at the rim has anything of it");
    let found = register(&structure, masking.structure());
    assert!(found.dx.abs().max(found.dy.abs()) < 1e-4 && found.similarity > 0.99, "{found:?}");
    open.take(&camera.picture());
    assert!(similarity(&seen, open.structure()) < 0.9, "without masks it shows");

    let (line, column) = (HEIGHT / 2, 2 * WIDTH / 5);
    let tile = masking.structure().tiles()[line * 18 / HEIGHT * 32 + column * 32 / WIDTH];
    assert_eq!(tile, 0.0, "in the midst of a mask there are no edges");
    let others = masking.structure().tiles().iter().filter(|tile| **tile > NO_STRUCTURE).count();
    assert!(others > TILES / 3, "and elsewhere there are: {others}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever lies in a mask of whatever form, no cell shows anything of it.
    #[test]
    fn nothing_of_a_mask_is_seen(corners in proptest::collection::vec((0.0f32..=1.0, 0.0f32..=1.0), 3..6)) {
        let corners = corners.into_iter().map(|(x, y)| Point::new(x, y)).collect();
        let Ok(mask) = Polygon::new(corners) else { return Ok(()) };
        let masks = [mask];
        let mut view = View::masking(&masks);
        let mut data = vec![100; 640 * 360];
        view.take(&grey_picture(&data, 640, 360, true));
        let grey = view.grey().to_vec();
        samples_in(&masks).into_iter().for_each(|at| data[at] = 255);
        view.take(&grey_picture(&data, 640, 360, true));
        prop_assert!(view.grey() == grey);
    }
}

#[test]
fn both_ranges_give_the_same_levels() {
    let mut view = View::new();
    let limited = *view.take(&grey_picture(&[16, 235], 2, 1, false));
    let full = *view.take(&grey_picture(&[0, 255], 2, 1, true));
    assert_eq!((limited.mean, limited.spread), (full.mean, full.spread));
    assert_eq!((limited.black, limited.white), (0.5, 0.5));
}

/// Synthetic scenes: sharpness falls with any blur and does not care for light, haze or noise.
#[test]
fn sharpness_follows_focus_and_not_light() {
    for seed in 1..5 {
        let mut camera = Camera::new(seed);
        let mut sharpness = |shot: Shot| camera.view(&shot).measures().sharpness.unwrap();
        let sharp = sharpness(Shot::DAY);
        for shot in [
            Shot { lit: Lit::Sun(0.3), ..Shot::DAY },
            Shot { haze: 0.4, ..Shot::DAY },
            Shot { noise: 8.0, ..Shot::DAY },
        ] {
            let ratio = sharpness(shot.clone()) / sharp;
            assert!((0.75..1.4).contains(&ratio), "{ratio} with {shot:?}");
        }
        let blurred = [1, 2, 4, 8].map(|blur| sharpness(Shot { blur, ..Shot::DAY }) / sharp);
        println!("synthetic scene {seed}: sharpness at blur radius 1, 2, 4, 8 of 640 samples: {blurred:?}");
        assert!(blurred[0] < 0.5 && blurred[1..].iter().all(|ratio| *ratio < 0.3), "{blurred:?}");
    }
}

#[test]
fn damage_shows_on_the_grid() {
    let mut camera = Camera::new(3);
    let mut view = View::new();
    let whole = view.take(&camera.take(&Shot::DAY).picture()).blocky;
    let damaged = view.take(&camera.damage(0.1).picture()).blocky;
    assert!(whole < 0.1 && damaged > whole + 0.15, "{whole} {damaged}");
}
