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

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays `count` pictures, one a tick from `from` on, and notes each event and switch as text.
    fn played(camera: &mut Camera, from: u64, count: u64) -> Vec<String> {
        let mut lines = Vec::new();
        for now in from..from + count {
            let mut log = |line: &Line<'_>| {
                lines.push(match line {
                    Line::Event { event, r#loop, begin_mono_ns, end_mono_ns, whole, .. } => {
                        format!("{event} {begin_mono_ns}-{end_mono_ns} loop {loop} {}", if *whole { "whole" } else { "cut" }, loop = r#loop)
                    }
                    Line::Switched { clip, mono_ns, .. } => format!("to {clip} at {mono_ns}"),
                    Line::Totals(_) => unreachable!(),
                });
                Ok::<(), ()>(())
            };
            camera.next(now, &mut log).unwrap();
        }
        lines
    }

    #[test]
    fn events_are_logged_as_they_are_shown() {
        let clip = Rc::new(Clip::of_pictures("x", 20, 5, &[("a", 2, 4), ("b", 4, 9), ("c", 7, 7)]));
        let mut camera = Camera::new("cam", clip, VecDeque::new(), Duration::from_millis(120));
        // It begins at picture 3, in the middle of `a`, which therefore is not an event here.
        assert_eq!(played(&mut camera, 100, 10), ["c 104-104 loop 0 whole", "b 101-106 loop 0 whole"]);
        assert_eq!(played(&mut camera, 110, 12), ["a 119-121 loop 1 whole"]);
    }

    #[test]
    fn a_switch_waits_for_a_key_frame_and_cuts_what_is_open() {
        let first = Rc::new(Clip::of_pictures("x", 20, 10, &[("a", 8, 12)]));
        let other = Rc::new(Clip::of_pictures("y", 20, 4, &[("b", 4, 5)]));
        let schedule = VecDeque::from([(3, other)]);
        let mut camera = Camera::new("cam", first, schedule, Duration::from_millis(240));
        // Asked for at 3, picture 9; 10 is a key frame. The offset, 6 pictures, begins the other clip at its key frame 4.
        assert_eq!(played(&mut camera, 0, 6), ["a 2-4 loop 0 cut", "to y at 4", "b 4-5 loop 0 whole"]);
    }

    #[test]
    fn rtp_time_goes_on_from_loop_to_loop() {
        let clip = Rc::new(Clip::of_pictures("x", 3, 3, &[]));
        let mut camera = Camera::new("cam", clip, VecDeque::new(), Duration::ZERO);
        let times: Vec<u32> = (0..7).map(|now| camera.next(now, &mut |_| Ok::<(), ()>(())).unwrap().rtp_time).collect();
        assert_eq!(times, [0, 3600, 7200, 10800, 14400, 18000, 21600]);
    }
}
