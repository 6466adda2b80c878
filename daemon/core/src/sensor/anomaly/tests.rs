//! What every detector promises, and what the default one makes of things that happen to sensors.

use proptest::prelude::*;

use super::{ALARM_SCORE, Detector, LocalTime, Reason, spec::Method};
use crate::{
    rules::Change,
    schedule::Schedules,
    sensor::{
        reading::Verdict,
        rules::{Heard, SensorRules, spec::SensorRuleSpec},
    },
    spec::read_table,
    time::Mono,
};

const METHODS: [&str; 8] =
    ["auto", "neighbour", "same_time", "robust_z", "ewma", "page_hinkley", "standstill", "forest"];
/// Readings of a day, one every five minutes.
const DAY: usize = 288;

fn method(keys: &str) -> Method {
    read_table(&mut toml_span::parse(keys).unwrap()).unwrap()
}

/// A method with its defaults; the forest with fewer trees, for the sake of time.
fn usual(name: &str) -> Method {
    method(&format!("method = {name:?}{}", if name == "forest" { "\ntrees = 5\nsamples = 64" } else { "" }))
}

/// A detector with an anomaly rule that is told nothing, as a sensor has them.
struct Watch {
    detector: Box<dyn Detector>,
    rules: SensorRules,
    heard: u64,
}

impl Watch {
    fn new(name: &str) -> Self {
        let rule = "id = 'odd'\nquantity = 'level'\nkind = 'anomaly'";
        let rule: SensorRuleSpec = read_table(&mut toml_span::parse(rule).unwrap()).unwrap();
        let detector = method(&format!("method = {name:?}")).detector().unwrap();
        Self { detector, rules: SensorRules::new([&rule], &Schedules::new(), Mono(0)).unwrap(), heard: 0 }
    }

    /// The score, and whether an anomaly begins.
    fn hear(&mut self, at: LocalTime, value: f64) -> (f64, bool) {
        let score = self.detector.observe(at, value);
        self.heard += 1;
        let quantity = "level".parse().unwrap();
        let heard =
            Heard { quantity: &quantity, value, verdict: Verdict::GOOD, score: Some(score), at: Mono(self.heard) };
        let mut alarms = Vec::new();
        self.rules.hear(&heard, &mut alarms);
        (score, alarms.iter().any(|alarm| alarm.change == Change::Began))
    }
}

fn five_minutes(reading: usize) -> LocalTime {
    LocalTime { unix: 1.7e9 + 300.0 * reading as f64, utc_offset: 8 * 3600 }
}

/// The readings at which a method alarms.
fn alarms(name: &str, values: impl IntoIterator<Item = f64>) -> Vec<usize> {
    let mut watch = Watch::new(name);
    let begins = |&(i, value): &(usize, f64)| watch.hear(five_minutes(i), value).1;
    values.into_iter().enumerate().filter(begins).map(|(i, _)| i).collect()
}

/// Seeded noise (SplitMix64).
struct Noise(u64);

impl Noise {
    fn even(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn gauss(&mut self) -> f64 {
        (-2.0 * self.even().max(1e-300).ln()).sqrt() * (std::f64::consts::TAU * self.even()).cos()
    }

    fn gaussian(seed: u64) -> impl Iterator<Item = f64> {
        let mut noise = Self(seed);
        std::iter::repeat_with(move || noise.gauss())
    }
}

fn rhythm(reading: usize) -> f64 {
    (reading as f64 * std::f64::consts::TAU / DAY as f64).sin()
}

fn anything() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        -100.0..100.0,
        prop_oneof![
            Just(0.0),
            Just(1.0),
            Just(f64::NAN),
            Just(f64::MAX),
            Just(f64::NEG_INFINITY),
            Just(f64::MIN_POSITIVE)
        ],
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_in_a_score_comes_out(
        readings in prop::collection::vec((anything(), prop_oneof![any::<f64>(), 1.7e9..1.8e9], any::<i32>()), 1..400),
    ) {
        for name in METHODS {
            let (mut one, mut other) = (usual(name).detector().unwrap(), usual(name).detector().unwrap());
            let bytes = one.state_bytes();
            for &(value, unix, utc_offset) in &readings {
                let at = LocalTime { unix, utc_offset };
                let score = one.observe(at, value);
                prop_assert!((0.0..=1.0).contains(&score), "{name}: {score}");
                prop_assert_eq!(score.to_bits(), other.observe(at, value).to_bits(), "{} is not deterministic", name);
            }
            prop_assert_eq!(one.state_bytes(), bytes, "{} grows", name);
        }
    }
}

