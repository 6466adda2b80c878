//! What was written is read again, and nothing else is taken for it.

use std::{io::Cursor, path::Path, sync::Arc};

use openssl::pkey::PKey;
use proptest::prelude::*;
use snowgate_core::{
    spec::{ByteSize, all_defaults},
    time::{BootId, ManualClock},
};
use tempfile::TempDir;

use super::{
    format::{FORMAT, MAX_HEADER, MAX_LINE, VERSION},
    write::Writer,
    *,
};
use crate::{
    signing::{PublicKey, SigningKey},
    store::{Class, Commit, LossReason, Message, RowId, Selection, Store, WaitingMessage, inspect},
};

fn pair() -> (SigningKey, PublicKey) {
    let key = PKey::generate_ed25519().unwrap();
    let signing = SigningKey::from_pem(&key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    (signing, PublicKey::from_pem(&key.public_key_to_pem().unwrap()).unwrap())
}

fn header(key: &SigningKey, messages: usize) -> Header {
    Header {
        format: FORMAT.to_owned(),
        version: VERSION,
        gateway: "gate".parse().unwrap(),
        boot_id: BootId("boot".to_owned()),
        created_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        clock_synchronised: true,
        signing_key: key.fingerprint().unwrap(),
        messages: messages as u64,
    }
}

fn written(key: &SigningKey, messages: &[WaitingMessage]) -> Vec<u8> {
    written_with(key, &header(key, messages.len()), messages)
}

fn written_with(key: &SigningKey, header: &Header, messages: &[WaitingMessage]) -> Vec<u8> {
    let mut writer = Writer::begin(Vec::new(), header).unwrap();
    messages.iter().for_each(|message| writer.message(message).unwrap());
    writer.seal(key).unwrap()
}

fn read_all(file: &[u8], key: &PublicKey) -> Result<Vec<WaitingMessage>, ReadError> {
    let mut reader = Reader::open(file, key)?;
    let mut messages = Vec::new();
    while let Some(message) = reader.next()? {
        messages.push(message);
    }
    assert!(reader.next()?.is_none() && reader.sha256().is_some());
    Ok(messages)
}

fn message(row: i64, payload: &[u8]) -> WaitingMessage {
    let topic = "snowgate/v1/gate/incident/村/330110001".to_owned();
    let message = Message {
        class: Class::Incident,
        lane: Some("A".to_owned()),
        topic,
        payload: payload.to_vec(),
        retain: false,
        origin: None,
    };
    let committed_at = "2026-01-01T00:00:00.5Z".parse().unwrap();
    WaitingMessage { row: RowId(row), committed_at, synchronised: true, message }
}

fn messages() -> impl Strategy<Value = Vec<WaitingMessage>> {
    let one = (
        1..1000_i64,
        prop::sample::select(&Class::ALL[..]),
        prop::option::of(any::<String>()),
        "[^+#\\x00]{1,40}",
        prop::collection::vec(any::<u8>(), 0..300),
        any::<bool>(),
        -10_000_000_000_i64..10_000_000_000_000,
        any::<bool>(),
    );
    prop::collection::vec(one, 0..12).prop_map(|all| {
        let mut last = 0;
        let message = |(step, class, lane, topic, payload, retain, millis, synchronised)| {
            last += step;
            let committed_at = jiff::Timestamp::from_millisecond(millis).unwrap();
            let message = Message { class, lane, topic, payload, retain, origin: None };
            WaitingMessage { row: RowId(last), committed_at, synchronised, message }
        };
        all.into_iter().map(message).collect()
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(messages in messages()) {
        let (signing, public) = pair();
        let file = written(&signing, &messages);
        prop_assert_eq!(read_all(&file, &public).unwrap(), messages);
    }

    /// Whatever the file, reading ends, and only what was signed is genuine.
    #[test]
    fn nothing_else_is_taken(messages in messages(), at in any::<prop::sample::Index>(), cut in any::<prop::sample::Index>(),
        put in prop::collection::vec(any::<u8>(), 0..40)) {
        let (signing, public) = pair();
        let file = written(&signing, &messages);
        let (from, to) = (at.index(file.len()), cut.index(file.len()));
        let mut changed = file.clone();
        changed.splice(from.min(to)..from.max(to), put);
        prop_assume!(changed != file);
        prop_assert!(read_all(&changed, &public).is_err());
    }
}

#[test]
fn a_flipped_bit_anywhere_is_found_and_so_is_every_truncation() {
    let (signing, public) = pair();
    let file = written(&signing, &[message(1, b"one"), message(3, &[0, 255, 7])]);
    assert_eq!(read_all(&file, &public).unwrap().len(), 2);
    let mut kinds = std::collections::BTreeMap::<_, u32>::new();
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut flipped = file.clone();
            flipped[at] ^= 1 << bit;
            let error = read_all(&flipped, &public).expect_err("a flipped bit is found");
            assert!(
                !matches!(error, ReadError::OtherKey { .. }),
                "a flip in the fingerprint is damage, not another key"
            );
            let name = format!("{error:?}").chars().take_while(char::is_ascii_alphabetic).collect::<String>();
            *kinds.entry(name).or_default() += 1;
        }
        let error = read_all(&file[..at], &public).expect_err("a truncation is found");
        assert!(matches!(error, ReadError::NoExport | ReadError::Truncated { expected: 2, .. }), "{at}: {error}");
    }
    for kind in ["NoExport", "Version", "Line", "Truncated", "Damaged", "Forged"] {
        assert!(kinds.contains_key(kind), "{kind} never came: {kinds:?}");
    }
    let longer = [&file[..], b"x"].concat();
    assert!(matches!(read_all(&longer, &public), Err(ReadError::Surplus)));
    let twice = [&file[..], &file[..]].concat();
    assert!(matches!(read_all(&twice, &public), Err(ReadError::Surplus)));
}

#[test]
fn other_keys_versions_and_forgeries_are_told_apart() {
    let ((signing, public), (strange, other)) = (pair(), pair());
    let file = written(&signing, &[message(1, b"one")]);
    assert!(matches!(read_all(&file, &other), Err(ReadError::OtherKey { .. })));
    // Somebody without the key who names it all the same.
    let forged = written_with(&strange, &header(&signing, 1), &[message(1, b"evil")]);
    assert!(matches!(read_all(&forged, &public), Err(ReadError::Forged)));
    let newer = Header { version: 2, ..header(&signing, 0) };
    assert!(matches!(read_all(&written_with(&signing, &newer, &[]), &public), Err(ReadError::Version { found: 2 })));
    let later: Vec<u8> = b"{\"format\":\"snowgate-outbox\",\"version\":9,\"what\":\"ever\"}\n".to_vec();
    assert!(matches!(read_all(&later, &public), Err(ReadError::Version { found: 9 })));
    for nothing in [&b""[..], b"\n", b"[1, 2]\n", b"{\"format\":\"tar\",\"version\":1}\n", b"\x89PNG\r\n"] {
        assert!(matches!(read_all(nothing, &public), Err(ReadError::NoExport)), "{nothing:?}");
    }
    let back = written(&signing, &[message(2, b""), message(2, b"")]);
    assert!(matches!(read_all(&back, &public), Err(ReadError::Line { line: 3, .. })));
    let wildcard =
        WaitingMessage { message: Message { topic: "a/+".to_owned(), ..message(1, b"").message }, ..message(1, b"") };
    assert!(matches!(read_all(&written(&signing, &[wildcard]), &public), Err(ReadError::Line { line: 2, .. })));
}

/// So many bytes of something, and how many of them were asked for.
#[derive(Debug)]
struct Endless {
    left: usize,
    asked: usize,
}

impl std::io::Read for Endless {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = into.len().min(self.left);
        into[..count].fill(b' ');
        self.left -= count;
        self.asked += count;
        Ok(count)
    }
}

