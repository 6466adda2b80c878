//! The far end of the line, and the client at this one.

use std::collections::BTreeMap;

use super::{
    super::{Class, Message, OutboxRow, RowId, Store, StoreError},
    books::everything,
    disk::Dice,
    script::Line,
};

/// A broker that writes down what it was sent, and checks the order.
#[derive(Default)]
pub(super) struct Broker {
    received: BTreeMap<i64, Message>,
    /// The newest revision of each incident.
    revisions: BTreeMap<String, u32>,
}

impl Broker {
    fn receive(&mut self, row: &OutboxRow) {
        let message = &row.message;
        match self.received.get(&row.row.0) {
            Some(before) => assert_eq!(before, message, "two messages were {:?}", row.row),
            None => {
                self.received.insert(row.row.0, message.clone());
                if let Some((incident, revision)) = revision(message) {
                    let newest = self.revisions.entry(incident).or_default();
                    assert!(revision > *newest, "revision {revision} came after {newest}: {message:?}");
                    *newest = revision;
                }
            }
        }
    }

    /// Everything it was sent, by the row it was sent from.
    pub(super) fn received(&self) -> &BTreeMap<i64, Message> {
        &self.received
    }

    /// How many messages of a class it was told were given up.
    pub(super) fn told_lost(&self, class: Class) -> u64 {
        let announced = self.received.values().filter(|message| message.class == Class::Gap);
        let counts = announced.map(|message| {
            let text = std::str::from_utf8(&message.payload).unwrap();
            let [lost, _, count] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
            if lost == class.index().to_string() { count.parse().unwrap() } else { 0 }
        });
        counts.sum()
    }
}

/// The incident and its revision that an event announces.
fn revision(message: &Message) -> Option<(String, u32)> {
    let text = (message.class == Class::Incident).then(|| std::str::from_utf8(&message.payload).unwrap())?;
    let (incident, revision) = text.split(' ').next()?.split_once('.')?;
    Some((incident.to_owned(), revision.parse().unwrap()))
}

/// The client: sends the most important class first, a class in the order of its rows.
#[derive(Default)]
pub(super) struct Client {
    /// Acknowledgements still on their way.
    late: Vec<RowId>,
}

impl Client {
    /// Sends what waits until the line breaks; what to take out of the store.
    pub(super) async fn send(
        &mut self,
        store: &Store,
        broker: &mut Broker,
        line: Line,
        seed: u64,
    ) -> Result<Vec<RowId>, StoreError> {
        let mut dice = Dice(seed);
        let mut acknowledged = std::mem::take(&mut self.late);
        for class in Class::ALL {
            for row in store.pending(everything(class)).await? {
                let fate = if line == Line::Good { 9 } else { dice.below(10) };
                if fate == 0 {
                    // The line breaks before it; on the next one, all that is unacknowledged is sent again.
                    return Ok(acknowledged);
                }
                broker.receive(&row);
                match fate {
                    // The acknowledgement is lost.
                    1 | 2 => {}
                    3 => self.late.push(row.row),
                    // The message comes twice, and so does its acknowledgement.
                    4 => {
                        broker.receive(&row);
                        acknowledged.extend([row.row, row.row]);
                    }
                    _ => acknowledged.push(row.row),
                }
            }
        }
        Ok(acknowledged)
    }
}
