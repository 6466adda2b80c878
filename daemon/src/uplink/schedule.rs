//! Which message goes next. Made anew for every connection, from the store alone: what was not acknowledged on the
//! last one comes up again by itself, in order.
//!
//! Messages younger than [`LIVE`] are *live*, the rest is *backlog*. By class, the most important first: live messages
//! at once, then backlog, at a limited rate. Within a class both go in the order they were committed; a live message
//! whose lane (incident) still has backlog takes that along, before itself.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use snowgate_core::time::Mono;

use super::suspects::Suspect;
use crate::store::{Class, OutboxRow, OutboxStatus, RowId, Selection, Store, StoreError};

/// The age up to which a message is live. Short against any outage worth the name, long against a reconnect.
const LIVE: Duration = Duration::from_secs(60);
/// Messages and bytes read ahead of one class.
const AHEAD_ROWS: usize = 32;
const AHEAD_BYTES: usize = 512 << 10;

/// Knows which row was the newest [`LIVE`] ago, from samples a second apart.
#[derive(Debug)]
pub(super) struct LiveMark {
    /// All that is not newer than this is backlog.
    floor: RowId,
    samples: VecDeque<(Mono, RowId)>,
}

impl LiveMark {
    /// All that was there at the start is backlog.
    pub(super) fn new(last_row: RowId) -> Self {
        Self { floor: last_row, samples: VecDeque::new() }
    }

    /// Notes the newest row of a moment.
    pub(super) fn observe(&mut self, now: Mono, last_row: RowId) {
        match self.samples.back_mut() {
            Some((began, row)) if now.since(*began) < Duration::from_secs(1) => *row = last_row,
            _ => self.samples.push_back((now, last_row)),
        }
        while let Some((_, row)) = self.samples.front().copied().filter(|(at, _)| now.since(*at) > LIVE) {
            self.floor = row;
            self.samples.pop_front();
        }
    }

    /// The newest row of the backlog.
    pub(super) fn row(&self) -> RowId {
        self.floor
    }
}

/// Lets through so many a second, and a tenth of that at once.
#[derive(Debug)]
struct TokenBucket {
    rate: f64,
    tokens: f64,
    filled: Mono,
}

impl TokenBucket {
    fn new(rate: u32, now: Mono) -> Self {
        Self { rate: f64::from(rate), tokens: 1.0, filled: now }
    }

    fn fill(&mut self, now: Mono) {
        let room = (self.rate / 10.0).max(1.0);
        self.tokens = (self.tokens + now.since(self.filled).as_secs_f64() * self.rate).min(room);
        self.filled = now;
    }

    fn take(&mut self) {
        self.tokens -= 1.0;
    }

    /// Time until there is a token; zero if there is one.
    fn wait(&self) -> Duration {
        Duration::from_secs_f64(((1.0 - self.tokens) / self.rate).max(0.0))
    }
}

/// A stretch of one class's messages, read in small pieces.
#[derive(Debug)]
struct Stretch {
    class: Class,
    after: RowId,
    ahead: VecDeque<OutboxRow>,
}

impl Stretch {
    fn new(class: Class, after: RowId) -> Self {
        Self { class, after, ahead: VecDeque::new() }
    }

    /// Reads on when nothing is left of what was read, leaving out what is `out`. False if there is nothing up to `up_to`.
    async fn fill(&mut self, store: &Store, up_to: RowId, out: &HashSet<RowId>) -> Result<bool, StoreError> {
        while self.ahead.is_empty() && self.after < up_to {
            let (class, after) = (self.class, self.after);
            let selection = Selection { class, lane: None, after, up_to, rows: AHEAD_ROWS, bytes: AHEAD_BYTES };
            self.ahead = store.pending(selection).await?.into();
            self.after = self.ahead.back().map_or(up_to, |last| last.row);
            // By its turn it may have gone, and nobody would know any more that it had been handed out.
            self.ahead.retain(|row| !out.contains(&row.row));
        }
        Ok(!self.ahead.is_empty())
    }
}

/// The order of one connection's messages.
#[derive(Debug)]
pub(super) struct Schedule {
    mark: RowId,
    live: [Stretch; Class::COUNT],
    backlog: [Stretch; Class::COUNT],
    bucket: TokenBucket,
    /// Handed out, and not known to have left the store.
    out: HashSet<RowId>,
    held_back: bool,
    /// Whose turn has been put off: these, and what comes behind them in their lanes.
    put_off: Vec<Suspect>,
}

