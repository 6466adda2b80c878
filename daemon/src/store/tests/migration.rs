//! A store that the first format's version wrote.

use rusqlite::params;
use snowgate_core::time::Mono;

use super::*;

/// The tables as the first format's version made them.
const FIRST: &str = "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO meta VALUES ('sequence', 0), ('boot_number', 0), ('boot_id', ''), ('incident_bytes', 0);

    CREATE TABLE incidents (
        id TEXT NOT NULL UNIQUE, revision INTEGER NOT NULL, scene_active INTEGER NOT NULL, json BLOB NOT NULL
    ) STRICT;
    CREATE INDEX incidents_by_scene ON incidents (scene_active, id);

    CREATE TABLE outbox (
        row INTEGER PRIMARY KEY AUTOINCREMENT, class INTEGER NOT NULL, lane TEXT, topic TEXT NOT NULL,
        retain INTEGER NOT NULL, committed_at INTEGER NOT NULL, boot INTEGER NOT NULL, origin INTEGER,
        bytes INTEGER NOT NULL, payload BLOB NOT NULL
    ) STRICT;
    CREATE INDEX outbox_by_class ON outbox (class);
    CREATE INDEX outbox_by_lane ON outbox (class, lane) WHERE lane IS NOT NULL;

    CREATE TABLE classes (class INTEGER PRIMARY KEY, messages INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;
    INSERT INTO classes VALUES (0, 0, 0), (1, 0, 0), (2, 0, 0), (3, 0, 0), (4, 0, 0), (5, 0, 0);
    CREATE TABLE gaps (
        class INTEGER NOT NULL, reason INTEGER NOT NULL, messages INTEGER NOT NULL, bytes INTEGER NOT NULL,
        first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, PRIMARY KEY (class, reason)
    ) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 1;
";

/// A store as it was: incidents of every stage and one that nothing can be read of, 20 messages of which ten have gone, a gap.
fn first_format(home: &Path, boot: &str) {
    let connection = Connection::open(home.join(FILE)).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection.execute_batch(FIRST).unwrap();
    let mut bytes = 0;
    for (id, handling) in ["reported", "verified", "closed", "archived", "rejected_false_alarm", "?"].iter().enumerate()
    {
        let json = if *handling == "?" {
            b"no JSON".to_vec()
        } else {
            format!(r#"{{"handling":"{handling}","id":1}}"#).into_bytes()
        };
        bytes += json.len();
        connection
            .execute("INSERT INTO incidents VALUES (?1, 3, ?2, ?3)", params![id.to_string(), id % 2, json])
            .unwrap();
    }
    for row in 1..=20_i64 {
        connection
            .execute(
                "INSERT INTO outbox VALUES (?1, 1, 'A', 't', 0, ?2, 4, 77, 100, ?3)",
                params![row, row * 1000, [u8::try_from(row).unwrap(); 5000]],
            )
            .unwrap();
    }
    connection.execute_batch("DELETE FROM outbox WHERE row > 10; UPDATE classes SET messages = 10, bytes = 1000 WHERE class = 1; INSERT INTO gaps VALUES (5, 0, 3, 300, 5000, 6000)").unwrap();
    for (key, value) in [("sequence", 41), ("boot_number", 4), ("incident_bytes", i64::try_from(bytes).unwrap())] {
        connection.execute("UPDATE meta SET value = ?2 WHERE key = ?1", params![key, value]).unwrap();
    }
    connection.execute("UPDATE meta SET value = ?1 WHERE key = 'boot_id'", [boot]).unwrap();
}

#[test]
fn a_store_of_the_first_format_is_brought_up_to_date() {
    let home = TempDir::new().unwrap();
    first_format(home.path(), "boot");
    let refused = inspect(home.path()).unwrap_err();
    assert!(refused.to_string().contains("an older version"), "{refused}");

    let (store, report) = open_with(home.path(), &spec());
    assert_eq!(report.set_aside, None);
    let ids = |records: Vec<IncidentRecord>| -> Vec<String> { records.into_iter().map(|record| record.id).collect() };
    assert_eq!(ids(unfinished(&store)), ["0", "1", "5"]);
    assert_eq!(ids(store.active_incidents().unwrap()), ["1", "3", "5"]);
    let record = store.incident("3").unwrap().unwrap();
    assert_eq!(
        (record.revision, record.finished, &record.json[..]),
        (3, true, &br#"{"handling":"archived","id":1}"#[..])
    );

    let rows = pending(&store, Class::Incident);
    assert_eq!(rows.iter().map(|row| row.row.0).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
    assert_eq!(
        (&rows[6].message.payload[..], rows[6].message.origin),
        (&[7; 5000][..], Some(Mono(77))),
        "the same boot"
    );
    let time = |millis| CommitTime {
        wall: jiff::Timestamp::from_millisecond(millis).unwrap(),
        synchronised: false,
        mono: None,
    };
    assert_eq!(store.status().of(Class::Incident).oldest, Some(time(1000)));
    let gaps = inspect(home.path()).unwrap().gaps;
    assert_eq!((gaps.len(), gaps[0].messages, gaps[0].first, gaps[0].last), (1, 3, time(5000), time(6000)));

    let mut number = 0;
    let receipt = store
        .commit(|sequence| {
            number = sequence.next();
            let commands = vec![command("verify", "1", 1, true, b"")];
            Commit { messages: vec![message(Class::Incident, None, b"new")], commands, ..Commit::default() }
        })
        .unwrap();
    assert_eq!((number, receipt.last_row), (42, RowId(21)), "no number and no row is used twice");
    drop(store);
    let (store, report) = open_with(home.path(), &spec());
    assert_eq!((report.set_aside, report.outbox.messages()), (None, 11));
    store.fill_in(Synchronisation::told_by(clock("boot").boot_id(), clock("boot").now()).unwrap()).unwrap();
    assert_eq!(store.status().of(Class::Incident).oldest, Some(time(1000)), "nothing tells when that was");
}

#[test]
fn a_migration_happens_as_a_whole() {
    let home = TempDir::new().unwrap();
    first_format(home.path(), "boot");
    let path = home.path().join(FILE);
    // Something in its way, when the tables have been altered.
    let mut connection = Connection::open(&path).unwrap();
    connection
        .execute_batch("CREATE TRIGGER refuse BEFORE UPDATE ON outbox BEGIN SELECT raise(ABORT, 'no'); END")
        .unwrap();
    let before = dump(&connection);
    schema::migrate(&mut connection, 1).unwrap_err();
    assert_eq!(dump(&connection), before);
    connection.execute_batch("DROP TRIGGER refuse").unwrap();
    drop(connection);
    assert_eq!(open_with(home.path(), &spec()).1.set_aside, None);
}

fn dump(connection: &Connection) -> Vec<String> {
    let mut select = connection.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY sql").unwrap();
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    let tables = select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap);
    tables.chain([version.to_string()]).collect()
}

/// The columns of every table and index, whoever made them.
#[test]
fn migrated_and_fresh_stores_have_the_same_columns() {
    let shape = |home: &Path| -> Vec<String> {
        let connection = Connection::open(home.join(FILE)).unwrap();
        let mut select = connection
            .prepare(
                "SELECT s.type || ' ' || s.name || '.' || i.name || ' ' || i.type || ' ' || i.\"notnull\" || i.pk
                     FROM sqlite_schema AS s, pragma_table_xinfo(s.name) AS i WHERE s.name NOT LIKE 'sqlite_%'
                 UNION ALL SELECT 'index ' || name || ' ' || sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL
                 ORDER BY 1",
            )
            .unwrap();
        select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let (fresh, migrated) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    first_format(migrated.path(), "boot");
    for home in [&fresh, &migrated] {
        open(home.path());
    }
    assert_eq!(shape(fresh.path()), shape(migrated.path()));
}
