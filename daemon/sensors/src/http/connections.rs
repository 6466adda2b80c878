//! The places that connections take, and who gives way when they are full.
//!
//! A connection *waits* until a sensor has shown its token, and again after the answer; in between it is *served*. When all
//! places are taken, the connection that has waited the longest gives way: whoever holds connections open without ever
//! completing a request pushes out its own, and no sensor that comes with a request in hand. Connections that are served never
//! give way.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

/// All connections.
#[derive(Clone)]
pub(super) struct Connections(Arc<Mutex<Table>>);

struct Table {
    limit: usize,
    /// Those that wait, the longest first.
    waiting: BTreeMap<u64, CancellationToken>,
    served: usize,
    next: u64,
}

impl Connections {
    /// At most so many; at least one.
    pub(super) fn new(limit: usize) -> Self {
        Self(Arc::new(Mutex::new(Table { limit: limit.max(1), waiting: BTreeMap::new(), served: 0, next: 0 })))
    }

    /// A place for a new connection, at the cost of the one that has waited longest if need be. `None` if all are served.
    pub(super) fn admit(&self) -> Option<Place> {
        let mut table = self.lock();
        if table.waiting.len() + table.served >= table.limit {
            let (_, longest) = table.waiting.pop_first()?;
            longest.cancel();
        }
        let given_away = CancellationToken::new();
        let turn = Some(table.wait(given_away.clone()));
        drop(table);
        Some(Place { connections: self.clone(), turn: Mutex::new(turn), given_away })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn wait(&mut self, given_away: CancellationToken) -> u64 {
        let turn = self.next;
        self.next += 1;
        self.waiting.insert(turn, given_away);
        turn
    }
}

/// A connection's place; free again when it is dropped.
pub(super) struct Place {
    connections: Connections,
    /// Since when it waits; `None` while it is served.
    turn: Mutex<Option<u64>>,
    given_away: CancellationToken,
}

/// While this lives, the connection is served.
pub(super) struct Served<'a>(&'a Place);

impl Place {
    /// Waits until the place is given to another: the connection must end.
    pub(super) async fn given_away(&self) {
        self.given_away.cancelled().await;
    }

    /// A sensor has shown its token: its connection keeps its place until it has its answer. `None` if the place has just
    /// been given away.
    pub(super) fn serve(&self) -> Option<Served<'_>> {
        let mut turn = self.turn();
        let mut table = self.connections.lock();
        table.waiting.remove(&(*turn)?)?;
        table.served += 1;
        *turn = None;
        Some(Served(self))
    }

    fn turn(&self) -> MutexGuard<'_, Option<u64>> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        let mut turn = self.0.turn();
        let mut table = self.0.connections.lock();
        table.served -= 1;
        *turn = Some(table.wait(self.0.given_away.clone()));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(turn) = *self.turn() {
            self.connections.lock().waiting.remove(&turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_given_away(place: &Place) -> bool {
        place.given_away.is_cancelled()
    }

    #[test]
    fn the_one_that_has_waited_longest_gives_way() {
        let connections = Connections::new(3);
        let [first, second, third] = [(); 3].map(|()| connections.admit().unwrap());
        // The first has been served meanwhile: now the second has waited longest.
        drop(first.serve().unwrap());
        let served = third.serve().unwrap();
        let fourth = connections.admit().unwrap();
        assert!(is_given_away(&second) && second.serve().is_none());
        let fifth = connections.admit().unwrap();
        assert!(is_given_away(&first) && !is_given_away(&third));
        let both = (fourth.serve().unwrap(), fifth.serve().unwrap());
        assert!(connections.admit().is_none(), "all are served");
        drop(served);
        assert!(connections.admit().is_some());
        assert!(is_given_away(&third));
        drop(both);
    }

    #[test]
    fn a_place_is_free_when_its_connection_ends() {
        let connections = Connections::new(1);
        let place = connections.admit().unwrap();
        let served = place.serve().unwrap();
        assert!(connections.admit().is_none());
        drop(served);
        drop(place);
        let table = connections.lock();
        assert_eq!((table.waiting.len(), table.served), (0, 0));
    }
}
