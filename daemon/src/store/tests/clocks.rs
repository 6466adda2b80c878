//! Both clocks of every row: what is put right, what is not, and how old things are said to be.

use std::time::Duration;

use proptest::prelude::*;
use snowgate_core::time::{BootId, Moment, Mono};

use super::*;

const YEAR: Duration = Duration::from_secs(365 * 86_400);

fn at(home: &Path, clock: &Arc<ManualClock>) -> Store {
    Store::open(home, &spec(), ByteSize::mib(1), clock.clone()).unwrap().0
}

fn put(store: &Store) {
    let messages = vec![message(Class::Incident, None, b"")];
    store.commit(|_| Commit { messages, ..Commit::default() }).unwrap();
}

fn sync(clock: &ManualClock) -> Synchronisation {
    Synchronisation::told_by(clock.boot_id(), clock.now()).unwrap()
}

fn oldest(store: &Store) -> CommitTime {
    store.status().of(Class::Incident).oldest.unwrap()
}

#[test]
fn a_box_that_starts_in_1970_learns_the_time() {
    let home = TempDir::new().unwrap();
    let clock = Arc::new(ManualClock::new("boot", jiff::Timestamp::UNIX_EPOCH));
    clock.set_wall(jiff::Timestamp::UNIX_EPOCH, false);
    let store = at(home.path(), &clock);
    put(&store);
    assert_eq!((oldest(&store).wall, oldest(&store).synchronised), (jiff::Timestamp::UNIX_EPOCH, false));
    wait(store.give_up(vec![oldest_row(&store)], LossReason::Oversize)).unwrap();
    clock.advance(Duration::from_secs(60));
    put(&store);
    clock.advance(Duration::from_secs(60));
    clock.set_wall("2026-03-01T00:02:00Z".parse().unwrap(), true);
    assert_eq!(oldest(&store).age(clock.now()), Duration::from_secs(60), "56 years would be nonsense");
    store.fill_in(sync(&clock)).unwrap();
    let right = |text: &str| (text.parse().unwrap(), true);
    let told = |time: CommitTime| (time.wall, time.synchronised);
    assert_eq!(told(oldest(&store)), right("2026-03-01T00:01:00Z"));
    let gap = inspect(home.path()).unwrap().gaps[0];
    assert_eq!((told(gap.first), told(gap.last)), (right("2026-03-01T00:00:00Z"), right("2026-03-01T00:00:00Z")));

    // What is learnt later changes nothing more.
    clock.set_wall("2036-03-01T00:00:00Z".parse().unwrap(), true);
    store.fill_in(sync(&clock)).unwrap();
    assert_eq!(told(oldest(&store)), right("2026-03-01T00:01:00Z"));
    drop(store);
    assert_eq!(told(oldest(&at(home.path(), &clock))), right("2026-03-01T00:01:00Z"), "it is on disk");
}

fn oldest_row(store: &Store) -> RowId {
    pending(store, Class::Incident)[0].row
}

#[test]
fn another_boots_times_stay_as_they_were() {
    let home = TempDir::new().unwrap();
    let wrong: jiff::Timestamp = "1970-01-01T00:10:00Z".parse().unwrap();
    let first = Arc::new(ManualClock::new("first", wrong));
    first.set_wall(wrong, false);
    let store = at(home.path(), &first);
    put(&store);
    drop(store);
    let second = clock("second");
    let store = at(home.path(), &second);
    store.fill_in(sync(&second)).unwrap();
    let moment = Moment { mono: Mono(0), wall: "2026-01-01T00:00:00Z".parse().unwrap(), synchronised: true };
    store.fill_in(Synchronisation::told_by(&BootId("first".into()), moment).unwrap()).unwrap();
    assert_eq!((oldest(&store).wall, oldest(&store).synchronised), (wrong, false));
    second.advance(Duration::from_secs(30));
    assert_eq!(oldest(&store).age(second.now()), Duration::from_secs(30), "at least as old as this boot");
}

#[test]
fn no_jump_of_the_wall_clock_makes_a_message_young_or_old() {
    let home = TempDir::new().unwrap();
    let clock = clock("boot");
    let store = at(home.path(), &clock);
    put(&store);
    let now = clock.now().wall;
    for jump in [now + YEAR, now - YEAR, jiff::Timestamp::UNIX_EPOCH] {
        clock.set_wall(jump, true);
        clock.advance(Duration::from_secs(1));
        assert_eq!(oldest(&store).age(clock.now()), clock.now().mono.since(Mono(0)));
    }
}