#[test]
fn a_hostile_file_is_not_read_beyond_the_longest_line() {
    let (signing, public) = pair();
    let mut endless = Endless { left: usize::MAX, asked: 0 };
    let error = Reader::open(std::io::BufReader::new(&mut endless), &public).unwrap_err();
    assert!(matches!(error, ReadError::NoExport), "{error}");
    assert!(endless.asked < MAX_HEADER + (64 << 10), "{}", endless.asked);

    let mut begun = written_with(&signing, &header(&signing, usize::MAX), &[]);
    begun.truncate(begun.iter().position(|byte| *byte == b'\n').unwrap() + 1);
    let mut endless = Endless { left: usize::MAX, asked: 0 };
    let input = std::io::Read::chain(Cursor::new(begun), &mut endless);
    let mut reader = Reader::open(std::io::BufReader::new(input), &public).unwrap();
    let error = reader.next().unwrap_err();
    assert!(matches!(error, ReadError::TooLong { line: 2 }), "{error}");
    drop(reader);
    assert!(endless.asked < MAX_LINE + (64 << 10), "{}", endless.asked);
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new("boot", "2026-01-01T00:00:00Z".parse().unwrap()))
}

fn open(home: &Path) -> Store {
    Store::open(home, &all_defaults(), ByteSize::mib(1), clock()).unwrap().0
}

