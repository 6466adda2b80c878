use proptest::prelude::*;

use super::{
    super::canvas::tests::{covered, pixel_of},
    *,
};

fn polygon(corners: &[[f32; 2]]) -> Polygon {
    Polygon::new(corners.iter().copied().map(Point::from).collect()).unwrap()
}

fn zone(id: &str, corners: &[[f32; 2]]) -> NamedZone {
    NamedZone { id: id.to_owned(), polygon: polygon(corners) }
}

fn drawn(size: (u32, u32), overlay: &Overlay, masks: &[Polygon]) -> Covered {
    let mut picture = covered(size.0, size.1, 90);
    draw(&mut picture, overlay, masks);
    picture
}

fn has(picture: &Covered, colour: Rgb, columns: std::ops::Range<u32>, rows: std::ops::Range<u32>) -> bool {
    rows.into_iter().any(|y| columns.clone().any(|x| pixel_of(picture, (x, y)) == colour))
}

#[test]
fn every_tenth_has_a_line_beside_its_dark_edge() {
    for size in [(160, 90), (640, 360), (1280, 720), (720, 1280), (3840, 2160)] {
        let picture = drawn(size, &Overlay::default(), &[]);
        for tenth in 1..10u8 {
            // Away from the lines and numbers of the other direction.
            let (along, share) = (0.25, f32::from(tenth) / 10.0);
            for point in [Point::new(share, along), Point::new(along, share)] {
                let at = picture.pixel_at(point);
                assert_eq!(pixel_of(&picture, at), GRID, "{size:?} {point:?}");
            }
            let (x, y) = picture.pixel_at(Point::new(share, along));
            let fine = (size.0 / 1000).max(1);
            let edge = if tenth == 5 { x + 2 * fine } else { x + fine };
            assert_eq!(pixel_of(&picture, (edge, y)), EDGE, "{size:?} {share}");
        }
        let (width, height) = size;
        // Between the lines the picture is as it was.
        assert_eq!(pixel_of(&picture, (width * 27 / 100, height * 26 / 100)), [90; 3], "{size:?}");
    }
}

#[test]
fn the_line_in_the_middle_is_heavier() {
    let picture = drawn((1000, 600), &Overlay::default(), &[]);
    let thickness = |share: f32| {
        let (x, y) = picture.pixel_at(Point::new(share, 0.25));
        (x - 8..x + 8).filter(|x| pixel_of(&picture, (*x, y)) == GRID).count()
    };
    assert_eq!([0.4, 0.5, 0.6].map(thickness), [1, 3, 1]);
}

#[test]
fn zones_have_their_colours_and_the_first_corner_the_larger_mark() {
    let zones = vec![
        zone("left", &[[0.12, 0.12], [0.28, 0.12], [0.28, 0.88], [0.12, 0.88]]),
        zone("right", &[[0.62, 0.12], [0.78, 0.12], [0.78, 0.88], [0.62, 0.88]]),
    ];
    let picture = drawn((1280, 720), &Overlay { zones, ..Overlay::default() }, &[]);
    let colour = |x, y| pixel_of(&picture, picture.pixel_at(Point::new(x, y)));
    assert_eq!([colour(0.12, 0.33), colour(0.28, 0.33)], [ZONES[0]; 2]);
    assert_eq!([colour(0.62, 0.33), colour(0.78, 0.33)], [ZONES[1]; 2]);
    let reach = |x: f32, y: f32| {
        let (x, y) = picture.pixel_at(Point::new(x, y));
        (1..).take_while(|step| pixel_of(&picture, (x - step, y - step)) == ZONES[0]).count()
    };
    assert!(reach(0.12, 0.12) > reach(0.28, 0.12) && reach(0.28, 0.12) > 1);
}

#[test]
fn of_zones_on_each_other_all_can_be_seen() {
    let corners = [[0.15, 0.15], [0.85, 0.15], [0.85, 0.85], [0.15, 0.85]];
    let zones = vec![zone("a", &corners), zone("b", &corners), zone("c", &corners)];
    let picture = drawn((768, 576), &Overlay { zones, ..Overlay::default() }, &[]);
    let (_, y) = picture.pixel_at(Point::new(0.5, 0.15));
    for colour in &ZONES[..3] {
        assert!(has(&picture, *colour, 200..600, y..y + 1), "{colour:?}");
    }
}