#[test]
fn boots_that_no_row_is_of_are_forgotten() {
    let home = TempDir::new().unwrap();
    let boots = |store: &Store| -> i64 {
        store.read_blocking(|c| Ok(c.query_row("SELECT count(*) FROM boots", [], |row| row.get(0))?)).unwrap()
    };
    for boot in 0..5 {
        let store = at(home.path(), &clock(&format!("idle {boot}")));
        assert_eq!(boots(&store), 1);
    }
    put(&at(home.path(), &clock("busy")));
    let store = at(home.path(), &clock("next"));
    assert_eq!(boots(&store), 2);
    wait(store.give_up(vec![oldest_row(&store)], LossReason::Oversize)).unwrap();
    drop(store);
    assert_eq!(boots(&at(home.path(), &clock("then"))), 3, "the gap is of the busy boot");
}

#[derive(Debug, Clone)]
enum Step {
    Put,
    Advance(u32),
    /// The wall clock jumps there (seconds), and is right or not.
    Jump(u32, bool),
    FillIn,
    Reboot,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => Just(Step::Put),
        3 => (0..100_000_u32).prop_map(Step::Advance),
        3 => (any::<u32>(), any::<bool>()).prop_map(|(to, right)| Step::Jump(to, right)),
        2 => Just(Step::FillIn),
        1 => Just(Step::Reboot),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..40)
}

/// A row as it was put, and the relation of its boot's clocks if it was ever told.
struct Put {
    boot: usize,
    moment: Moment,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Every row's time is what core's rule makes of it; rows stay in order, whatever the clocks did.
    #[test]
    fn times_are_put_right_for_their_own_boot_only(steps in steps()) {
        let home = TempDir::new().unwrap();
        let boot_clock = |boot: usize| {
            let clock = Arc::new(ManualClock::new(format!("boot {boot}"), jiff::Timestamp::UNIX_EPOCH));
            clock.set_wall(jiff::Timestamp::UNIX_EPOCH, false);
            clock
        };
        let (mut clock, mut boot) = (boot_clock(0), 0);
        let mut store = at(home.path(), &clock);
        let mut rows: Vec<Put> = Vec::new();
        let mut known: Vec<Option<Synchronisation>> = vec![None];
        for step in steps {
            match step {
                Step::Put => {
                    put(&store);
                    rows.push(Put { boot, moment: clock.now() });
                }
                Step::Advance(millis) => clock.advance(Duration::from_millis(millis.into())),
                Step::Jump(to, right) => clock.set_wall(jiff::Timestamp::from_second(to.into()).unwrap(), right),
                Step::FillIn => if let Some(told) = Synchronisation::told_by(clock.boot_id(), clock.now()) {
                    store.fill_in(told.clone()).unwrap();
                    known[boot].get_or_insert(told);
                },
                Step::Reboot => {
                    drop(store);
                    boot += 1;
                    clock = boot_clock(boot);
                    known.push(None);
                    store = at(home.path(), &clock);
                }
                Step::Reopen => {
                    drop(store);
                    store = at(home.path(), &clock);
                }
            }
            let times = store.read_blocking(|connection| {
                let mut select =
                    connection.prepare("SELECT committed_at, boot, mono, synchronised FROM outbox ORDER BY row")?;
                let stamps = select.query_map([], |row| crate::store::clocks::Stamp::read(row, 0))?.collect::<Result<Vec<_>, _>>()?;
                let boot = connection.query_row("SELECT max(number) FROM boots", [], |row| row.get(0))?;
                stamps.into_iter().map(|stamp| super::super::clocks::resolve(connection, stamp, Some(boot))).collect::<Result<Vec<_>, _>>()
            }).unwrap();
            let expected: Vec<_> = rows.iter().map(|row| {
                let id = BootId(format!("boot {}", row.boot));
                let moment = known[row.boot].as_ref().map_or(row.moment, |known| known.fill_in(&id, row.moment));
                let mono = (row.boot == boot).then_some(moment.mono);
                CommitTime { wall: moment.wall, synchronised: moment.synchronised, mono }
            }).collect();
            prop_assert_eq!(times, expected);
            prop_assert_eq!(store.status().of(Class::Incident).messages, rows.len() as u64);
        }
    }
}