fn commit(store: &Store, class: Class, payloads: std::ops::Range<u32>) {
    let message = |payload: u32| Message {
        class,
        lane: None,
        topic: "snowgate/v1/gate/test".to_owned(),
        payload: payload.to_string().into_bytes(),
        retain: false,
        origin: None,
    };
    store.commit(|_| Commit { messages: payloads.map(message).collect(), ..Commit::default() }).unwrap();
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn left(store: &Store, class: Class) -> Vec<u32> {
    let (after, up_to) = (RowId(0), RowId(i64::MAX));
    let all = Selection { class, lane: None, after, up_to, rows: usize::MAX, bytes: usize::MAX };
    let rows = wait(store.pending(all)).unwrap();
    rows.iter().map(|row| String::from_utf8(row.message.payload.clone()).unwrap().parse().unwrap()).collect()
}

fn export(data: &Path, to: &Path, key: &SigningKey) -> Result<Exported, ExportError> {
    let gateway = "gate".parse().unwrap();
    let order = Export { gateway: &gateway, data, to, key, clock: &*clock() };
    order.write(|gap| ("snowgate/v1/gate/gap".to_owned(), gap.messages.to_string().into_bytes()))
}

fn numbers(file: &Path, key: &PublicKey) -> Vec<(Class, u32)> {
    let text = |message: &Message| String::from_utf8(message.payload.clone()).unwrap().parse().unwrap();
    let messages = read_all(&std::fs::read(file).unwrap(), key).unwrap();
    messages.iter().map(|waiting| (waiting.message.class, text(&waiting.message))).collect()
}

#[test]
fn everything_that_waits_is_exported_in_order_with_losses_and_then_taken_out() {
    let (home, (signing, public)) = (TempDir::new().unwrap(), pair());
    let data = home.path().join("data");
    let store = open(&data);
    commit(&store, Class::Incident, 0..3);
    commit(&store, Class::Evidence, 3..5);
    commit(&store, Class::Incident, 5..6);
    wait(store.give_up(vec![RowId(2)], LossReason::Oversize)).unwrap();
    // A store that nobody works on any more, as much as one that somebody does.
    for running in [true, false] {
        let store = running.then(|| store.clone());
        let to = home.path().join(format!("{running}.export"));
        let exported = export(&data, &to, &signing).unwrap();
        let expected: Vec<_> = [(Class::Incident, 0), (Class::Incident, 2), (Class::Evidence, 3), (Class::Evidence, 4)]
            .into_iter()
            .chain([(Class::Incident, 5), (Class::Gap, 1)])
            .collect();
        assert_eq!(numbers(&to, &public), expected);
        assert_eq!((exported.verified.header.messages, exported.verified.by_class[Class::Gap.index()]), (6, 1));
        assert_eq!(
            std::fs::metadata(&to)
                .map(|file| std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o777)
                .unwrap(),
            0o600
        );
        drop(store);
    }
    drop(store);
    let to = home.path().join("last.export");
    let exported = export(&data, &to, &signing).unwrap();
    assert_eq!(exported.remove().unwrap(), 6);
    assert_eq!(exported.remove().unwrap(), 0, "what has gone is passed over");
    let inspection = inspect(&data).unwrap();
    assert_eq!((inspection.outbox.messages(), inspection.gaps), (0, vec![]));
    assert!(inspection.outbox.classes.iter().all(|class| class.bytes == 0));
    let names: Vec<_> = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("partial")), "{names:?}");
}

#[test]
fn an_export_never_replaces_another_and_leaves_nothing_half_written() {
    let (home, (signing, public)) = (TempDir::new().unwrap(), pair());
    let to = home.path().join("file");
    assert!(matches!(export(&home.path().join("none"), &to, &signing), Err(ExportError::Store(_))));
    assert!(!to.exists() && std::fs::read_dir(home.path()).unwrap().next().is_none());
    let store = open(home.path());
    let exported = export(home.path(), &to, &signing).unwrap();
    assert_eq!((numbers(&to, &public), exported.remove().unwrap()), (vec![], 0), "an empty outbox is exported too");
    commit(&store, Class::Incident, 0..1);
    assert!(matches!(export(home.path(), &to, &signing), Err(ExportError::Exists(path)) if path == to));
    assert_eq!(numbers(&to, &public), []);
    let nowhere = home.path().join("none/file");
    assert!(matches!(export(home.path(), &nowhere, &signing), Err(ExportError::File { .. })));
    assert_eq!(left(&store, Class::Incident), [0]);
}

/// Exports with removal while a store beside commits and acknowledges: every message is in exactly the places it should be.
#[test]
fn beside_a_running_store_nothing_is_lost() {
    let (home, (signing, public)) = (TempDir::new().unwrap(), pair());
    let data = home.path().join("data");
    let store = open(&data);
    const MESSAGES: u32 = 12_000;
    // More than are taken out at once.
    commit(&store, Class::Incident, 0..MESSAGES / 2);
    let mut found = std::collections::BTreeSet::new();
    std::thread::scope(|scope| {
        let committing = scope.spawn(|| {
            for number in (MESSAGES / 2..MESSAGES).step_by(10) {
                commit(&store, Class::Incident, number..number + 10);
            }
        });
        let mut round = 0;
        loop {
            let last = committing.is_finished();
            let to = home.path().join(format!("{round}.export"));
            let exported = export(&data, &to, &signing).unwrap();
            let rows = numbers(&to, &public);
            assert_eq!(exported.remove().unwrap(), rows.len() as u64);
            for (_, number) in rows {
                assert!(found.insert(number), "{number} was exported, taken out, and is there again");
            }
            round += 1;
            if last {
                break;
            }
        }
        committing.join().unwrap();
        assert!(round > 1, "it went on beside");
    });
    assert_eq!(found.len(), MESSAGES as usize);
    commit(&store, Class::Incident, 7..8);
    assert_eq!(left(&store, Class::Incident), [7]);
    let books = store.status().of(Class::Incident);
    let beside = inspect(&data).unwrap().outbox.of(Class::Incident);
    assert_eq!((books.messages, beside.messages, beside.bytes), (1, 1, books.bytes));
}
