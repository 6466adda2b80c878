//! What the store must hold, to the last row.

use std::{collections::BTreeMap, fmt};

use rusqlite::Connection;

use super::{
    super::{Class, Commit, IncidentRecord, LossReason, Message, RowId, Selection, StoreError, outbox},
    script::Draft,
};

/// The quota of events, and again of answers to commands: large enough for most histories.
pub(super) const INCIDENT_QUOTA: u64 = 40_000;
/// The quota of each other class: two stills are over it.
pub(super) const QUOTA: u64 = 3000;

fn quota(class: Class) -> u64 {
    match class {
        Class::Gap => u64::MAX,
        Class::Incident | Class::DispositionAck => INCIDENT_QUOTA,
        Class::Evidence | Class::Summary | Class::Telemetry => QUOTA,
    }
}

/// All that a store holds and promises.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Holdings {
    pub(super) waiting: BTreeMap<i64, Message>,
    /// By class and reason: messages and bytes.
    pub(super) gaps: BTreeMap<(Class, LossReason), (u64, u64)>,
    /// By id: revision, whether the scene shows it, and what is known.
    pub(super) incidents: BTreeMap<String, (u32, bool, Vec<u8>)>,
    /// The greatest row there has ever been.
    pub(super) last_row: i64,
    /// The last event number.
    pub(super) sequence: u64,
}

impl Holdings {
    /// Reads a store, and checks that its own books are right.
    pub(super) fn read(connection: &Connection) -> Result<Self, StoreError> {
        let sound: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        assert_eq!(sound, "ok");
        let mut holdings = Self { last_row: outbox::last_row(connection)?.0, ..Self::default() };
        let status = outbox::status(connection, None)?;
        for class in Class::ALL {
            let rows = outbox::pending(connection, &everything(class), 0)?;
            let bytes: u64 = rows.iter().map(|row| row.message.stored_bytes()).sum();
            let books = status.of(class);
            assert_eq!((books.messages, books.bytes), (rows.len() as u64, bytes), "the books of {class:?}");
            holdings.waiting.extend(rows.into_iter().map(|row| (row.row.0, row.message)));
        }
        for gap in outbox::gaps(connection, None)? {
            holdings.gaps.insert((gap.class, gap.reason), (gap.messages, gap.bytes));
        }
        let mut select = connection.prepare("SELECT id, revision, scene_active, json FROM incidents")?;
        let incidents = select.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?))))?;
        holdings.incidents = incidents.collect::<Result<_, _>>()?;
        let meta = |key: &str| connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0));
        holdings.sequence = meta("sequence")?;
        let bytes: u64 = holdings.incidents.values().map(|(_, _, json)| json.len() as u64).sum();
        assert_eq!(meta("incident_bytes")?, bytes, "the bytes of all incidents");
        Ok(holdings)
    }
}

impl fmt::Debug for Holdings {
    /// One line a row, without what fills it up.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(20)]).into_owned();
        writeln!(f, "last row {}, last event {}, gaps {:?}", self.last_row, self.sequence, self.gaps)?;
        for (row, Message { class, lane, payload, .. }) in &self.waiting {
            writeln!(f, "  {row} {class:?} of {lane:?}: {:?}, {} bytes", head(payload), payload.len())?;
        }
        for (id, (revision, scene_active, json)) in &self.incidents {
            writeln!(f, "  {id} {revision} {scene_active}: {:?}, {} bytes", head(json), json.len())?;
        }
        Ok(())
    }
}

/// Everything of a class that waits.
pub(super) fn everything(class: Class) -> Selection {
    let (after, up_to) = (RowId(0), RowId(i64::MAX));
    Selection { class, lane: None, after, up_to, rows: usize::MAX, bytes: usize::MAX }
}

/// What a store holds, and what became of all it ever took.
#[derive(Debug, Clone, Default)]
pub(super) struct Books {
    pub(super) holdings: Holdings,
    /// Every message ever committed, by row.
    pub(super) committed: BTreeMap<i64, Message>,
    /// The rows given up.
    pub(super) given_up: BTreeMap<i64, Class>,
    revisions: BTreeMap<u8, u32>,
}

