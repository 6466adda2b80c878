//! One message a broker cannot stand must not keep all others from it.
//!
//! A connection that breaks with messages on their way and none acknowledged is *fruitless*. After two in a row one
//! message goes at a time; the message alone on its way when that breaks twice is put off for a while, with its lane,
//! so that order holds. It is never given up: the fault may be the line's after all.

use std::time::Duration;

use snowgate_core::time::Mono;

use crate::store::{Class, RowId};

/// Fruitless connections until one message goes at a time.
const FRUITLESS: u32 = 2;
/// Connections the same message must break, alone, until it is put off.
const BLAMES: u32 = 2;
/// For how long.
const PUT_OFF: Duration = Duration::from_secs(600);
/// Messages put off at once; if there are more, it is not the messages.
const LIMIT: usize = 64;

/// A message that was on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Suspect {
    pub(super) row: RowId,
    pub(super) class: Class,
    pub(super) lane: Option<String>,
}

/// What broken connections say about messages.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    fruitless: u32,
    blamed: Option<(RowId, u32)>,
    put_off: Vec<(Suspect, Mono)>,
}

impl Suspects {
    /// How many messages may be on their way at once.
    pub(super) fn window(&self, full: usize) -> usize {
        if self.fruitless >= FRUITLESS { 1 } else { full }
    }

    /// A message was acknowledged.
    pub(super) fn fruitful(&mut self) {
        self.fruitless = 0;
        self.blamed = None;
    }

    /// A connection broke with these on their way and none acknowledged; the message that was put off for it.
    pub(super) fn broke(&mut self, on_their_way: &[Suspect], now: Mono) -> Option<Suspect> {
        let alone = self.fruitless >= FRUITLESS;
        match on_their_way {
            [] => return None,
            _ => self.fruitless += 1,
        }
        let [suspect] = on_their_way else { return None };
        if !alone || self.put_off.len() >= LIMIT {
            return None;
        }
        let times = self.blamed.filter(|(row, _)| *row == suspect.row).map_or(1, |(_, times)| times + 1);
        self.blamed = Some((suspect.row, times));
        if times < BLAMES {
            return None;
        }
        self.fruitful();
        self.put_off.push((suspect.clone(), now + PUT_OFF));
        Some(suspect.clone())
    }

    /// What is put off now.
    pub(super) fn put_off(&self) -> impl Iterator<Item = &Suspect> {
        self.put_off.iter().map(|(suspect, _)| suspect)
    }

    /// Forgets what has been put off long enough; true if there was something.
    pub(super) fn forgive(&mut self, now: Mono) -> bool {
        let before = self.put_off.len();
        self.put_off.retain(|(_, until)| *until > now);
        self.put_off.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspect(row: i64) -> Suspect {
        Suspect { row: RowId(row), class: Class::Incident, lane: Some("A".to_owned()) }
    }

    #[test]
    fn only_a_message_that_breaks_connections_alone_is_put_off_and_not_for_ever() {
        let mut suspects = Suspects::default();
        assert_eq!(suspects.window(32), 32);
        for _ in 0..2 {
            assert_eq!(suspects.broke(&[suspect(1), suspect(2)], Mono(0)), None);
        }
        assert_eq!(suspects.window(32), 1);
        assert_eq!(suspects.broke(&[suspect(1)], Mono(0)), None);
        assert_eq!(suspects.broke(&[suspect(3)], Mono(0)), None, "another one: the count begins anew");
        assert_eq!(suspects.broke(&[suspect(1)], Mono(0)), None);
        assert_eq!(suspects.broke(&[suspect(1)], Mono(0)), Some(suspect(1)));
        assert_eq!(suspects.window(32), 32);
        assert_eq!(suspects.put_off().count(), 1);
        assert!(!suspects.forgive(Mono(0) + Duration::from_secs(599)));
        assert!(suspects.forgive(Mono(0) + PUT_OFF));
        assert_eq!(suspects.put_off().count(), 0);
    }

    #[test]
    fn an_unreachable_broker_blames_nobody() {
        let mut suspects = Suspects::default();
        for _ in 0..100 {
            assert_eq!(suspects.broke(&[], Mono(0)), None);
        }
        assert_eq!(suspects.window(32), 32);
        suspects.broke(&[suspect(1)], Mono(0));
        suspects.fruitful();
        suspects.broke(&[suspect(1)], Mono(0));
        assert_eq!(suspects.window(32), 32);
    }
}
