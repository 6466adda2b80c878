//! One camera: which picture it shows when.

use std::{collections::VecDeque, rc::Rc, time::Duration};

use jiff::Timestamp;

use super::{
    clip::{Clip, Unit},
    log::{CameraTotals, Line},
};

/// A camera that is always on, whether somebody reads it or not.
pub struct Camera {
    /// The path of its URL.
    pub name: String,
    /// Readers that have asked for it to play, by their number.
    pub readers: Vec<usize>,
    /// What it counted.
    pub totals: CameraTotals<'static>,
    clip: Rc<Clip>,
    position: usize,
    loops: u64,
    /// Played from the next key frame on.
    wanted: Option<Rc<Clip>>,
    /// What to want when, in order; `CLOCK_MONOTONIC`.
    schedule: VecDeque<(u64, Rc<Clip>)>,
    /// How far into a clip it starts, so that cameras of one clip do not show the same.
    offset: Duration,
    /// Time of all pictures so far, nanoseconds: it goes on from clip to clip.
    shown: u64,
    open: Vec<OpenEvent>,
}

/// An event whose first picture has been shown, and whose last has not.
struct OpenEvent {
    index: usize,
    begin: u64,
    begin_wall: Timestamp,
    readers: usize,
}

/// A picture whose time has come.
pub struct Due {
    clip: Rc<Clip>,
    index: usize,
    /// Its RTP time, 90 kHz.
    pub rtp_time: u32,
    /// Until the next one.
    pub interval: Duration,
}

impl Due {
    /// The picture.
    pub fn unit(&self) -> Option<&Unit> {
        self.clip.units.get(self.index)
    }
}

impl Camera {
    /// A camera that begins `offset` into `clip` and turns to others at the times of `schedule`.
    pub fn new(name: &str, clip: Rc<Clip>, schedule: VecDeque<(u64, Rc<Clip>)>, offset: Duration) -> Self {
        let position = clip.position(offset);
        Self {
            name: name.to_owned(),
            readers: Vec::new(),
            totals: CameraTotals::default(),
            clip,
            position,
            loops: 0,
            wanted: None,
            schedule,
            offset,
            shown: 0,
            open: Vec::new(),
        }
    }

    /// The clip it plays.
    pub fn clip(&self) -> &Clip {
        &self.clip
    }

    /// Plays `clip` from the next key frame on, at the key frame nearest before its own offset.
    pub fn switch(&mut self, clip: Rc<Clip>) {
        self.wanted = Some(clip);
    }

    /// The picture to show at `now`, `CLOCK_MONOTONIC`; what is to be logged goes to `log`.
    ///
    /// # Errors
    /// Whatever `log` answers.
    pub fn next<E>(&mut self, now: u64, log: &mut impl FnMut(&Line<'_>) -> Result<(), E>) -> Result<Due, E> {
        while self.schedule.front().is_some_and(|(from, _)| *from <= now) {
            self.wanted = self.schedule.pop_front().map(|(_, clip)| clip);
        }
        if self.clip.units.get(self.position).is_some_and(|unit| unit.key)
            && let Some(clip) = self.wanted.take()
        {
            self.close(now, false, log, |_| true)?;
            self.position = clip.key_before(clip.position(self.offset));
            self.clip = clip;
            self.loops = 0;
            log(&Line::Switched { camera: &self.name, clip: &self.clip.name, mono_ns: now })?;
        }
        for (index, event) in self.clip.events.iter().enumerate() {
            if event.first_frame == self.position {
                let readers = self.readers.len();
                self.open.push(OpenEvent { index, begin: now, begin_wall: Timestamp::now(), readers });
            }
        }
        let (clip, index) = (Rc::clone(&self.clip), self.position);
        self.close(now, true, log, |event| clip.events.get(event).is_some_and(|event| event.last_frame == index))?;
        let (interval, rtp_time) = (clip.interval, (u128::from(self.shown) * 9 / 100_000) as u32);
        self.shown += interval.as_nanos() as u64;
        self.position += 1;
        if self.position >= clip.units.len() {
            self.position = 0;
            self.loops += 1;
        }
        Ok(Due { clip, index, rtp_time, interval })
    }

    /// Closes what is still open at the end.
    ///
    /// # Errors
    /// Whatever `log` answers.
    pub fn end<E>(&mut self, now: u64, log: &mut impl FnMut(&Line<'_>) -> Result<(), E>) -> Result<(), E> {
        self.close(now, false, log, |_| true)
    }

    fn close<E>(
        &mut self,
        now: u64,
        whole: bool,
        log: &mut impl FnMut(&Line<'_>) -> Result<(), E>,
        which: impl Fn(usize) -> bool,
    ) -> Result<(), E> {
        for done in self.open.extract_if(.., |open| which(open.index)) {
            let Some(event) = self.clip.events.get(done.index) else { continue };
            log(&Line::Event {
                camera: &self.name,
                clip: &self.clip.name,
                event: &event.id,
                r#loop: self.loops,
                begin_mono_ns: done.begin,
                end_mono_ns: now,
                begin_wall: done.begin_wall,
                whole,
                readers: done.readers,
            })?;
        }
        Ok(())
    }
}
