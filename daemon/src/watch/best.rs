//! The best picture of what has begun: by score, size and sharpness.
//!
//! The picture that completes a rule's condition is seldom the best one of it: somebody has just stepped into a zone, half of them
//! still behind the wall. For a while ([`best_of`](crate::evidence::spec::EvidenceSpec)) after an episode of a rule has begun, each
//! picture in which its things are followed is held against the best one so far, and a better one put into the [`Retake`] of the
//! still, which is made when the while is over, or the episode.
//!
//! How good a picture is of its things: for each of them its score, times the square root of its share of the frame, times its
//! [sharpness]; half of that if the frame's edge cuts it, and half of it while it is only predicted to be there; summed. Nothing is
//! done while nothing has begun, and at most [`MOST`] episodes of a camera wait at once: of further ones the first picture is good
//! enough.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use snowgate_core::{
    geometry::Rect,
    ids::Id,
    observation::{Track, TrackId},
    rules::{Finding, Subject},
    time::Mono,
};

use crate::{
    camera::picture::Picture,
    evidence::retake::{Retake, Take},
    vision::sharpness::sharpness,
};

/// Episodes of a camera that wait for a better picture, each with one picture.
const MOST: usize = 4;

/// A picture must be so much better than the one it replaces.
const BETTER: f32 = 1.1;

/// How near to the frame's edge a thing is that the edge may cut, in shares of the frame.
const EDGE: f32 = 0.005;

/// The episodes of one camera that wait for a better picture.
#[derive(Debug, Default)]
pub struct BestPictures {
    is_wanted: AtomicBool,
    waiting: Mutex<Vec<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    rule: Id,
    episode: u64,
    /// The things that it began with.
    tracks: Vec<TrackId>,
    /// How good the best picture so far is.
    best: f32,
    /// Later pictures do not count.
    until: Mono,
    retake: Arc<Retake<Arc<Picture>>>,
}