#[test]
fn an_arrow_points_to_the_side_that_crossings_go_to() {
    // It runs upwards: right of it is right in the picture.
    let segment = Segment { start: Point::new(0.45, 0.85), end: Point::new(0.45, 0.15) };
    let with = |to_right, to_left| {
        let lines = vec![NamedLine { id: "gate".to_owned(), segment, to_right, to_left }];
        drawn((1000, 1000), &Overlay { lines, ..Overlay::default() }, &[])
    };
    // Barbs lie before the tips, 60 pixels from the line, above and below the arrow.
    let tips = |picture: &Covered| {
        let barb = |columns: std::ops::Range<u32>| has(picture, DIRECTED, columns, 503..508);
        (barb(391..402), barb(498..509))
    };
    assert_eq!(tips(&with(true, false)), (false, true));
    assert_eq!(tips(&with(false, true)), (true, false));
    assert_eq!(tips(&with(true, true)), (true, true));
    let unwatched = with(false, false);
    assert_eq!(tips(&unwatched), (false, false));
    assert_eq!(pixel_of(&unwatched, unwatched.pixel_at(Point::new(0.45, 0.33))), DIRECTED);
    // L and R stand beyond the tips.
    assert!(has(&unwatched, DIRECTED, 340..380, 480..520) && has(&unwatched, DIRECTED, 520..560, 480..520));
}

#[test]
fn masks_are_outlined_and_numbered() {
    let masks = [polygon(&[[0.55, 0.55], [0.95, 0.55], [0.95, 0.95], [0.55, 0.95]])];
    let picture = drawn((640, 360), &Overlay::default(), &masks);
    assert_eq!(pixel_of(&picture, picture.pixel_at(Point::new(0.55, 0.66))), MASKS);
    let (x, y) = picture.pixel_at(Point::new(0.75, 0.75));
    assert!(has(&picture, MASKS, x - 20..x + 20, y - 6..y + 6), "its number");
}

#[test]
fn numbers_stand_at_their_lines_inside_the_picture() {
    for (width, height) in [(160, 90), (640, 360), (3840, 2160)] {
        let mut picture = covered(width, height, 90);
        let mut board = Board::new(&mut picture);
        board.numbers();
        // In the smallest picture the ends leave their neighbours no room.
        for tenth in (0..=10u8).filter(|tenth| width > 160 || !matches!(tenth, 1 | 9)) {
            let (x, y) = picture.pixel_at(Point::new(f32::from(tenth) / 10.0, f32::from(tenth) / 10.0));
            let near = |at: u32, side: u32| at.saturating_sub(side / 30)..(at + side / 30).min(side);
            assert!(has(&picture, GRID, near(x, width), 0..height / 8), "column {tenth} of {width}");
            assert!(has(&picture, GRID, 0..width / 8, near(y, height)), "row {tenth} of {height}");
        }
    }
}

fn share() -> impl Strategy<Value = f32> {
    prop_oneof![8 => 0.0f32..=1.0, 1 => any::<f32>(), 1 => Just(f32::NAN)]
}

fn point() -> impl Strategy<Value = Point> {
    (share(), share()).prop_map(|(x, y)| Point::new(x, y))
}

fn any_polygon() -> impl Strategy<Value = Option<Polygon>> {
    prop::collection::vec(point(), 3..7).prop_map(|corners| Polygon::new(corners).ok())
}

proptest! {
    #[test]
    fn anything_can_be_drawn_on_any_picture(
        size in (1u32..500, 1u32..500),
        zones in prop::collection::vec((any_polygon(), "[a-z0-9-]{1,64}"), 0..6),
        masks in prop::collection::vec(any_polygon(), 0..3),
        lines in prop::collection::vec((point(), point(), any::<(bool, bool)>(), "\\PC{0,20}"), 0..4),
        ways in prop::collection::vec((point(), point()), 0..3),
    ) {
        let zones = zones.into_iter().filter_map(|(polygon, id)| Some(NamedZone { id, polygon: polygon? })).collect();
        let lines = lines.into_iter().map(|(start, end, (to_right, to_left), id)| {
            NamedLine { id, segment: Segment { start, end }, to_right, to_left }
        }).collect();
        let ways = ways.into_iter().map(|(from, to)| NamedWay { id: "rule".to_owned(), from, to }).collect();
        let masks: Vec<Polygon> = masks.into_iter().flatten().collect();
        prop_assert_eq!(drawn(size, &Overlay { zones, lines, ways }, &masks).size(), size);
    }
}