#[test]
fn memory_does_not_grow() {
    for name in METHODS {
        let mut detector = usual(name).detector().unwrap();
        let bytes = detector.state_bytes();
        for (i, value) in Noise::gaussian(1).take(20_000).enumerate() {
            detector.observe(five_minutes(i), value);
        }
        assert_eq!(detector.state_bytes(), bytes, "{name}");
        assert!(bytes < 1 << 20, "{name} holds {bytes} bytes");
    }
}

#[test]
fn the_unit_does_not_matter() {
    for name in METHODS {
        let (mut one, mut other) = (usual(name).detector().unwrap(), usual(name).detector().unwrap());
        for (i, value) in Noise::gaussian(3).take(2000).enumerate() {
            let (a, b) = (one.observe(five_minutes(i), value), other.observe(five_minutes(i), value * 1024.0));
            // Rounding may put a distance into the next bucket.
            assert!((a - b).abs() < 0.02, "{name} at {i}: {a} {b}");
        }
    }
}

#[test]
fn what_is_not_a_number_changes_nothing() {
    for name in METHODS {
        let (mut one, mut other) = (usual(name).detector().unwrap(), usual(name).detector().unwrap());
        for (i, value) in Noise::gaussian(4).take(500).enumerate() {
            assert_eq!(other.observe(five_minutes(i), f64::NAN), 0.0);
            assert_eq!(one.observe(five_minutes(i), value), other.observe(five_minutes(i), value), "{name}");
        }
    }
}

#[test]
fn hours_are_local_and_survive_any_time() {
    let hour = |unix, utc_offset| LocalTime { unix, utc_offset }.hour();
    assert_eq!(hour(0.0, 0), 0);
    assert_eq!(hour(3600.0 * 23.5, 8 * 3600), 7);
    assert_eq!(hour(-1.0, 0), 23);
    assert_eq!(hour(f64::NAN, 0), 0);
    assert!(hour(f64::INFINITY, 0) < 24 && hour(-1e300, i32::MIN) < 24 && hour(-1e-20, 0) < 24);
}

#[test]
fn a_constant_reading_scores_nothing() {
    for name in METHODS {
        let mut detector = usual(name).detector().unwrap();
        for i in 0..3000 {
            assert_eq!(detector.observe(five_minutes(i), 45.0), 0.0, "{name} at {i}");
        }
    }
}

#[test]
fn a_constant_that_changes_is_one_alarm() {
    let step = (0..3000).map(|i| if i < 1000 { 45.0 } else { 46.0 });
    for name in ["auto", "neighbour", "robust_z", "ewma", "page_hinkley"] {
        let alarms = alarms(name, step.clone());
        assert_eq!(alarms.len(), 1, "{name}: {alarms:?}");
        assert!((1000..1010).contains(&alarms[0]), "{name}: {alarms:?}");
    }
    // The first way back may be news too; there once more is none.
    let there_and_back = (0..8000).map(|i| if i % 4000 < 1000 || i % 4000 >= 2000 { 0.0 } else { 1.0 });
    let alarms = alarms("auto", there_and_back);
    assert!(alarms.starts_with(&[1000]) && alarms.iter().all(|at| *at <= 2000), "{alarms:?}");
}

#[test]
fn a_spike_is_seen_at_once() {
    for name in ["auto", "neighbour", "same_time", "robust_z"] {
        let mut detector = usual(name).detector().unwrap();
        for (i, noise) in Noise::gaussian(5).take(2000).enumerate() {
            let spike = i == 1500;
            let score = detector.observe(five_minutes(i), if spike { 25.0 } else { 10.0 + noise });
            assert!(!spike || score >= ALARM_SCORE, "{name}: {score}");
        }
    }
}

#[test]
fn a_level_shift_is_one_alarm() {
    for name in ["auto", "neighbour", "ewma", "page_hinkley"] {
        let values = Noise::gaussian(6).take(4000).enumerate();
        let values = values.map(|(i, noise)| if i < 2000 { noise } else { 6.0 + noise });
        let alarms: Vec<_> = alarms(name, values).into_iter().filter(|at| (2000..2400).contains(at)).collect();
        assert!(alarms.len() == 1 && alarms[0] < 2020, "{name}: {alarms:?}");
    }
}

#[test]
fn a_slow_drift_is_none() {
    // Three standard deviations in two and a half weeks.
    let drift = |slope: f64| Noise::gaussian(7).take(5000).enumerate().map(move |(i, noise)| slope * i as f64 + noise);
    let (with, without) = (alarms("auto", drift(0.0006)), alarms("auto", drift(0.0)));
    assert!(with.len() <= without.len() + 3, "{with:?}, without it {without:?}");
}

