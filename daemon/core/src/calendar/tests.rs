use std::str::FromStr;

use jiff::ToSpan as _;
use proptest::prelude::*;

use super::*;
use crate::spec::Deserialize;

fn read(text: &str) -> CalendarSpec {
    CalendarSpec::deserialize(&mut toml_span::parse(text).unwrap()).unwrap()
}

/// No database of zones is needed for these, and they keep their rules.
const SHANGHAI: &str = "CST-8";
const NEW_YORK: &str = "EST5EDT,M3.2.0,M11.1.0";
/// Half an hour, at two in the morning.
const LORD_HOWE: &str = "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0";
/// The clock goes from midnight to one o'clock, and from midnight to eleven.
const OVER_MIDNIGHT: &str = "AAA3BBB,M10.3.0/0,M2.3.0/0";

fn calendar(text: &str, zone: &str) -> Calendar {
    Calendar::new(&read(text), TimeZone::posix(zone).unwrap()).unwrap()
}

/// As announced for 2026: the spring festival and National Day with the days worked for them.
const YEAR_2026: &str = r#"
    [[holiday]]
    name = { zh = "春节", en = "Spring Festival" }
    dates = "2026-02-15/2026-02-23"
    [[holiday]]
    name = { zh = "国庆节", en = "National Day" }
    dates = "2026-10-01/2026-10-07"
    [[make_up_workday]]
    name = { zh = "春节调休", en = "for the Spring Festival" }
    dates = "2026-02-14"
    [[make_up_workday]]
    name = { zh = "春节调休", en = "for the Spring Festival" }
    dates = "2026-02-28"
"#;

fn at(calendar: &Calendar, civil: &str) -> Timestamp {
    let civil: DateTime = civil.parse().unwrap();
    calendar.zone().to_timestamp(civil).unwrap()
}

fn hours(hours: f64) -> Duration {
    Duration::from_secs_f64(hours * 3600.0)
}

#[test]
fn working_time_leaves_out_nights_lunch_weekends_and_holidays() {
    let calendar = calendar(YEAR_2026, SHANGHAI);
    let worked = |from, to| calendar.working_time(at(&calendar, from), at(&calendar, to));
    assert_eq!(worked("2026-03-02T00:00", "2026-03-03T00:00"), hours(7.5), "a Monday");
    assert_eq!(worked("2026-03-02T11:00", "2026-03-02T14:00"), hours(1.5), "over lunch");
    assert_eq!(worked("2026-03-06T17:00", "2026-03-09T09:00"), hours(1.0), "over a weekend");
    assert_eq!(worked("2026-02-13T17:30", "2026-02-24T08:30"), hours(7.5), "the festival, but for the 14th");
    assert_eq!(worked("2026-02-23T17:30", "2026-03-01T00:00"), hours(5.0 * 7.5), "Saturday the 28th is worked");
    assert_eq!(worked("2026-09-30T17:29", "2026-10-08T08:31"), hours(2.0 / 60.0));
    assert_eq!(worked("2026-03-03T00:00", "2026-03-02T00:00"), Duration::ZERO, "backwards");
}

#[test]
fn a_limit_ends_where_its_last_hour_does() {
    let calendar = calendar(YEAR_2026, SHANGHAI);
    let due = |from, worked| calendar.instant_after(at(&calendar, from), hours(worked)).unwrap();
    assert_eq!(due("2026-03-02T10:00", 7.5), at(&calendar, "2026-03-03T10:00"));
    assert_eq!(due("2026-03-02T08:30", 7.5), at(&calendar, "2026-03-02T17:30"), "not the next morning");
    assert_eq!(due("2026-03-07T03:00", 1.0), at(&calendar, "2026-03-09T09:30"), "found on a Saturday night");
    assert_eq!(due("2026-09-30T16:30", 2.0), at(&calendar, "2026-10-08T09:30"), "National Day between");
    assert_eq!(due("2026-03-07T03:00", 0.0), at(&calendar, "2026-03-07T03:00"), "no time is over at once");
}

#[test]
fn days_are_known_by_name_and_years_by_having_any() {
    let calendar = calendar(YEAR_2026, SHANGHAI);
    let name = |date: &str| calendar.name_of(date.parse().unwrap()).map(|names| names.zh.as_str());
    assert_eq!([name("2026-10-07"), name("2026-10-08"), name("2026-02-14")], [Some("国庆节"), None, Some("春节调休")]);
    assert_eq!([2025, 2026, 2027].map(|year| calendar.knows_year(year)), [false, true, false]);
}