impl BestPictures {
    /// Whether any picture may be wanted. One relaxed load: the picture that just misses a beginning is the one it began with.
    pub fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Relaxed)
    }

    /// An episode has begun in this picture: for so long a better one is waited for. `None` where none is: there is nothing to
    /// follow, or too much is waited for already.
    pub fn begin(
        &self,
        finding: &Finding,
        wait: Duration,
        picture: &Picture,
        tracks: &[Track],
        now: Mono,
    ) -> Option<Arc<Retake<Arc<Picture>>>> {
        let followed: Vec<TrackId> = finding.subjects.iter().filter_map(|subject| subject.track).collect();
        let mut waiting = self.lock();
        if wait.is_zero() || followed.is_empty() || waiting.len() >= MOST {
            return None;
        }
        let retake = Arc::new(Retake::new(now + wait));
        waiting.push(Waiting {
            rule: finding.rule.clone(),
            episode: finding.episode,
            best: goodness(picture, tracks, &followed),
            tracks: followed,
            until: picture.at() + wait,
            retake: Arc::clone(&retake),
        });
        self.is_wanted.store(true, Ordering::Relaxed);
        Some(retake)
    }

    /// Holds a picture against the best so far of everything that waits.
    pub fn look(&self, picture: &Arc<Picture>, tracks: &[Track], people: &[Rect]) {
        if !self.is_wanted() {
            return;
        }
        let mut waiting = self.lock();
        waiting.retain_mut(|waiting| waiting.look(picture, tracks, people));
        self.is_wanted.store(!waiting.is_empty(), Ordering::Relaxed);
    }

    /// An episode is over: what there is of it is the best.
    pub fn ended(&self, rule: &Id, episode: u64) {
        let mut waiting = self.lock();
        waiting.retain(|waiting| {
            let is_over = waiting.episode == episode && waiting.rule == *rule;
            if is_over {
                waiting.retake.close();
            }
            !is_over
        });
        self.is_wanted.store(!waiting.is_empty(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Whether it waits on.
    fn look(&mut self, picture: &Arc<Picture>, tracks: &[Track], people: &[Rect]) -> bool {
        if picture.at() > self.until {
            self.retake.close();
            return false;
        }
        let goodness = goodness(picture, tracks, &self.tracks);
        if goodness > self.best * BETTER {
            self.best = goodness;
            let subjects = tracks.iter().filter(|track| self.tracks.contains(&track.id)).map(Subject::from).collect();
            let (picture, at) = (Arc::clone(picture), picture.at());
            self.retake.put(Take { picture, at, subjects, people: people.to_vec() });
        }
        true
    }
}

/// How good a picture is of the things that are followed there.
fn goodness(picture: &Picture, tracks: &[Track], followed: &[TrackId]) -> f32 {
    let pixels = picture.pixels();
    let of = |track: &Track| {
        let seen = if track.last_seen < picture.at() { 0.5 } else { 1.0 };
        let whole = if is_cut(&track.rect) { 0.5 } else { 1.0 };
        let size = track.rect.clamped().area().max(0.0).sqrt();
        track.score * size * sharpness(&pixels.luma, &track.rect) * seen * whole
    };
    tracks.iter().filter(|track| followed.contains(&track.id)).map(of).sum()
}

fn is_cut(rect: &Rect) -> bool {
    rect.x < EDGE || rect.y < EDGE || rect.right() > 1.0 - EDGE || rect.bottom() > 1.0 - EDGE
}

#[cfg(test)]
mod tests {
    use gstreamer_video as gst_video;
    use snowgate_core::rules::{Change, Tally};

    use super::*;

    const SIDE: usize = 128;
    const STILL_WAITS: Duration = Duration::from_secs(2);

    fn at(millis: u64) -> Mono {
        Mono(millis * 1_000_000)
    }

    /// A picture with detail everywhere, as strong as that.
    fn picture(millis: u64, detail: u8) -> Arc<Picture> {
        gstreamer::init().unwrap();
        let info =
            gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, SIDE as u32, SIDE as u32).build().unwrap();
        let luma = (0..SIDE * SIDE).map(|i| if (i + i / SIDE).is_multiple_of(2) { 20 } else { 20 + detail });
        let data: Vec<u8> = luma.chain(std::iter::repeat_n(128, SIDE * SIDE / 2)).collect();
        Arc::new(Picture::new(1, at(millis), at(millis), gstreamer::Buffer::from_slice(data), &info).unwrap())
    }

    fn track(number: u64, rect: Rect, seen: u64) -> Track {
        Track {
            id: TrackId(number),
            label: "person".into(),
            score: 0.8,
            rect,
            first_seen: at(0),
            first_rect: rect,
            last_seen: at(seen),
            sure_since: at(0),
            stationary_since: None,
            has_moved: true,
        }
    }

    const SMALL: Rect = Rect { x: 0.4, y: 0.4, width: 0.1, height: 0.2 };
    const LARGE: Rect = Rect { x: 0.3, y: 0.3, width: 0.3, height: 0.6 };

    fn began(episode: u64, tracks: &[Track]) -> Finding {
        Finding {
            rule: "yard".parse().unwrap(),
            episode,
            at: at(0),
            change: Change::Began,
            tally: Tally::new(at(0), at(0)),
            subjects: tracks.iter().map(Subject::from).collect(),
        }
    }

    /// What has begun with somebody small in a picture of little detail.
    fn begin(best: &BestPictures, episode: u64) -> Option<Arc<Retake<Arc<Picture>>>> {
        let tracks = [track(1, SMALL, 0)];
        best.begin(&began(episode, &tracks), STILL_WAITS, &picture(0, 20), &tracks, at(0))
    }

    #[test]
    fn a_small_and_a_blurred_picture_give_way_to_a_better_one() {
        let best = BestPictures::default();
        let retake = begin(&best, 1).unwrap();
        assert!(best.is_wanted());
        // Somebody else, however large, is no matter; and a little better is not worth it.
        best.look(&picture(200, 20), &[track(1, SMALL, 200), track(2, LARGE, 200)], &[]);
        best.look(&picture(400, 21), &[track(1, SMALL, 400)], &[]);
        best.look(&picture(600, 60), &[track(1, LARGE, 600)], &[LARGE]);
        // As sharp and large, but at the edge; predicted only; blurred.
        best.look(&picture(800, 60), &[track(1, Rect { x: 0.0, ..LARGE }, 800)], &[]);
        best.look(&picture(1000, 60), &[track(1, LARGE, 900)], &[]);
        best.look(&picture(1200, 5), &[track(1, LARGE, 1200)], &[]);
        assert!(!retake.is_due(at(1999)) && retake.is_due(at(2000)));
        let taken = retake.take().unwrap();
        assert_eq!((taken.at, taken.people, taken.subjects.len()), (at(600), vec![LARGE], 1));
        assert_eq!((taken.subjects[0].rect, taken.subjects[0].track), (LARGE, Some(TrackId(1))));
    }

    #[test]
    fn none_better_is_waited_for_once_it_is_over_or_late() {
        let best = BestPictures::default();
        let (first, second) = (begin(&best, 1).unwrap(), begin(&best, 2).unwrap());
        best.ended(&"yard".parse().unwrap(), 1);
        assert!(first.is_due(at(0)) && !second.is_due(at(0)));
        best.look(&picture(2001, 200), &[track(1, LARGE, 2001)], &[]);
        assert!(second.is_due(at(0)) && second.take().is_none(), "a picture that late is none of it");
        assert!(!best.is_wanted());
    }

    #[test]
    fn what_cannot_be_followed_or_is_too_much_takes_the_first_picture() {
        let best = BestPictures::default();
        let tracks = [track(1, SMALL, 0)];
        let unfollowed = Finding { subjects: Vec::new(), ..began(1, &tracks) };
        assert!(best.begin(&unfollowed, STILL_WAITS, &picture(0, 20), &tracks, at(0)).is_none());
        assert!(best.begin(&began(1, &tracks), Duration::ZERO, &picture(0, 20), &tracks, at(0)).is_none());
        let begun = (0..10).filter(|episode| begin(&best, *episode).is_some()).count();
        assert_eq!(begun, MOST);
    }
}
