use jiff::{civil::DateTime, tz::TimeZone};
use proptest::prelude::*;

use super::{spec::SchedulesSpec, *};
use crate::{calendar::spec::CalendarSpec, spec::Deserialize};

/// No database of zones is needed for these, and they keep their rules.
const SHANGHAI: &str = "CST-8";
const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";
/// The clock goes from midnight to one o'clock, and from midnight to eleven.
const OVER_MIDNIGHT: &str = "AAA3BBB,M10.3.0/0,M2.3.0/0";

const HANGZHOU: (f64, f64) = (30.27, 120.15);
const TROMSO: (f64, f64) = (69.65, 18.96);

fn calendar(zone: &str) -> Arc<Calendar> {
    let text = include_str!("../../../../configs/example/calendar.toml");
    let spec = CalendarSpec::deserialize(&mut toml_span::parse(text).unwrap()).unwrap();
    Arc::new(Calendar::new(&spec, TimeZone::posix(zone).unwrap()).unwrap())
}

fn read(text: &str) -> ScheduleSpec {
    let text = format!("[[schedule]]\nid = 'it'\n{text}");
    let SchedulesSpec { schedule } = SchedulesSpec::deserialize(&mut toml_span::parse(&text).unwrap()).unwrap();
    schedule.into_iter().next().unwrap()
}

fn position((latitude, longitude): (f64, f64)) -> Option<Position> {
    Some(Position::new(latitude, longitude).unwrap())
}

fn schedule(text: &str, zone: &str) -> Schedule {
    Schedule::new(&read(text), calendar(zone), position(HANGZHOU)).unwrap()
}

/// One window of every day, if nothing else is said.
fn window(from: &str, to: &str, rest: &str) -> String {
    format!("window = [{{ from = '{from}', to = '{to}' {rest} }}]\n")
}

fn at(schedule: &Schedule, civil: &str) -> Timestamp {
    schedule.calendar.zone().to_timestamp(civil.parse::<DateTime>().unwrap()).unwrap()
}

/// Whether it holds at each of those times.
fn held<const N: usize>(schedule: &Schedule, times: [&str; N]) -> [bool; N] {
    times.map(|time| schedule.holds(at(schedule, time)))
}

/// What follows an instant, as the clock shows it: when it changes, so many times.
fn changes(schedule: &Schedule, from: &str, count: usize) -> Vec<String> {
    let next = |at: &Timestamp| schedule.next_change(*at);
    let all = iter::successors(Some(at(schedule, from)), next).skip(1).take(count);
    all.map(|at| schedule.calendar.zone().to_datetime(at).to_string()).collect()
}

#[test]
fn a_window_over_midnight_belongs_to_the_day_on_which_it_starts() {
    let friday = schedule(&window("22:00", "06:00", ", days = ['friday']"), SHANGHAI);
    let times =
        ["2026-03-06T05:59", "2026-03-06T21:59:59", "2026-03-06T22:00", "2026-03-07T05:59:59", "2026-03-07T06:00"];
    assert_eq!(held(&friday, times), [false, false, true, true, false]);
    assert_eq!(
        changes(&friday, "2026-03-04T12:00", 3),
        ["2026-03-06T22:00:00", "2026-03-07T06:00:00", "2026-03-13T22:00:00"]
    );
}