#[test]
fn hours_start_and_end_when_the_clock_first_shows_them() {
    let night = r#"week = { saturday = ["23:00-24:00"], sunday = ["00:00-01:30", "02:15-02:45", "02:50-04:00"] }"#;
    let calendar = calendar(night, NEW_YORK);
    let worked = |from, to| calendar.working_time(at(&calendar, from), at(&calendar, to));
    // 2026-03-08: from 02:00 to 03:00, so half past two never comes and the second span has only its last hour.
    assert_eq!(worked("2026-03-08T00:00", "2026-03-08T06:00"), hours(1.5 + 1.0));
    assert_eq!(worked("2026-03-08T01:45", "2026-03-08T03:30"), hours(0.5));
    // 2026-11-01: from 02:00 back to 01:00. The first span is over when half past one is shown for the first time.
    assert_eq!(worked("2026-11-01T00:00", "2026-11-01T06:00"), hours(1.5 + 0.5 + 70.0 / 60.0));
    let whole = self::calendar(r#"week = { sunday = ["00:00-24:00"] }"#, NEW_YORK);
    let worked = |from, to| whole.working_time(at(&whole, from), at(&whole, to));
    assert_eq!(worked("2026-03-08T00:00", "2026-03-09T00:00"), hours(23.0));
    assert_eq!(worked("2026-11-01T00:00", "2026-11-02T00:00"), hours(25.0));
}

#[test]
fn beyond_the_horizon_nothing_is_counted() {
    // Every working day of three years is a holiday.
    let years: String = (2026..2031)
        .map(|year| {
            format!("[[holiday]]\nname = {{ zh = \"假\", en = \"off\" }}\ndates = \"{year}-01-01/{year}-12-31\"\n")
        })
        .collect();
    let calendar = calendar(&years, SHANGHAI);
    let from = at(&calendar, "2026-06-01T09:00");
    assert_eq!(calendar.instant_after(from, Duration::from_nanos(1)), None);
    assert_eq!(calendar.working_time(from, Timestamp::MAX), Duration::ZERO);
    for from in [Timestamp::MIN, Timestamp::MAX] {
        assert_eq!(calendar.instant_after(from, Duration::MAX), None);
        assert!(calendar.working_time(from, Timestamp::MAX) <= Calendar::HORIZON);
    }
}

#[test]
fn the_example_has_the_248_working_days_of_2026() {
    let calendar = calendar(include_str!("../../../../configs/example/calendar.toml"), SHANGHAI);
    let year = iter::successors("2026-01-01".parse::<Date>().ok(), |date| date.tomorrow().ok()).take(365);
    assert_eq!(year.filter(|date| !calendar.hours(*date).is_empty()).count(), 248);
    assert!(calendar.name_of("2026-10-10".parse().unwrap()).is_some() && calendar.knows_year(2026));
}

#[test]
fn every_mistake_is_named() {
    let wrong = |text| -> Vec<String> {
        let errors = Calendar::new(&read(text), TimeZone::UTC).unwrap_err();
        errors.into_iter().map(|error| error.kind.to_string()).collect()
    };
    let all_off = "week = { monday = [], tuesday = [], wednesday = [], thursday = [], friday = [] }";
    assert_eq!(wrong(all_off), ["no day of the week has working hours"]);
    assert_eq!(
        wrong(r#"week = { monday = ["13:00-17:00", "08:00-13:30"] }"#),
        ["the hours 08:00-13:30 and 13:00-17:00 of monday overlap"]
    );
    assert_eq!(
        wrong(
            r#"
            holiday = [
                { name = { zh = "", en = "May Day" }, dates = "2026-05-01/2026-05-05" },
                { name = { zh = "", en = "Youth Day" }, dates = "2026-05-04" },
            ]
            make_up_workday = [
                { name = { zh = "", en = "April" }, dates = "2026-04-26/2026-05-01" },
                { name = { zh = "", en = "May" }, dates = "2026-05-09", works_like = "sunday" },
            ]
            "#
        ),
        [
            "2026-05-04 belongs to `Youth Day` and to `May Day`",
            "2026-05-01 belongs to `April` and to `May Day`",
            "`May` works like sunday, which has no hours: name a day that has",
        ]
    );
}

/// Spans of a day from at most four pairs of a day's quarter hours, with many of them at night, where clocks change.
fn day() -> impl Strategy<Value = Vec<Hours>> {
    let quarter = prop_oneof![0u16..=16, 0u16..=96, 88u16..=96];
    prop::collection::btree_set(quarter, 0..8).prop_map(|quarters| {
        let quarters: Vec<u16> = quarters.into_iter().collect();
        let clock = |quarter: u16| format!("{:02}:{:02}", quarter / 4, quarter % 4 * 15);
        quarters.chunks_exact(2).map(|q| format!("{}-{}", clock(q[0]), clock(q[1])).parse().unwrap()).collect()
    })
}

fn any_calendar() -> impl Strategy<Value = Calendar> {
    let zone = prop_oneof![Just(SHANGHAI), Just(NEW_YORK), Just(LORD_HOWE), Just(OVER_MIDNIGHT)];
    let exception = (0u32..400, prop::option::of(0usize..7));
    (prop::array::uniform7(day()), prop::collection::btree_map(0u32..400, exception, 0..12), zone).prop_map(
        |(mut week, exceptions, zone)| {
            if week.iter().all(Vec::is_empty) {
                week[3].push("09:00-17:00".parse().unwrap());
            }
            let day = |number: u32| "2026-01-01".parse::<Date>().unwrap().saturating_add(i64::from(number).days());
            let name = Names { zh: String::new(), en: String::new() };
            let mut read = ExceptionReader::default();
            for (first, (length, like)) in exceptions {
                let range = DateRange::from_str(&format!("{}/{}", day(first), day(first + length % 10))).unwrap();
                let like = like.map(|day| Weekday::ALL[day]);
                // Those that overlap are refused.
                read.add(&Located::nowhere(range), &name, like, &mut Vec::new());
            }
            Calendar { zone: TimeZone::posix(zone).unwrap(), week, exceptions: read.exceptions }
        },
    )
}

/// An instant of 2026, often in a night in which some clock changes.
fn instant() -> impl Strategy<Value = Timestamp> {
    let within = |from: &str, hours: i64| {
        let from: Timestamp = from.parse().unwrap();
        (0..hours * 3600, 0i32..1_000_000_000)
            .prop_map(move |(seconds, nanos)| Timestamp::new(from.as_second() + seconds, nanos).unwrap())
    };
    prop_oneof![
        within("2026-01-01T00:00:00Z", 365 * 24),
        within("2026-03-08T00:00:00Z", 36),
        within("2026-11-01T00:00:00Z", 36),
        within("2026-04-04T12:00:00Z", 36),
        within("2026-10-18T00:00:00Z", 36),
        within("2026-02-14T12:00:00Z", 36),
    ]
}

proptest! {
    /// The earliest instant at which so much has been worked: exactly so much then, and less a nanosecond before.
    #[test]
    fn the_instant_after_is_the_inverse_of_working_time(calendar in any_calendar(), from in instant(), nanos in 1u64..2_000_000_000_000_000) {
        let worked = Duration::from_nanos(nanos);
        if let Some(then) = calendar.instant_after(from, worked) {
            prop_assert!(then > from);
            prop_assert_eq!(calendar.working_time(from, then), worked);
            let before = then.checked_sub(Duration::from_nanos(1)).unwrap();
            prop_assert_eq!(calendar.working_time(from, before), worked - Duration::from_nanos(1));
        } else {
            prop_assert!(calendar.working_time(from, Timestamp::MAX) < worked);
        }
    }

    /// And the other way round: the instant may be earlier only by time that is not worked.
    #[test]
    fn working_time_is_the_inverse_of_the_instant_after(calendar in any_calendar(), one in instant(), other in instant()) {
        let (from, to) = (one.min(other), one.max(other));
        let worked = calendar.working_time(from, to);
        let then = calendar.instant_after(from, worked).unwrap();
        prop_assert!(from <= then && then <= to);
        prop_assert_eq!(calendar.working_time(then, to), Duration::ZERO);
    }

    /// What is worked from one to the next and on to the third is what is worked from the first to the third.
    #[test]
    fn working_time_adds_up(calendar in any_calendar(), mut three in prop::array::uniform3(instant())) {
        three.sort_unstable();
        let [a, b, c] = three;
        prop_assert_eq!(calendar.working_time(a, b) + calendar.working_time(b, c), calendar.working_time(a, c));
        prop_assert!(calendar.working_time(a, c) <= between(a, c));
    }

    /// Where no clock changes, a minute is worked if its time of the day is.
    #[test]
    fn working_time_is_that_of_its_minutes(mut calendar in any_calendar(), from in 0i64..500_000, minutes in 0i64..6_000) {
        calendar.zone = TimeZone::posix(SHANGHAI).unwrap();
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let minute = |minute: i64| Timestamp::from_second(start.as_second() + minute * 60).unwrap();
        let worked = (from..from + minutes).filter(|number| {
            let local = calendar.zone.to_datetime(minute(*number));
            let of_day = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
            calendar.hours(local.date()).iter().any(|hours| (hours.from_minute()..hours.to_minute()).contains(&of_day))
        });
        let expected = Duration::from_secs(60 * worked.count() as u64);
        prop_assert_eq!(calendar.working_time(minute(from), minute(from + minutes)), expected);
    }
}