#[test]
fn a_day_without_its_rhythm_is_an_alarm() {
    // At night's level, or below any.
    for (name, missing) in [("auto", 0.0), ("same_time", 0.0), ("auto", -1.0)] {
        // On the tenth day the pump stays off.
        let day = 10 * DAY..11 * DAY;
        let values = Noise::gaussian(8).take(12 * DAY).enumerate().map(|(i, noise)| {
            let level = if day.contains(&i) { missing } else { rhythm(i).max(0.0) };
            20.0 + 10.0 * level + 0.3 * noise
        });
        let alarms = alarms(name, values);
        assert!(alarms.iter().any(|at| day.contains(at)), "{name} {missing}: {alarms:?}");
    }
}

#[test]
fn a_square_wave_is_learnt() {
    for period in [20, 97, DAY] {
        let wave = (0..20 * DAY).map(|i| if i % period < period / 2 { 20.0 } else { 80.0 });
        let alarms = alarms("auto", wave);
        assert!(alarms.iter().all(|at| *at < 3 * DAY), "{period}: {alarms:?}");
    }
}

#[test]
fn a_line_that_goes_flat_is_an_alarm() {
    for name in ["auto", "standstill"] {
        let values = Noise::gaussian(9).take(3000).enumerate().map(|(i, noise)| if i < 2000 { noise } else { 0.25 });
        let alarms: Vec<_> = alarms(name, values).into_iter().filter(|at| *at >= 2000).collect();
        assert!(alarms.first().is_some_and(|at| *at < 2020), "{name}: {alarms:?}");
    }
    // A counter of people rests every night.
    let mut noise = Noise(10);
    let nights = (0..20 * DAY).map(|i| if i % DAY < 100 { 0.0 } else { (10.0 * noise.even()).floor() });
    let alarms = alarms("standstill", nights);
    assert!(alarms.iter().all(|at| *at < 4 * DAY), "{alarms:?}");
}

#[test]
fn an_alarm_says_what_is_unusual() {
    let reason = |values: &mut dyn Iterator<Item = f64>| {
        let mut watch = Watch::new("auto");
        let begins =
            values.enumerate().map(|(i, value)| (watch.hear(five_minutes(i), value).1, watch.detector.reason()));
        begins.filter(|(begins, _)| *begins).last().map(|(_, reason)| reason)
    };
    let noise = || Noise::gaussian(14).take(10 * DAY + 40).enumerate();
    let last = |i| i >= 10 * DAY + 10;
    assert_eq!(reason(&mut noise().map(|(i, n)| if last(i) { 0.5 } else { n })), Some(Reason::Standstill));
    assert_eq!(reason(&mut noise().map(|(i, n)| if last(i) { 30.0 } else { n })), Some(Reason::Unseen));
    let day = |i: usize, n: f64| if i % DAY < DAY / 2 { 10.0 + n } else { 50.0 + n };
    let shifted = noise().map(|(i, n)| if last(i) { 50.0 + n } else { day(i, n) });
    assert_eq!(reason(&mut { shifted }), Some(Reason::TimeOfDay));
}

#[test]
fn a_counter_alarms_where_it_starts_over() {
    let mut noise = Noise(11);
    let mut total = 1e9;
    let values: Vec<f64> = (0..4000)
        .map(|i| {
            total = if i == 3000 { 0.0 } else { total + (4.0 * noise.even()).floor() };
            total
        })
        .collect();
    assert!(alarms("auto", values).contains(&3000));
}

#[test]
fn gaps_repetitions_and_late_readings_are_no_anomaly() {
    let mut watch = Watch::new("auto");
    let mut noise = Noise(12);
    let mut alarms = 0;
    let mut minutes = 0.0;
    for i in 0..6000 {
        minutes += match i % 100 {
            13 => 2000.0,
            40 | 41 => 0.0,
            77 => -30.0,
            _ => 10.0 * noise.even(),
        };
        let at = LocalTime { unix: 1.7e9 + 60.0 * minutes, utc_offset: 0 };
        alarms += usize::from(watch.hear(at, 20.0 + noise.gauss()).1);
    }
    assert!(alarms <= 8, "{alarms}");
}

#[test]
fn large_numbers_small_ones_and_a_far_zero_hide_nothing() {
    for name in ["auto", "neighbour", "same_time", "robust_z"] {
        for (offset, unit) in [(0.0, 1.0), (1e9, 1.0), (1e12, 1.0), (0.0, 1e12), (0.0, 1e-12), (1e-3, 1e-12)] {
            let values = Noise::gaussian(15).take(3000).enumerate();
            let values = values.map(|(i, noise)| offset + unit * if i == 2500 { 20.0 } else { noise });
            let alarms = alarms(name, values);
            assert!(alarms.contains(&2500) && alarms.len() <= 12, "{name} at {offset} by {unit}: {alarms:?}");
        }
    }
}