#[test]
fn workdays_and_holidays_are_those_of_the_calendar() {
    let workdays = schedule(&window("18:00", "08:00", ", days = ['workday']"), SHANGHAI);
    // The last evening before National Day, its first, a Saturday that is worked, the Sunday after.
    let evenings = ["2026-09-30T20:00", "2026-10-01T20:00", "2026-10-10T20:00", "2026-10-11T20:00"];
    assert_eq!(held(&workdays, evenings), [true, false, true, false]);
    assert_eq!(held(&workdays, ["2026-10-01T07:00", "2026-10-02T07:00"]), [true, false], "the night before runs on");
    let off = schedule(&window("00:00", "24:00", ", days = ['day_off']"), SHANGHAI);
    assert_eq!(held(&off, evenings), [false, true, false, true]);
    assert_eq!(changes(&off, "2026-10-03T00:00", 2), ["2026-10-08T00:00:00", "2026-10-11T00:00:00"]);
    let holidays = schedule(&window("08:00", "18:00", ", days = ['holiday', 'saturday']"), SHANGHAI);
    let noons = ["2026-10-07T12:00", "2026-10-08T12:00", "2026-10-10T12:00", "2026-10-11T12:00"];
    assert_eq!(held(&holidays, noons), [true, false, true, false], "a Saturday is one, worked or not");
}

#[test]
fn excepted_days_start_nothing_and_end_nothing() {
    let text = window("20:00", "04:00", "") + "except = ['holiday', '2026-03-10', '07-01/08-31']";
    let nights = schedule(&text, SHANGHAI);
    let times = ["2026-03-10T03:00", "2026-03-10T21:00", "2026-03-11T03:00", "2026-03-11T21:00", "2026-10-03T21:00"];
    assert_eq!(held(&nights, times), [true, false, false, true, false]);
    assert_eq!(changes(&nights, "2026-07-01T03:00", 2), ["2026-07-01T04:00:00", "2026-09-01T20:00:00"]);
}

#[test]
fn dates_of_one_year_and_of_every_year() {
    let heating = schedule(&window("00:00", "24:00", ", dates = ['11-15/03-15']"), SHANGHAI);
    assert_eq!(
        changes(&heating, "2026-06-01T00:00", 3),
        ["2026-11-15T00:00:00", "2027-03-16T00:00:00", "2027-11-15T00:00:00"]
    );
    let once = schedule(&window("08:00", "09:00", ", dates = ['2026-05-01', '2026-05-03/2026-05-04']"), SHANGHAI);
    let mornings = ["2026-05-01T08:30", "2026-05-02T08:30", "2026-05-04T08:30", "2027-05-01T08:30"];
    assert_eq!(held(&once, mornings), [true, false, true, false]);
}

#[test]
fn windows_start_and_end_when_the_clock_first_shows_them() {
    let small_hours = schedule(&window("02:00", "03:00", ""), BERLIN);
    let utc = |text: &str| text.parse::<Timestamp>().unwrap();
    let next = |at: &str| small_hours.next_change(utc(at)).unwrap();
    // 2026-03-29: from 02:00 to 03:00, so the window of that night does not take place.
    assert_eq!(next("2026-03-28T12:00Z"), utc("2026-03-30T00:00Z"));
    // 2026-10-25: from 03:00 back to 02:00, so it lasts two hours.
    assert_eq!(next("2026-10-24T12:00Z"), utc("2026-10-25T00:00Z"));
    assert_eq!(next("2026-10-25T00:00Z"), utc("2026-10-25T02:00Z"));
    let hours_of_night = |from: &str, to: &str, evening: &str| {
        let night = schedule(&window(from, to, ""), BERLIN);
        let start = night.next_change(at(&night, evening)).unwrap();
        night.next_change(start).unwrap().duration_since(start).as_secs_f64() / 3600.0
    };
    assert_eq!(hours_of_night("22:00", "06:00", "2026-03-28T12:00"), 7.0);
    assert_eq!(hours_of_night("22:00", "06:00", "2026-03-29T12:00"), 8.0);
    assert_eq!(hours_of_night("22:00", "06:00", "2026-10-24T12:00"), 9.0);
    assert_eq!(hours_of_night("22:00", "02:30", "2026-03-28T12:00"), 4.0, "half past two never comes");
    assert_eq!(hours_of_night("02:30", "06:00", "2026-03-28T12:00"), 3.0);
    assert_eq!(hours_of_night("22:00", "02:30", "2026-10-24T12:00"), 4.5, "it is over at the first half past two");
}

