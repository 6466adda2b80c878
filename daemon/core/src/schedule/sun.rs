//! When the sun rises and sets, within two minutes below 66° of latitude.
//!
//! The sun's place is that of Meeus, *Astronomical Algorithms* (2nd edition), chapter 25 (low accuracy, 0.01°) and 28
//! (equation of time); how rising and setting follow from it is that of NOAA's Solar Calculator. It rises and sets when
//! its centre is 0.833° below the level horizon: 34′ of refraction and 16′ of its own radius. Hills and weather are not
//! known, and near the poles, where it skims the horizon, minutes are.
//!
//! A day of the sun lasts from midnight to midnight by the sun, around its noon. Where it does not rise, sunrise and sunset
//! both are at noon, so that from each sunset to the next sunrise is night, without a gap. Where it does not set,
//! sunrise is at the midnight before and sunset at the one after, so that there is no night. Both are what rising and
//! setting tend to as that time of the year comes near.

use std::f64::consts::TAU;

use jiff::Timestamp;

use super::spec::SunEvent;

/// A place on Earth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Position {
    /// Degrees, north positive.
    latitude: f64,
    /// Degrees, east positive.
    longitude: f64,
}

impl Position {
    /// The place at a latitude of -90 to 90 and a longitude of -180 to 180 degrees, WGS 84. `None` outside of them.
    pub fn new(latitude: f64, longitude: f64) -> Option<Self> {
        let possible = latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
        possible.then_some(Self { latitude, longitude })
    }

    /// When the sun stands highest on the day whose mean noon, that of a sun which moves evenly, is the nearest. `None` at the
    /// ends of all time.
    pub fn noon(self, near: Timestamp) -> Option<Timestamp> {
        timestamp(noon(self.mean_noon(near)))
    }

    /// When the sun rises or sets on that day, to the second. `None` at the ends of all time.
    pub fn when(self, event: SunEvent, near: Timestamp) -> Option<Timestamp> {
        let mean_noon = self.mean_noon(near);
        let direction = match event {
            SunEvent::Sunrise => -1.0,
            SunEvent::Sunset => 1.0,
        };
        // The sun moves on between noon and then: two rounds are within a second of where further ones lead.
        let at = (0..3).fold(mean_noon, |at, _| {
            let sun = Sun::at(at);
            let half_day = sun.half_day(self.latitude);
            if half_day < HALF_TURN {
                mean_noon - sun.equation_of_time + direction * half_day
            } else {
                (noon(mean_noon) + noon(mean_noon + direction)) / 2.0
            }
        });
        timestamp(at)
    }

    /// The nearest mean noon, in days since J2000.
    fn mean_noon(self, near: Timestamp) -> f64 {
        let turn = self.longitude / 360.0;
        (near.as_second() as f64 / DAY - J2000 + turn).round() - turn
    }
}

/// Seconds.
const DAY: f64 = 86_400.0;

/// Noon of 2000-01-01 in days since 1970-01-01.
const J2000: f64 = 10_957.5;

/// In days.
const HALF_TURN: f64 = 0.5;

/// Distance of the sun's centre from the zenith when its upper limb is seen at the horizon, degrees.
const ZENITH: f64 = 90.833;

/// The true noon of the day with that mean noon, both in days since J2000.
fn noon(mean: f64) -> f64 {
    mean - Sun::at(mean).equation_of_time
}

/// An instant in days since J2000.
fn timestamp(days: f64) -> Option<Timestamp> {
    Timestamp::from_second(((days + J2000) * DAY).round() as i64).ok()
}

/// Where the sun stands.
struct Sun {
    /// Its distance from the equator, radians, north positive.
    declination: f64,
    /// By how much it is ahead of one that moves evenly, days.
    equation_of_time: f64,
}

