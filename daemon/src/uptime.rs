//! How long cameras and sensors were up today.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use snowgate_core::{ids::Id, incidents::summary::Uptime, time::Mono};

/// What is watched: a camera or a sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A camera: up while pictures arrive.
    Camera,
    /// A sensor: up while it is heard in time.
    Sensor,
}

/// The uptime of everything that is watched, since the day began or the daemon did; what an earlier run counted of the same
/// day is added.
#[derive(Debug, Default)]
pub struct Uptimes(Mutex<Today>);

#[derive(Debug, Default)]
struct Today {
    watched: BTreeMap<(Kind, Id), Watched>,
    /// What an earlier run has counted: up, and watched.
    earlier: BTreeMap<(Kind, Id), (u64, u64)>,
}

#[derive(Debug, Clone, Copy)]
struct Watched {
    /// What has been counted up to `since`.
    up: Duration,
    watched: Duration,
    /// Whether it is up since then.
    is_up: bool,
    since: Mono,
}

impl Watched {
    fn count(&mut self, now: Mono) {
        let passed = now.since(self.since);
        self.watched += passed;
        if self.is_up {
            self.up += passed;
        }
        self.since = self.since.max(now);
    }
}

impl Uptimes {
    /// From now on this is up, or is not. What is heard of for the first time is watched from now on.
    pub fn set(&self, kind: Kind, id: &Id, is_up: bool, now: Mono) {
        let all = &mut self.lock().watched;
        match all.get_mut(&(kind, id.clone())) {
            Some(watched) => {
                watched.count(now);
                watched.is_up = is_up;
            }
            None => {
                let watched = Watched { up: Duration::ZERO, watched: Duration::ZERO, is_up, since: now };
                all.insert((kind, id.clone()), watched);
            }
        }
    }

    /// This is watched no more: it is told of no longer.
    pub fn forget(&self, kind: Kind, id: &Id) {
        self.lock().watched.remove(&(kind, id.clone()));
    }

    /// Cameras and sensors as of now, each sorted by id.
    pub fn of_day(&self, now: Mono) -> (Vec<Uptime>, Vec<Uptime>) {
        let today = &mut *self.lock();
        let (mut cameras, mut sensors) = (Vec::new(), Vec::new());
        for (key, watched) in &mut today.watched {
            watched.count(now);
            let (up, all) = today.earlier.get(key).copied().unwrap_or_default();
            let uptime = Uptime {
                id: key.1.clone(),
                up_seconds: up + watched.up.as_secs(),
                watched_seconds: all + watched.watched.as_secs(),
            };
            match key.0 {
                Kind::Camera => cameras.push(uptime),
                Kind::Sensor => sensors.push(uptime),
            }
        }
        (cameras, sensors)
    }

    /// A day begins.
    pub fn begin_day(&self, now: Mono) {
        let mut today = self.lock();
        today.earlier.clear();
        for watched in today.watched.values_mut() {
            watched.count(now);
            (watched.up, watched.watched) = (Duration::ZERO, Duration::ZERO);
        }
    }

    /// What an earlier run has counted of the day that goes on is added to what is still watched.
    pub fn continue_from(&self, cameras: &[Uptime], sensors: &[Uptime]) {
        let of = |kind| move |it: &Uptime| ((kind, it.id.clone()), (it.up_seconds, it.watched_seconds));
        let earlier = cameras.iter().map(of(Kind::Camera)).chain(sensors.iter().map(of(Kind::Sensor)));
        self.lock().earlier = earlier.collect();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Today> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000_000)
    }

    fn uptime(id: &str, up_seconds: u64, watched_seconds: u64) -> Uptime {
        Uptime { id: id.parse().unwrap(), up_seconds, watched_seconds }
    }

    #[test]
    fn what_is_up_is_counted_from_the_days_beginning_and_over_a_restart() {
        let uptimes = Uptimes::default();
        uptimes.continue_from(&[uptime("gate", 100, 200), uptime("gone", 5, 5)], &[]);
        uptimes.set(Kind::Camera, &"gate".parse().unwrap(), true, at(10));
        uptimes.set(Kind::Sensor, &"gauge".parse().unwrap(), false, at(10));
        uptimes.set(Kind::Camera, &"gate".parse().unwrap(), false, at(40));
        uptimes.set(Kind::Sensor, &"gauge".parse().unwrap(), true, at(40));
        assert_eq!(uptimes.of_day(at(50)), (vec![uptime("gate", 130, 240)], vec![uptime("gauge", 10, 40)]));
        uptimes.begin_day(at(60));
        assert_eq!(uptimes.of_day(at(65)), (vec![uptime("gate", 0, 5)], vec![uptime("gauge", 5, 5)]));
        assert_eq!(
            uptimes.of_day(at(64)),
            (vec![uptime("gate", 0, 5)], vec![uptime("gauge", 5, 5)]),
            "time goes on only"
        );
    }
}