#[test]
fn windows_that_touch_or_overlap_are_one() {
    let both = "window = [
        { from = '08:00', to = '12:00' },
        { from = '12:00', to = '14:00' },
        { from = '09:00', to = '13:00' },
    ]";
    assert_eq!(
        changes(&schedule(both, SHANGHAI), "2026-03-02T00:00", 3),
        ["2026-03-02T08:00:00", "2026-03-02T14:00:00", "2026-03-03T08:00:00"]
    );
    let always = schedule(&window("00:00", "24:00", ""), BERLIN);
    assert!(always.holds(at(&always, "2026-03-29T03:00")));
    assert_eq!(always.next_change(at(&always, "2026-03-02T00:00")), None);
}

#[test]
fn changes_are_looked_for_to_the_horizon_and_no_further() {
    let once = schedule(&window("08:00", "09:00", ", dates = ['2026-05-01']"), SHANGHAI);
    let change = at(&once, "2026-05-01T08:00");
    assert_eq!(once.next_change(change.checked_sub(Schedule::HORIZON).unwrap()), Some(change));
    assert_eq!(once.next_change(change.checked_sub(Schedule::HORIZON + Duration::from_nanos(1)).unwrap()), None);
    assert_eq!(once.next_change(at(&once, "2026-05-01T09:00")), None);
    for instant in [Timestamp::MIN, Timestamp::MAX] {
        for text in [window("22:00", "06:00", ""), window("sunset+1h", "sunrise", ""), window("00:00", "24:00", "")] {
            for zone in [SHANGHAI, BERLIN] {
                let schedule = schedule(&text, zone);
                // Whatever it answers.
                let _ = (schedule.holds(instant), schedule.next_change(instant));
            }
        }
    }
}

#[test]
fn nights_last_from_sunset_to_sunrise() {
    let night = schedule(&window("sunset+30m", "sunrise-1h", ""), SHANGHAI);
    // In Hangzhou the sun sets at 17:03 on the shortest day and rises at 06:51; on the longest at 19:04 and at 04:58.
    let winter = ["2026-12-21T17:28", "2026-12-21T17:34", "2026-12-22T05:48", "2026-12-22T05:55"];
    assert_eq!(held(&night, winter), [false, true, true, false]);
    let summer = ["2026-06-21T19:31", "2026-06-21T19:37", "2026-06-22T03:55", "2026-06-22T04:01"];
    assert_eq!(held(&night, summer), [false, true, true, false]);
    // Of a single day, and left out where it would end before it starts.
    let dusk = schedule(&window("18:00", "sunset", ""), SHANGHAI);
    assert_eq!(held(&dusk, ["2026-06-21T18:30", "2026-12-21T18:30", "2026-12-21T17:30"]), [true, false, false]);
    let evening = schedule(&window("sunset", "18:30", ""), SHANGHAI);
    assert_eq!(held(&evening, ["2026-12-21T18:00", "2026-06-21T18:00", "2026-06-21T20:00"]), [true, false, false]);
}

#[test]
fn polar_nights_do_not_end_and_polar_days_have_none() {
    let text = window("sunset", "sunrise", "");
    let night = Schedule::new(&read(&text), calendar(BERLIN), position(TROMSO)).unwrap();
    for date in ["2026-12-05", "2026-12-21", "2027-01-05"] {
        assert_eq!(held(&night, [&format!("{date}T01:00"), &format!("{date}T11:45")]), [true; 2], "{date}");
    }
    for date in ["2026-05-25", "2026-06-21", "2026-07-20"] {
        assert_eq!(held(&night, [&format!("{date}T00:45"), &format!("{date}T12:00")]), [false; 2], "{date}");
    }
    // As almanacs have it, the sun is gone from 27 November to 15 January and stays from 18 May to 26 July, or a day off.
    let last_of = |from: &str| changes(&night, from, 1)[0][..10].to_owned();
    assert!(["2027-01-14", "2027-01-15", "2027-01-16"].contains(&last_of("2026-12-21T00:00").as_str()));
    assert!(["2026-07-25", "2026-07-26", "2026-07-27"].contains(&last_of("2026-06-21T12:00").as_str()));
}