impl Sun {
    /// At an instant in days since J2000. Universal time is taken for dynamical time: a minute of it is nothing here.
    fn at(days: f64) -> Self {
        // Julian centuries; then by Meeus's numbers of equations.
        let t = days / 36_525.0;
        // (25.2) mean longitude, (25.3) mean anomaly, (25.4) eccentricity of the Earth's orbit.
        let longitude = 280.466_46 + t * (36_000.769_83 + t * 0.000_303_2);
        let anomaly = (357.529_11 + t * (35_999.050_29 - t * 0.000_153_7)).to_radians();
        let eccentricity = 0.016_708_634 - t * (0.000_042_037 + t * 0.000_000_126_7);
        let centre = (1.914_602 - t * (0.004_817 + t * 0.000_014)) * anomaly.sin()
            + (0.019_993 - t * 0.000_101) * (2.0 * anomaly).sin()
            + 0.000_289 * (3.0 * anomaly).sin();
        // For nutation and aberration.
        let node = (125.04 - 1934.136 * t).to_radians();
        let apparent = (longitude + centre - 0.005_69 - 0.004_78 * node.sin()).to_radians();
        // (22.2), corrected for nutation as by (25.8).
        let mean_obliquity = 23.0 + (26.0 + (21.448 - t * (46.815 + t * (0.000_59 - t * 0.001_813))) / 60.0) / 60.0;
        let obliquity = (mean_obliquity + 0.002_56 * node.cos()).to_radians();
        // (28.3)
        let (y, longitude) = ((obliquity / 2.0).tan().powi(2), longitude.to_radians());
        let equation_of_time = y * (2.0 * longitude).sin() - 2.0 * eccentricity * anomaly.sin()
            + 4.0 * eccentricity * y * anomaly.sin() * (2.0 * longitude).cos()
            - y * y / 2.0 * (4.0 * longitude).sin()
            - 1.25 * eccentricity * eccentricity * (2.0 * anomaly).sin();
        // (25.7)
        let declination = (obliquity.sin() * apparent.sin()).asin();
        Self { declination, equation_of_time: equation_of_time / TAU }
    }

    /// Time from its rising to noon and from noon to its setting, if its place did not change, in days: 0 where it does
    /// not rise, [`HALF_TURN`] where it does not set.
    fn half_day(&self, latitude: f64) -> f64 {
        let latitude = latitude.to_radians();
        // (15.1); at the poles one of the two terms outgrows everything.
        let cosine = ZENITH.to_radians().cos() / (latitude.cos() * self.declination.cos())
            - latitude.tan() * self.declination.tan();
        cosine.clamp(-1.0, 1.0).acos() / TAU
    }
}

#[cfg(test)]
mod tests {
    use jiff::{
        civil::{Date, date},
        tz::Offset,
    };
    use proptest::prelude::*;

    use super::*;

    fn clock_noon(date: Date, hours: i8) -> Timestamp {
        Offset::constant(hours).to_timestamp(date.at(12, 0, 0, 0)).unwrap()
    }

    /// How many minutes after `HH:MM:SS` of a date an instant is.
    fn minutes_after(time: &str, on: Date, hours: i8, at: Timestamp) -> f64 {
        let time = on.to_datetime(time.parse().unwrap());
        at.duration_since(Offset::constant(hours).to_timestamp(time).unwrap()).as_secs_f64() / 60.0
    }

    /// Meeus, examples 25.a and 28.b: 1992-10-13 at 0 h dynamical time.
    #[test]
    fn the_sun_stands_where_the_textbook_has_it() {
        let sun = Sun::at(-2636.5);
        assert!((sun.declination.to_degrees() - -7.785_07).abs() < 0.000_02, "{}", sun.declination.to_degrees());
        let minutes = sun.equation_of_time * 24.0 * 60.0;
        assert!((minutes - 13.709_4).abs() < 0.01, "{minutes}");
    }

