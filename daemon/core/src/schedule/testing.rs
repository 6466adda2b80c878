//! Schedules and times of day for tests.

use std::sync::Arc;

use super::Schedule;
use crate::{
    calendar::Calendar,
    rules::tests::read,
    spec::all_defaults,
    time::{Moment, Mono},
};

/// `night`: from 22:00 to 06:00, UTC.
pub(crate) fn night() -> Arc<Schedule> {
    let calendar = Calendar::new(&all_defaults(), jiff::tz::TimeZone::UTC).unwrap();
    let night = read("id = 'night'\nwindow = [{ from = '22:00', to = '06:00' }]");
    Arc::new(Schedule::new(&night, Arc::new(calendar), None).unwrap())
}

/// A moment of a day, on the hour, UTC.
pub(crate) fn oclock(hour: i64, synchronised: bool) -> Moment {
    Moment { mono: Mono(0), wall: jiff::Timestamp::from_second(hour * 3_600).unwrap(), synchronised }
}