#[test]
fn the_sun_of_a_place_far_from_its_zone_keeps_its_days() {
    // By Beijing time, the sun of Kashgar sets after ten in June; elsewhere it may do so on another date.
    for longitude in [75.99, -179.0, -60.0, 180.0] {
        let text = window("sunset", "sunrise", "") + "except = ['2026-06-10']";
        let night = Schedule::new(&read(&text), calendar(SHANGHAI), position((39.47, longitude))).unwrap();
        let changes = iter::successors(Some(at(&night, "2026-06-05T00:00")), |at| night.next_change(*at));
        let sunsets: Vec<_> = changes.skip(1).filter(|change| night.holds(*change)).take(10).collect();
        let days_between = |pair: &[Timestamp]| pair[1].duration_since(pair[0]).as_secs_f64() / 86_400.0;
        let days: Vec<f64> = sunsets.windows(2).map(|pair| days_between(pair).round()).collect();
        assert_eq!(days.iter().filter(|days| **days == 2.0).count(), 1, "{longitude}: {days:?}");
        assert_eq!(days.iter().sum::<f64>(), 10.0, "{longitude}: {days:?}");
    }
    let kashgar = Schedule::new(&read(&window("sunset", "24:00", "")), calendar(SHANGHAI), position((39.47, 75.99)));
    assert_eq!(held(&kashgar.unwrap(), ["2026-06-21T22:25", "2026-06-21T22:50"]), [false, true]);
}

#[test]
fn every_mistake_is_named() {
    let wrong = |text: &str, position| -> Vec<String> {
        let errors = Schedule::new(&read(text), calendar(SHANGHAI), position).unwrap_err();
        errors.into_iter().map(|error| error.kind.to_string()).collect()
    };
    assert_eq!(wrong("window = []", None), ["schedule `it` has no window, so it would never hold"]);
    let all = "window = [
        { days = [], from = '24:00', to = 'sunset' },
        { from = 'sunset', to = 'sunrise' },
        { from = '08:00', to = '08:00' },
    ]";
    assert_eq!(
        wrong(all, None),
        [
            "a window without days never holds: leave `days` out, and it starts every day",
            "a window cannot start at 24:00: let it start at 00:00 of the days after",
            "`sunset` needs to know where the gateway stands: its latitude and longitude are not given",
            "`sunset` needs to know where the gateway stands: its latitude and longitude are not given",
            "`sunrise` needs to know where the gateway stands: its latitude and longitude are not given",
            "from 08:00 to 08:00 no time passes, on any day of the year; a whole day is from 00:00 to 24:00",
        ]
    );
    for (from, to) in [("sunset", "sunset"), ("sunrise", "02:00"), ("23:00", "sunset+1h")] {
        let empty = format!("from {from} to {to} no time passes");
        assert!(wrong(&window(from, to, ""), position(HANGZHOU))[0].starts_with(&empty), "{from} to {to}");
    }
    let spec = read("window = [{ from = '08:00', to = '09:00' }, { from = '09:00', to = '09:00' }]");
    let errors = Schedule::new(&spec, calendar(SHANGHAI), None).unwrap_err();
    assert_eq!(errors[0].span, spec.window[1].to.span);
}