impl Books {
    /// Makes a commit of drafts, with an event number from `number` for each revision.
    pub(super) fn draw_up(&self, drafts: &[Draft], mut number: impl FnMut() -> u64) -> Commit {
        let mut commit = Commit::default();
        let mut revisions = self.revisions.clone();
        for draft in drafts {
            let message = match *draft {
                Draft::Revision { incident, scene_active, length } => {
                    let revision = revisions.entry(incident).or_default();
                    *revision += 1;
                    let (id, revision) = (name(incident), *revision);
                    let number = number();
                    let json = format!("{id}.{revision} {number} {}", "x".repeat(length)).into_bytes();
                    commit.incidents.push(IncidentRecord {
                        id: id.clone(),
                        revision,
                        scene_active,
                        finished: false,
                        json: json.clone(),
                    });
                    message(Class::Incident, Some(id), json)
                }
                Draft::Other { class, incident, length } => message(class, incident.map(name), vec![b'y'; length]),
            };
            commit.messages.push(message);
        }
        commit
    }

    /// Enters a commit that took event numbers up to `sequence`.
    pub(super) fn commit(&mut self, drafts: &[Draft], commit: &Commit, sequence: u64) {
        for draft in drafts {
            if let Draft::Revision { incident, .. } = draft {
                *self.revisions.entry(*incident).or_default() += 1;
            }
        }
        for IncidentRecord { id, revision, scene_active, json, .. } in &commit.incidents {
            self.holdings.incidents.insert(id.clone(), (*revision, *scene_active, json.clone()));
        }
        self.holdings.sequence = sequence;
        for message in &commit.messages {
            self.put(message.clone());
        }
        for class in Class::ALL {
            while self.bytes(class) > quota(class) {
                let oldest = self.oldest(class, 1)[0];
                self.give_up(oldest, LossReason::Quota);
            }
        }
    }

    /// The oldest rows of a class.
    pub(super) fn oldest(&self, class: Class, count: usize) -> Vec<i64> {
        let rows = self.holdings.waiting.iter().filter(|(_, message)| message.class == class);
        rows.map(|(row, _)| *row).take(count).collect()
    }

    pub(super) fn acknowledge(&mut self, row: i64) {
        self.holdings.waiting.remove(&row);
    }

    pub(super) fn give_up(&mut self, row: i64, reason: LossReason) {
        let Some(message) = self.holdings.waiting.remove(&row) else { return };
        self.given_up.insert(row, message.class);
        let (messages, bytes) = self.holdings.gaps.entry((message.class, reason)).or_default();
        *messages += 1;
        *bytes += message.stored_bytes();
    }

    pub(super) fn announce(&mut self) {
        if self.oldest(Class::Gap, 1).is_empty() {
            for ((class, reason), (messages, _)) in std::mem::take(&mut self.holdings.gaps) {
                self.put(announcement(class, reason, messages));
            }
        }
    }

    fn put(&mut self, message: Message) {
        self.holdings.last_row += 1;
        self.committed.insert(self.holdings.last_row, message.clone());
        self.holdings.waiting.insert(self.holdings.last_row, message);
    }

    fn bytes(&self, class: Class) -> u64 {
        self.holdings.waiting.values().filter(|message| message.class == class).map(Message::stored_bytes).sum()
    }
}

fn name(incident: u8) -> String {
    format!("INCIDENT-{incident}")
}

fn message(class: Class, lane: Option<String>, payload: Vec<u8>) -> Message {
    let topic = format!("snowgate/v1/gate/{}", class.as_str());
    Message { class, lane, topic, payload, retain: class == Class::Summary, origin: None }
}

/// The message that announces a gap.
pub(super) fn announcement(class: Class, reason: LossReason, messages: u64) -> Message {
    message(Class::Gap, None, format!("{} {} {messages}", class.index(), reason.as_str()).into_bytes())
}
