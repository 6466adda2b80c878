//! What the rules of one camera cost a picture: 20 tracks against 8 rules of every kind.

#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use snowgate_core::{
    geometry::Rect,
    observation::{Label, Observation, Track, TrackId},
    rules::{
        CameraRules,
        spec::{LineSpec, RuleSpec, ZoneSpec},
    },
    schedule::Schedules,
    spec::{Section, read_table},
    time::Mono,
};

const TRACKS: u64 = 20;
/// Five pictures a second.
const INTERVAL: u64 = 200_000_000;

fn spec<T: Section>(toml: &str) -> T {
    read_table(&mut toml_span::parse(toml).unwrap()).unwrap()
}

/// A zone with as many corners as people draw around a square.
fn zone(id: &str, x: f64, y: f64, size: f64) -> ZoneSpec {
    let corner = |turn: usize| {
        let angle = turn as f64 / 12.0 * std::f64::consts::TAU;
        // Every second corner is drawn in, so that no zone is convex.
        let radius = size * if turn.is_multiple_of(2) { 0.5 } else { 0.4 };
        format!("[{:.4}, {:.4}]", x + radius * angle.cos(), y + radius * angle.sin())
    };
    let corners: Vec<String> = (0..12).map(corner).collect();
    spec(&format!("id = '{id}'\npolygon = [{}]", corners.join(", ")))
}

fn rules() -> CameraRules {
    let zones = [zone("north", 0.3, 0.35, 0.5), zone("south", 0.6, 0.6, 0.6), zone("door", 0.8, 0.5, 0.2)];
    let lines: [LineSpec; 2] = [
        spec("id = 'gate'\nstart = [0.5, 0.1]\nend = [0.5, 0.9]"),
        spec("id = 'kerb'\nstart = [0.1, 0.5]\nend = [0.9, 0.6]"),
    ];
    let rule = |id: &str, rest: &str| spec::<RuleSpec>(&format!("id = '{id}'\n{rest}"));
    let rules = [
        rule("entered-north", "kind = 'intrusion'\nzone = 'north'"),
        rule("entered-south", "kind = 'intrusion'\nzone = 'south'\nlabels = ['person', 'car']"),
        rule("entered-door", "kind = 'intrusion'\nzone = 'door'\nfor = '500ms'"),
        rule("stays-north", "kind = 'loitering'\nzone = 'north'"),
        rule("stays-south", "kind = 'loitering'\nzone = 'south'"),
        rule("crowd", "kind = 'count'\nzone = 'south'\nlimit = 3"),
        rule("gate-crossed", "kind = 'line_crossing'\nline = 'gate'"),
        rule("kerb-crossed", "kind = 'line_crossing'\nline = 'kerb'\ndirection = 'left_to_right'\nlabels = ['car']"),
    ];
    CameraRules::new(&zones, &lines, &Schedules::new(), &rules).unwrap()
}

/// Twenty things on their ways, in and out of zones and over lines.
fn walk(tracks: &mut [Track], picture: u64, at: Mono) {
    for (index, track) in tracks.iter_mut().enumerate() {
        let phase = picture as f32 * 0.02 + index as f32 * 0.7;
        track.rect = Rect::new(0.45 + 0.4 * phase.sin(), 0.3 + 0.25 * (phase * 0.7).cos(), 0.03, 0.12);
        track.last_seen = at;
    }
}

fn observe(c: &mut Criterion) {
    let mut rules = rules();
    let labels: [Label; 2] = ["person".into(), "car".into()];
    let mut tracks: Vec<Track> = (0..TRACKS)
        .map(|id| Track {
            id: TrackId(id),
            label: labels[usize::from(id % 4 == 0)].clone(),
            score: 0.8,
            rect: Rect::FRAME,
            first_seen: Mono(0),
            first_rect: Rect::FRAME,
            last_seen: Mono(0),
            sure_since: Mono(0),
            stationary_since: None,
            has_moved: true,
        })
        .collect();
    let (mut picture, mut findings) = (0, Vec::new());
    c.bench_function("rules/20 tracks, 8 rules", |b| {
        b.iter(|| {
            picture += 1;
            let at = Mono(picture * INTERVAL);
            walk(&mut tracks, picture, at);
            findings.clear();
            rules.observe(black_box(&Observation { picture, at, tracks: &tracks }), &mut findings);
            black_box(findings.len())
        });
    });
}

criterion_group!(benches, observe);
criterion_main!(benches);