#[test]
fn a_file_of_schedules_reads_as_it_is_explained() {
    let text = r#"
        [[schedule]]
        id = "closed"
        name = { zh = "非工作时间", en = "outside office hours" }
        except = ["2026-12-31"]
        [[schedule.window]]
        days = ["workday"]
        from = "18:00"
        to = "08:00"
        [[schedule.window]]
        days = ["day_off"]
        from = "00:00"
        to = "24:00"

        [[schedule]]
        id = "winter-nights"
        [[schedule.window]]
        from = "sunset+30m"
        to = "sunrise-30m"
        dates = ["11-15/03-15"]
    "#;
    let SchedulesSpec { schedule } = SchedulesSpec::deserialize(&mut toml_span::parse(text).unwrap()).unwrap();
    let schedules: Vec<Schedule> =
        schedule.iter().map(|spec| Schedule::new(spec, calendar(SHANGHAI), position(HANGZHOU)).unwrap()).collect();
    assert_eq!(held(&schedules[0], ["2026-03-02T07:59", "2026-03-02T12:00", "2026-03-07T12:00"]), [false, false, true]);
    assert_eq!(held(&schedules[1], ["2026-12-01T22:00", "2026-06-01T22:00"]), [true, false]);
    let misspelt =
        "[[schedule]]\nid = 'a'\n[[schedule.window]]\nfrom = '8:00'\nto = 'noon'\ndays = ['funday']\ntill = 1";
    let errors = SchedulesSpec::deserialize(&mut toml_span::parse(misspelt).unwrap()).unwrap_err().errors;
    assert_eq!(errors.len(), 4, "{errors:?}");
}

/// A time of day, often one in an hour in which some clock changes.
fn time_of_day() -> impl Strategy<Value = String> {
    let clock = |minute: u16| TimeOfDay::Clock(minute).to_string();
    let sun = |event| (-360i16..=360).prop_map(move |offset| TimeOfDay::Sun(event, offset / 15 * 15).to_string());
    prop_oneof![
        3 => (0u16..96).prop_map(move |quarter| clock(quarter * 15)),
        2 => (0u16..=16).prop_map(move |quarter| clock(quarter * 15)),
        1 => Just(clock(1440)),
        1 => sun(SunEvent::Sunrise),
        1 => sun(SunEvent::Sunset),
    ]
}

fn dates() -> impl Strategy<Value = String> {
    prop_oneof![
        (1u8..=12, 1u8..=28, 1u8..=12, 1u8..=28).prop_map(|(a, b, c, d)| format!("'{a:02}-{b:02}/{c:02}-{d:02}'")),
        (1u8..=12, 1u8..=28).prop_map(|(month, day)| format!("'2026-{month:02}-{day:02}'")),
    ]
}

fn any_spec() -> impl Strategy<Value = ScheduleSpec> {
    let days = prop::collection::vec(prop::sample::select(Days::WORDS.to_vec()), 1..5);
    let dates_or_none = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(dates(), 1..4)];
    let window = (days, time_of_day(), time_of_day(), dates_or_none).prop_map(|(days, from, to, dates)| {
        format!("{{ days = {days:?}, from = '{from}', to = '{to}', dates = [{}] }}", dates.join(", "))
    });
    let except = prop_oneof![2 => Just("'holiday'".to_owned()), 1 => dates()];
    (prop::collection::vec(window, 1..4), prop::collection::vec(except, 0..3)).prop_map(|(windows, except)| {
        read(&format!("window = [{}]\nexcept = [{}]", windows.join(", "), except.join(", ")))
    })
}

/// Those that are not refused, in zones whose clocks change, at places where the sun is early, late, gone or always there.
fn any_schedule() -> impl Strategy<Value = (ScheduleSpec, Position, Schedule)> {
    let zone = prop_oneof![Just(SHANGHAI), Just(BERLIN), Just(OVER_MIDNIGHT)];
    let place = prop_oneof![Just(HANGZHOU), Just(TROMSO), Just((39.47, 75.99)), (-90.0f64..=90.0, -180.0f64..=180.0)];
    (any_spec(), zone, place).prop_filter_map("refused", |(spec, zone, place)| {
        let schedule = Schedule::new(&spec, calendar(zone), position(place)).ok()?;
        Some((spec, position(place)?, schedule))
    })
}