#[test]
fn an_absurd_value_does_not_blind() {
    for absurd in [65_535.0, -1e9, 1e30, f64::INFINITY] {
        let values = Noise::gaussian(16).take(6000).enumerate();
        let values = values.map(|(i, noise)| match i {
            500 => absurd,
            5000 => 30.0,
            _ => 10.0 + noise,
        });
        let alarms = alarms("auto", values);
        assert!(alarms.contains(&5000) && alarms.len() <= 8, "{absurd}: {alarms:?}");
    }
}

#[test]
fn a_handful_of_readings_says_nothing() {
    for name in METHODS {
        let mut detector = usual(name).detector().unwrap();
        for i in 0..15 {
            assert_eq!(detector.observe(five_minutes(i), if i == 10 { 1e6 } else { 1.0 }), 0.0, "{name} at {i}");
        }
    }
}

#[test]
fn the_end_of_the_first_day_is_no_anomaly() {
    // Where comparing with other days begins there is nothing yet to hold the first distances against.
    for (seconds, days) in [(300.0, 90..390), (900.0, 90..300), (3600.0, 90..400)] {
        let mut sensors_that_alarm = 0;
        for seed in 0..20 {
            let (mut watch, mut alarms) = (Watch::new("auto"), 0);
            for (i, noise) in Noise::gaussian(1000 + seed).take(days.end).enumerate() {
                let at = LocalTime { unix: 1.7e9 + seconds * i as f64, utc_offset: 0 };
                alarms += usize::from(watch.hear(at, noise).1 && days.contains(&i));
            }
            sensors_that_alarm += usize::from(alarms > 0);
        }
        assert!(sensors_that_alarm <= 8, "every {seconds} s: {sensors_that_alarm} of 20");
    }
}

#[test]
fn a_wrong_clock_is_no_anomaly() {
    type Clock = fn(usize) -> f64;
    let clocks: [(&str, Clock); 4] = [
        ("stands", |_| 1.7e9),
        ("runs backwards", |i| 1.7e9 - 300.0 * i as f64),
        ("goes back a year", |i| 1.7e9 + 300.0 * i as f64 - if i > 2000 { 31_536_000.0 } else { 0.0 }),
        ("leaps", |i| 1.7e9 + 3e7 * ((i * 7919) % 101) as f64),
    ];
    for (what, clock) in clocks {
        let mut watch = Watch::new("auto");
        let noise = Noise::gaussian(17).take(5000).enumerate();
        let alarms =
            noise.filter(|&(i, noise)| watch.hear(LocalTime { unix: clock(i), utc_offset: 28_800 }, 20.0 + noise).1);
        assert!(alarms.count() <= 10, "{what}");
    }
}

#[test]
fn noise_of_any_kind_is_about_equally_quiet() {
    type Kind = fn(&mut Noise, usize) -> f64;
    let kinds: [(&str, Kind); 11] = [
        ("gaussian", |noise, _| noise.gauss()),
        ("even", |noise, _| noise.even()),
        ("lognormal", |noise, _| noise.gauss().exp()),
        ("heavy-tailed", |noise, _| noise.even().max(1e-9).powf(-0.4)),
        ("rare events", |noise, _| f64::from(u8::from(noise.even() < 0.05))),
        ("a door by day", |noise, i| f64::from(u8::from((90..200).contains(&(i % DAY)) && noise.even() < 0.2))),
        ("a total that only rises", |noise, i| 1e9 + (3.0 * i as f64 + noise.even()).floor()),
        ("tenths of a degree", |noise, i| (200.0 + 50.0 * rhythm(i) + 2.0 * noise.gauss()).round() / 10.0),
        ("bursts", |noise, _| if noise.even() < 0.01 { 20.0 + 30.0 * noise.even() } else { 2.0 + noise.even() }),
        ("daily", |noise, i| 10.0 * rhythm(i) + noise.gauss()),
        ("sum of noise and days", |noise, i| (2.0 + rhythm(i) + 0.5 * noise.gauss()).exp().floor()),
    ];
    for (kind, value) in kinds {
        let mut noise = Noise(13);
        let alarms = alarms("auto", (0..10_000).map(|i| value(&mut noise, i)));
        let later = alarms.iter().filter(|at| **at >= 1000).count();
        // Less than one in two days.
        assert!(later <= 15, "{kind}: {alarms:?}");
    }
}