impl Schedule {
    pub(super) fn new(mark: RowId, drain_rate: u32, now: Mono) -> Self {
        Self {
            mark,
            live: Class::ALL.map(|class| Stretch::new(class, mark)),
            backlog: Class::ALL.map(|class| Stretch::new(class, RowId(0))),
            bucket: TokenBucket::new(drain_rate, now),
            out: HashSet::new(),
            held_back: false,
            put_off: Vec::new(),
        }
    }

    /// Passes over these messages and the rest of their lanes.
    pub(super) fn put_off<'a>(&mut self, suspects: impl Iterator<Item = &'a Suspect>) {
        self.put_off = suspects.cloned().collect();
    }

    /// Looks at everything that waits once more: what was put off may go, but for these.
    pub(super) fn begin_again<'a>(&mut self, suspects: impl Iterator<Item = &'a Suspect>) {
        self.put_off(suspects);
        self.live = Class::ALL.map(|class| Stretch::new(class, self.mark));
        self.backlog = Class::ALL.map(|class| Stretch::new(class, RowId(0)));
    }

    /// Whether it must not go now: it is out already, or put off.
    fn must_wait(&self, row: &OutboxRow) -> bool {
        self.out.contains(&row.row)
            || self.put_off.iter().any(|suspect| {
                let same_lane = suspect.lane.is_some() && suspect.lane == row.message.lane;
                suspect.row == row.row || (same_lane && suspect.class == row.message.class)
            })
    }

    /// The next message of a class not less important than `least`, if there is one that may go now.
    pub(super) async fn next(
        &mut self,
        store: &Store,
        status: &OutboxStatus,
        least: Class,
        now: Mono,
    ) -> Result<Option<OutboxRow>, StoreError> {
        self.bucket.fill(now);
        self.held_back = false;
        for class in Class::ALL.into_iter().filter(|class| *class <= least && status.of(*class).messages > 0) {
            if let Some(row) = self.next_live(store, class, status.last_row).await? {
                self.out.insert(row.row);
                return Ok(Some(row));
            }
            if let Some(row) = self.next_of_backlog(store, class).await? {
                self.out.insert(row.row);
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    async fn next_live(
        &mut self,
        store: &Store,
        class: Class,
        last_row: RowId,
    ) -> Result<Option<OutboxRow>, StoreError> {
        loop {
            let live = &mut self.live[class.index()];
            if !live.fill(store, last_row, &self.out).await? {
                return Ok(None);
            }
            if !self.live[class.index()].ahead.front().is_some_and(|next| self.must_wait(next)) {
                break;
            }
            self.live[class.index()].ahead.pop_front();
        }
        let live = &self.live[class.index()];
        if let Some(next) = live.ahead.front().filter(|next| next.row > self.mark)
            && let Some(lane) = next.message.lane.clone()
        {
            let earlier = self.rest_of_lane(store, class, lane).await?;
            // They go now; the backlog must not bring them again.
            self.backlog[class.index()].ahead.retain(|row| !earlier.iter().any(|earlier| earlier.row == row.row));
            let live = &mut self.live[class.index()];
            earlier.into_iter().rev().for_each(|row| live.ahead.push_front(row));
        }
        Ok(self.live[class.index()].ahead.pop_front())
    }

    /// What a lane still has in the backlog, as far as it has not been handed out.
    async fn rest_of_lane(&self, store: &Store, class: Class, lane: String) -> Result<Vec<OutboxRow>, StoreError> {
        let backlog = &self.backlog[class.index()];
        if backlog.ahead.is_empty() && backlog.after >= self.mark {
            return Ok(Vec::new());
        }
        let mut after = RowId(0);
        loop {
            let (lane, up_to) = (Some(lane.clone()), self.mark);
            let selection = Selection { class, lane, after, up_to, rows: AHEAD_ROWS, bytes: AHEAD_BYTES };
            let rows = store.pending(selection).await?;
            let Some(last) = rows.last() else { return Ok(rows) };
            after = last.row;
            let waiting: Vec<_> = rows.into_iter().filter(|row| !self.must_wait(row)).collect();
            if !waiting.is_empty() {
                return Ok(waiting);
            }
        }
    }

    async fn next_of_backlog(&mut self, store: &Store, class: Class) -> Result<Option<OutboxRow>, StoreError> {
        while self.backlog[class.index()].fill(store, self.mark, &self.out).await? {
            if !self.bucket.wait().is_zero() {
                self.held_back = true;
                return Ok(None);
            }
            if let Some(row) = self.backlog[class.index()].ahead.pop_front()
                && !self.must_wait(&row)
            {
                self.bucket.take();
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Passes over messages the store has only to let go of.
    pub(super) fn hold(&mut self, rows: &[RowId]) {
        self.out.extend(rows);
    }

    /// The store has let go of these.
    pub(super) fn gone(&mut self, rows: &[RowId]) {
        for row in rows {
            self.out.remove(row);
        }
    }

    /// When backlog that was held back may go on.
    pub(super) fn held_back(&self) -> Option<Duration> {
        self.held_back.then(|| self.bucket.wait())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use snowgate_core::{
        spec::{ByteSize, all_defaults},
        time::ManualClock,
    };

    use super::*;
    use crate::store::{Commit, Message};

    #[test]
    fn live_is_what_is_younger_than_a_minute() {
        let at = |seconds: f64| Mono((seconds * 1e9) as u64);
        let mut mark = LiveMark::new(RowId(5));
        assert_eq!(mark.row(), RowId(5), "all that was there at the start is backlog");
        mark.observe(at(0.0), RowId(7));
        mark.observe(at(0.5), RowId(9));
        mark.observe(at(30.0), RowId(20));
        assert_eq!(mark.row(), RowId(5));
        mark.observe(at(61.0), RowId(20));
        assert_eq!(mark.row(), RowId(9));
        mark.observe(at(3600.0), RowId(30));
        assert_eq!(mark.row(), RowId(20), "what came with the newest sample may have come just now");
    }

    #[test]
    fn samples_stay_few_under_a_flood() {
        let mut mark = LiveMark::new(RowId(0));
        for row in 0..1_000_000_u32 {
            mark.observe(Mono(u64::from(row) * 1_000_000), RowId(i64::from(row)));
        }
        assert!(mark.samples.len() <= 62, "{}", mark.samples.len());
        let age = 999_999 - mark.row().0;
        assert!((59_000..=62_000).contains(&age), "the mark is {age} ms old");
    }

    #[test]
    fn tokens_come_at_their_rate_and_do_not_pile_up() {
        let mut bucket = TokenBucket::new(50, Mono(0));
        let mut passed = 0;
        for millis in 0..10_000_u64 {
            bucket.fill(Mono(millis * 1_000_000));
            while bucket.wait().is_zero() {
                bucket.take();
                passed += 1;
            }
        }
        assert!((498..=502).contains(&passed), "{passed} in ten seconds");
        bucket.fill(Mono(u64::MAX));
        assert!(bucket.tokens <= 5.0);
    }

    #[tokio::test]
    async fn what_is_out_comes_up_only_once_though_it_has_gone_meanwhile() {
        let home = tempfile::TempDir::new().unwrap();
        let clock = Arc::new(ManualClock::new("boot", "2026-01-01T00:00:00Z".parse().unwrap()));
        let (store, _) = Store::open(home.path(), &all_defaults(), ByteSize::mib(1), clock).unwrap();
        let commit = async |lane: &str| {
            let (lane, store) = (Some(lane.to_owned()), store.clone());
            let topic = "snowgate/v1/gate/incident/grid/1".to_owned();
            let message =
                Message { class: Class::Incident, lane, topic, payload: vec![0], retain: false, origin: None };
            let commit = move || store.commit(|_| Commit { messages: vec![message], ..Commit::default() });
            tokio::task::spawn_blocking(commit).await.unwrap().unwrap().last_row
        };
        let (first, of_lane, last) = (commit("a").await, commit("b").await, commit("c").await);
        let live = commit("b").await;
        let now = Mono(0);
        let mut schedule = Schedule::new(last, 1000, now);
        let mut next = async |gone: &[RowId], seconds: u64| {
            schedule.gone(gone);
            let now = now + Duration::from_secs(seconds);
            schedule.next(&store, &store.status(), Class::Telemetry, now).await.unwrap().map(|row| row.row)
        };
        assert_eq!(next(&[], 1).await, Some(of_lane), "a live one takes along what its lane has waiting");
        assert_eq!(next(&[], 2).await, Some(live));
        assert_eq!(next(&[], 3).await, Some(first));
        assert_eq!(next(&[of_lane], 4).await, Some(last), "and the backlog does not bring it again");
    }
}