    /// Place, latitude, longitude, hours ahead of Greenwich, date, sunrise, sunset; by the planetary theory VSOP87 as
    /// libastro has it (PyEphem 4) and the almanacs' convention: the sun's centre, 50′ below the horizon. The sunrise of
    /// Golden to the second, and on the day before a sunset at 17:20:19, is also the example of NREL's report TP-560-34302,
    /// *Solar Position Algorithm for Solar Radiation Applications*.
    const CALCULATED: [(&str, f64, f64, i8, &str, &str, &str); 18] = [
        ("Golden", 39.742_476, -105.178_6, -7, "2003-10-16", "06:11:42", "17:20:18"),
        ("Golden", 39.742_476, -105.178_6, -7, "2003-10-17", "06:12:43", "17:18:51"),
        ("Hangzhou", 30.27, 120.15, 8, "2026-03-21", "06:02:35", "18:11:09"),
        ("Hangzhou", 30.27, 120.15, 8, "2026-06-21", "04:58:06", "19:04:10"),
        ("Hangzhou", 30.27, 120.15, 8, "2026-11-03", "06:14:50", "17:10:42"),
        ("Hangzhou", 30.27, 120.15, 8, "2026-12-21", "06:51:29", "17:03:06"),
        ("Beijing", 39.90, 116.41, 8, "2026-06-21", "04:45:56", "19:46:16"),
        ("Beijing", 39.90, 116.41, 8, "2026-12-21", "07:32:07", "16:52:24"),
        ("Harbin", 45.80, 126.53, 8, "2026-06-21", "03:43:48", "19:27:26"),
        ("Harbin", 45.80, 126.53, 8, "2026-12-21", "07:11:47", "15:51:44"),
        ("Kashgar", 39.47, 75.99, 8, "2026-06-21", "07:29:02", "22:26:35"),
        ("Kashgar", 39.47, 75.99, 8, "2026-12-21", "10:12:33", "19:35:26"),
        ("Pontianak", 0.0, 109.33, 8, "2026-03-21", "06:46:39", "18:53:09"),
        ("Pontianak", 0.0, 109.33, 8, "2026-11-03", "06:22:47", "18:29:40"),
        ("Sydney", -33.87, 151.21, 10, "2026-06-21", "06:59:57", "16:53:48"),
        ("Sydney", -33.87, 151.21, 10, "2026-12-21", "04:40:38", "19:05:24"),
        ("Reykjavik", 64.15, -21.94, 0, "2026-11-03", "09:17:28", "17:04:06"),
        ("Reykjavik", 64.15, -21.94, 0, "2026-12-21", "11:22:24", "15:29:17"),
    ];

    #[test]
    fn days_begin_and_end_when_better_methods_say() {
        for (place, latitude, longitude, hours, on, sunrise, sunset) in CALCULATED {
            let (position, on) = (Position::new(latitude, longitude).unwrap(), on.parse().unwrap());
            let near = clock_noon(on, hours);
            for (event, time) in [(SunEvent::Sunrise, sunrise), (SunEvent::Sunset, sunset)] {
                let error = minutes_after(time, on, hours, position.when(event, near).unwrap());
                assert!(error.abs() <= 0.5, "{place}, {event} of {on}: {error} minutes");
            }
        }
    }

    #[test]
    fn half_a_year_without_days_and_half_a_year_without_nights() {
        // As the US Naval Observatory has them, of 2020.
        let (longyearbyen, mcmurdo) = ((78.216_667, 15.633_333, 0), (-77.85, 166.666_667, 12));
        for (place, nights, days) in [
            (
                longyearbyen,
                ["2020-01-05", "2020-02-05", "2020-11-15", "2020-12-25"],
                ["2020-04-25", "2020-06-25", "2020-08-15"],
            ),
            (
                mcmurdo,
                ["2020-05-05", "2020-06-25", "2020-07-25", "2020-08-15"],
                ["2020-01-05", "2020-11-05", "2020-12-25"],
            ),
        ] {
            let (latitude, longitude, hours) = place;
            let position = Position::new(latitude, longitude).unwrap();
            let when = |date: Date, event| position.when(event, clock_noon(date, hours)).unwrap();
            for night in nights.map(|night| night.parse().unwrap()) {
                let noon = position.noon(clock_noon(night, hours)).unwrap();
                assert_eq!((when(night, SunEvent::Sunrise), when(night, SunEvent::Sunset)), (noon, noon), "{night}");
            }
            for day in days.map(|day| day.parse::<Date>().unwrap()) {
                let tomorrow = day.tomorrow().unwrap();
                assert_eq!(when(day, SunEvent::Sunset), when(tomorrow, SunEvent::Sunrise), "no night after {day}");
            }
        }
    }