/// The start of a walk: often the day before some clock changes.
fn start() -> impl Strategy<Value = Timestamp> {
    let changes = ["2026-02-14", "2026-03-28", "2026-10-17", "2026-10-24"];
    let day = prop_oneof![
        (0i64..365).prop_map(|day| 1_767_225_600 + day * 86_400),
        prop::sample::select(
            changes
                .map(|date| date.parse::<Date>().unwrap().to_zoned(TimeZone::UTC).unwrap().timestamp().as_second())
                .to_vec()
        )
    ];
    day.prop_map(|second| Timestamp::from_second(second).unwrap())
}

/// What has to have been shown, or has to have come, for a window to have started or ended.
enum Awaited {
    Shown(DateTime),
    Come(Timestamp),
}

/// Whether a schedule holds at each minute, from what its clock has shown since long before: a window holds if the time
/// of its start, or a later one, was shown and that of its end was not.
fn walk(
    spec: &ScheduleSpec,
    place: Position,
    calendar: &Calendar,
    start: Timestamp,
    minutes: i64,
) -> Vec<(Timestamp, bool)> {
    let zone = calendar.zone();
    let awaited = |time: TimeOfDay, date: Date| match time {
        TimeOfDay::Clock(minute) => {
            Awaited::Shown(date.at(0, 0, 0, 0).checked_add(i64::from(minute).minutes()).unwrap())
        }
        TimeOfDay::Sun(event, offset) => {
            let noon = zone.to_timestamp(date.at(12, 0, 0, 0)).unwrap();
            let come = place.when(event, noon).unwrap();
            Awaited::Come(come.checked_add(i64::from(offset).minutes()).unwrap())
        }
    };
    let mut spans = Vec::new();
    for day in -4..minutes / 1440 + 5 {
        let date = zone.to_datetime(start).date().checked_add(day.days()).unwrap();
        if spec.except.iter().any(|except| except.contains(date, calendar)) {
            continue;
        }
        for window in &spec.window {
            let named = window.dates.is_empty() || window.dates.iter().any(|dates| dates.contain(date));
            if named && window.days.iter().any(|days| days.contain(date, calendar)) {
                let last = if window.is_overnight() { date.tomorrow().unwrap() } else { date };
                spans.push((awaited(*window.from, date), awaited(*window.to, last)));
            }
        }
    }
    let mut latest = DateTime::MIN;
    let mut answers = Vec::new();
    for minute in -5 * 1440..minutes {
        let at = start.checked_add(minute.minutes()).unwrap();
        latest = latest.max(zone.to_datetime(at));
        let is_over = |awaited: &Awaited| match awaited {
            Awaited::Shown(time) => latest >= *time,
            Awaited::Come(instant) => at >= *instant,
        };
        if minute >= 0 {
            answers.push((at, spans.iter().any(|(from, to)| is_over(from) && !is_over(to))));
        }
    }
    answers
}

proptest! {
    #[test]
    fn it_holds_by_what_the_clock_has_shown((spec, place, schedule) in any_schedule(), start in start()) {
        for (at, held) in walk(&spec, place, &schedule.calendar, start, 2 * 1440) {
            prop_assert_eq!(schedule.holds(at), held, "at {}", at);
        }
    }

    #[test]
    fn the_next_change_is_the_first((spec, place, schedule) in any_schedule(), start in start()) {
        let now = schedule.holds(start);
        let walked = walk(&spec, place, &schedule.calendar, start, 4 * 1440);
        let next = schedule.next_change(start);
        for (at, held) in walked {
            if next.is_none_or(|next| at < next) {
                prop_assert_eq!(held, now, "at {}, before {:?}", at, next);
            }
        }
        if let Some(next) = next {
            prop_assert!(start < next);
            prop_assert_ne!(schedule.holds(next), now);
            prop_assert_eq!(schedule.holds(next.checked_sub(Duration::from_nanos(1)).unwrap()), now);
        }
    }
}
