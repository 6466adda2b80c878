//! Who is connected: the limit on connections, and which stations they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

/// A station that dials anew leaves connections behind that nobody has closed; so many are kept, the newest.
const CONNECTIONS_A_STATION: usize = 4;

/// The connections to one port.
pub(super) struct Register {
    most: usize,
    seats: Mutex<Seats>,
}

#[derive(Default)]
struct Seats {
    next: u64,
    /// By number: the oldest first.
    taken: BTreeMap<u64, Taken>,
}

struct Taken {
    /// Whose messages have come over it.
    sensors: BTreeSet<usize>,
    close: CancellationToken,
}

/// A connection's place; it is free again once this is dropped.
pub(super) struct Seat {
    register: Arc<Register>,
    number: u64,
    close: CancellationToken,
}

impl Register {
    pub fn new(most: u32) -> Self {
        Self { most: usize::try_from(most).unwrap_or(usize::MAX), seats: Mutex::default() }
    }

    /// A place, if need be that of the oldest connection that has not said whose it is.
    pub fn admit(self: &Arc<Self>) -> Option<Seat> {
        let mut seats = self.lock();
        if seats.taken.len() >= self.most {
            let silent = seats.taken.iter().find(|(_, taken)| taken.sensors.is_empty()).map(|(number, _)| *number)?;
            if let Some(taken) = seats.taken.remove(&silent) {
                taken.close.cancel();
            }
        }
        let number = seats.next;
        seats.next += 1;
        let close = CancellationToken::new();
        seats.taken.insert(number, Taken { sensors: BTreeSet::new(), close: close.clone() });
        Some(Seat { register: Arc::clone(self), number, close })
    }

    fn lock(&self) -> MutexGuard<'_, Seats> {
        // Every change is complete before anything can panic.
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Ends when the connection must make place.
    pub async fn closed(&self) {
        self.close.cancelled().await;
    }

    /// A sensor's message has come over this connection.
    pub fn belongs_to(&self, sensor: usize) {
        let mut seats = self.register.lock();
        // One that has just lost its place is about to be closed.
        let Some(taken) = seats.taken.get_mut(&self.number) else { return };
        if !taken.sensors.insert(sensor) {
            return;
        }
        let open = |taken: &&Taken| taken.sensors.contains(&sensor) && !taken.close.is_cancelled();
        let surplus = seats.taken.values().filter(open).count().saturating_sub(CONNECTIONS_A_STATION);
        seats.taken.values().filter(open).take(surplus).for_each(|taken| taken.close.cancel());
    }

    /// Gives the place back; the sensors that have no other connection.
    pub fn leave(self) -> Vec<usize> {
        let mut seats = self.register.lock();
        let sensors = seats.taken.remove(&self.number).map(|taken| taken.sensors).unwrap_or_default();
        let elsewhere = |sensor: &usize| seats.taken.values().any(|taken| taken.sensors.contains(sensor));
        sensors.into_iter().filter(|sensor| !elsewhere(sensor)).collect()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.register.lock().taken.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_never_said_anything_makes_place_and_stations_do_not() {
        let register = Arc::new(Register::new(2));
        let known = register.admit().unwrap();
        known.belongs_to(7);
        let silent = register.admit().unwrap();
        let third = register.admit().unwrap();
        assert!(silent.close.is_cancelled() && !known.close.is_cancelled());
        third.belongs_to(8);
        assert!(register.admit().is_none());
        assert_eq!(known.leave(), [7]);
        assert!(register.admit().is_some());
        // A place that was lost is not given back a second time.
        drop(silent);
        assert_eq!(register.lock().taken.len(), 1);
    }

    #[test]
    fn a_station_keeps_its_newest_connections_and_is_gone_with_the_last() {
        let register = Arc::new(Register::new(64));
        let mut seats: Vec<Seat> = (0..6).map(|_| register.admit().unwrap()).collect();
        seats.iter().for_each(|seat| seat.belongs_to(1));
        let closed: Vec<bool> = seats.iter().map(|seat| seat.close.is_cancelled()).collect();
        assert_eq!(closed, [true, true, false, false, false, false]);
        let last = seats.pop().unwrap();
        seats.into_iter().for_each(|seat| assert!(seat.leave().is_empty()));
        assert_eq!(last.leave(), [1]);
    }
}