    #[test]
    fn a_place_is_on_earth() {
        for (latitude, longitude) in [(90.1, 0.0), (-91.0, 0.0), (0.0, 180.5), (f64::NAN, 0.0), (0.0, f64::INFINITY)] {
            assert_eq!(Position::new(latitude, longitude), None);
        }
        for at in [Timestamp::MIN, Timestamp::MAX] {
            // Whatever it answers.
            for latitude in [-90.0, 0.0, 90.0] {
                let position = Position::new(latitude, 180.0).unwrap();
                let _ = (position.noon(at), position.when(SunEvent::Sunrise, at), position.when(SunEvent::Sunset, at));
            }
        }
    }

    fn day_length(latitude: f64, longitude: f64, near: Timestamp) -> f64 {
        let position = Position::new(latitude, longitude).unwrap();
        let when = |event| position.when(event, near).unwrap();
        when(SunEvent::Sunset).duration_since(when(SunEvent::Sunrise)).as_secs_f64()
    }

    proptest! {
        #[test]
        fn the_sun_rises_before_noon_and_sets_after_it(latitude in -65.0f64..65.0, longitude in -180.0f64..=180.0, seconds in 0i64..4_000_000_000) {
            let (position, near) = (Position::new(latitude, longitude).unwrap(), Timestamp::from_second(seconds).unwrap());
            let (rise, noon) = (position.when(SunEvent::Sunrise, near).unwrap(), position.noon(near).unwrap());
            prop_assert!(rise < noon && noon < position.when(SunEvent::Sunset, near).unwrap());
            prop_assert!(noon.duration_since(near).as_hours().abs() <= 12);
        }

        #[test]
        fn days_are_longer_further_north_in_june_and_further_south_in_december(latitude in -90.0f64..89.0, further in 0.5f64..90.0, longitude in -180.0f64..=180.0) {
            let north = (latitude + further).min(90.0);
            let [june, december] = [date(2026, 6, 21), date(2026, 12, 21)].map(|date| clock_noon(date, 0));
            prop_assert!(day_length(latitude, longitude, june) <= day_length(north, longitude, june));
            prop_assert!(day_length(latitude, longitude, december) >= day_length(north, longitude, december));
        }

        /// What lies between them is refraction and the sun's own size.
        #[test]
        fn a_day_is_as_long_as_the_night_on_the_other_side_of_the_equator(latitude in 0.0f64..60.0, seconds in 0i64..4_000_000_000) {
            let near = Timestamp::from_second(seconds).unwrap();
            let both = day_length(latitude, 0.0, near) + day_length(-latitude, 0.0, near);
            let longer = both - 86_400.0;
            prop_assert!((600.0..3_000.0).contains(&longer), "by {longer} s");
        }

        #[test]
        fn no_place_and_no_time_is_too_far(latitude in -90.0f64..=90.0, longitude in -180.0f64..=180.0, seconds in -377_000_000_000i64..253_000_000_000) {
            let (position, near) = (Position::new(latitude, longitude).unwrap(), Timestamp::from_second(seconds).unwrap());
            let when = |event| position.when(event, near).unwrap();
            prop_assert!(when(SunEvent::Sunrise) <= when(SunEvent::Sunset));
            for event in [SunEvent::Sunrise, SunEvent::Sunset] {
                prop_assert!(when(event).duration_since(near).as_hours().abs() < 25);
            }
        }
    }
}
