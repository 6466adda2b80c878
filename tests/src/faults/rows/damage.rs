//! The store is damaged while the daemon is down, with events waiting in it. It must start, and say what it has lost.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
    time::Instant,
};

use snowgate_simulators::noise::Noise;

use crate::{
    faults::{
        Order,
        ledger::Truth,
        rig::{Plan, Rig},
        table::Row,
        truth::{self, STORE, Waiting},
        verdict::{self, MayLose},
    },
    proxy::Weather,
};

/// How a loss by a damaged store is announced.
const REASON: &str = "corrupt_store";

pub(super) fn truncated(order: Order) -> Row {
    damages(order, |file, length, noise| {
        file.set_len(noise.below(length) as u64).expect("the store can be truncated");
    })
}

pub(super) fn flipped(order: Order) -> Row {
    damages(order, |file, length, noise| {
        for _ in 0..=noise.below(4) {
            let at = noise.below(length) as u64;
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).expect("the store can be read");
            byte[0] ^= 1 << noise.below(8);
            file.write_all_at(&byte, at).expect("the store can be written");
        }
    })
}

pub(super) fn overwritten(order: Order) -> Row {
    damages(order, |file, length, noise| {
        let from = noise.below(length);
        let garbage: Vec<u8> = (0..4096.min(length - from)).map(|_| noise.byte()).collect();
        file.write_all_at(&garbage, from as u64).expect("the store can be written");
    })
}

fn damages(order: Order, damage: impl Fn(&File, usize, &mut Noise)) -> Row {
    let mut noise = order.noise();
    let mut rig = Rig::new(Plan::STEADY);
    let (mut recoveries, mut truth, mut set_aside) = (Vec::new(), Truth::default(), 0);
    rig.start();
    for _ in 0..order.times {
        rig.load().resume();
        rig.wait_received(2);
        rig.proxy.set(Weather { refuse: true, ..Weather::default() });
        rig.proxy.cut();
        rig.wait_produced(10 + noise.below(20) as u64);
        // A write-ahead log beside the store, or everything in the store itself.
        if noise.below(3) == 0 {
            rig.kill()
        } else {
            rig.stop()
        }
        let snapshot = truth::snapshot(rig.data());
        truth.merge(truth::read(snapshot.path()).expect("an undamaged store"));
        let waiting = truth::waiting(snapshot.path()).expect("an undamaged store");

        let store = File::options().read(true).write(true).open(rig.data().join(STORE)).expect("the store is there");
        let length = store.metadata().expect("the store is there").len();
        damage(&store, usize::try_from(length).unwrap_or(usize::MAX), &mut noise);
        let known = kept_aside(rig.data());
        let announced = announcements(&rig);
        rig.proxy.set(Weather::default());
        let ended = Instant::now();
        rig.start();
        rig.wait_received(2);
        rig.wait_outbox_empty();
        recoveries.push(ended.elapsed());
        let found = kept_aside(rig.data()).difference(&known).count() > 0;
        set_aside += u64::from(found);
        judge(&rig, &waiting, found, announcements(&rig) > announced);
    }
    rig.load().pause();
    rig.wait_outbox_empty();
    rig.stop();
    truth.merge(rig.read_truth());
    let mut row = verdict::row(&rig, order, &truth, recoveries, MayLose::Announced(REASON));
    row.notes.push(format!("{set_aside} stores set aside and announced, {} sound enough", order.times - set_aside));
    row
}

/// What must hold after a start with a damaged store.
fn judge(rig: &Rig, waiting: &[Waiting], set_aside: bool, announced: bool) {
    let mut breaches = Vec::new();
    if set_aside && !announced {
        breaches.push("a store was set aside, and no gap announced".to_owned());
    }
    rig.receiver.look(|state| {
        for (incident, revision, digest) in waiting {
            match state.ledger.digest_of(*incident, *revision) {
                Some(arrived) if arrived == *digest => {}
                Some(_) => breaches.push(format!("{incident}.{revision} is not what was committed")),
                None if set_aside || announced => {}
                None => breaches.push(format!("{incident}.{revision} is lost, and nothing was said")),
            }
        }
    });
    breaches.into_iter().for_each(|breach| rig.receiver.breach(breach));
}

fn announcements(rig: &Rig) -> usize {
    rig.receiver.look(|state| state.ledger.gaps().iter().filter(|gap| gap.reason == REASON).count())
}

/// The names of stores set aside.
fn kept_aside(data: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(data).expect("the data directory is there").flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(&format!("{STORE}.corrupt-"))).collect()
}
