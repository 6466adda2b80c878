//! Explanations as a story: a line where what is said of a thing changes in kind, and one when the thing has gone.

use std::fmt;

use serde::{Serialize, Serializer};

use super::{Explanation, Verdict};
use crate::time::Mono;

/// Follows what rules say from picture to picture, and tells somebody what is new in it.
///
/// A thing that is hidden for a moment is no news: what was said of it before stands. What is kept is one entry for a rule and a
/// thing that is followed.
pub struct Explainer {
    tell: Box<dyn FnMut(&Line) + Send>,
    stories: Vec<Story>,
    /// What was said in the last picture; kept for its memory.
    said: Vec<Explanation>,
}

/// What a rule has said of one thing.
struct Story {
    last: Explanation,
    nearest: Verdict,
    from: Mono,
    until: Mono,
}

/// One line of the story.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum Line {
    /// What is said of a thing has changed in kind.
    Now {
        /// When, in the pictures' time, in seconds.
        #[serde(rename = "at_s", serialize_with = "seconds")]
        at: Mono,
        /// What is said now.
        #[serde(flatten)]
        explanation: Explanation,
    },
    /// A thing is no longer followed.
    Summary {
        /// When it was first followed, in the pictures' time, in seconds.
        #[serde(rename = "from_s", serialize_with = "seconds")]
        from: Mono,
        /// When it was last followed.
        #[serde(rename = "until_s", serialize_with = "seconds")]
        until: Mono,
        /// How near it came to being told of.
        #[serde(flatten)]
        nearest: Explanation,
    },
}

impl Explainer {
    /// Tells each line to `tell`.
    pub fn new(tell: impl FnMut(&Line) + Send + 'static) -> Self {
        Self { tell: Box::new(tell), stories: Vec::new(), said: Vec::new() }
    }

    /// Takes in what `explain` says of a picture of this time. What it says nothing of any more has gone.
    pub fn take(&mut self, at: Mono, explain: impl FnOnce(&mut Vec<Explanation>)) {
        let mut said = std::mem::take(&mut self.said);
        said.clear();
        explain(&mut said);
        self.end(|story| said.iter().any(|explanation| story.is_of(explanation)));
        for explanation in said.drain(..) {
            self.hear(at, explanation);
        }
        self.said = said;
    }

    /// No more pictures come: all things have gone.
    pub fn finish(&mut self) {
        self.end(|_| false);
    }

    fn hear(&mut self, at: Mono, explanation: Explanation) {
        let story = self.stories.iter_mut().find(|story| story.is_of(&explanation));
        let is_news = story.as_ref().is_none_or(|story| explanation.verdict.is_news_after(&story.last.verdict));
        if is_news {
            (self.tell)(&Line::Now { at, explanation: explanation.clone() });
        }
        match story {
            Some(story) => story.go_on(at, explanation),
            None => {
                let nearest = explanation.verdict.clone();
                self.stories.push(Story { last: explanation, nearest, from: at, until: at });
            }
        }
    }

    /// Sums up the stories that do not go on.
    fn end(&mut self, goes_on: impl Fn(&Story) -> bool) {
        let Self { tell, stories, .. } = self;
        stories.retain(|story| {
            let goes_on = goes_on(story);
            if !goes_on {
                tell(&story.summary());
            }
            goes_on
        });
    }
}

impl fmt::Debug for Explainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explainer").field("stories", &self.stories.len()).finish_non_exhaustive()
    }
}

impl Story {
    fn is_of(&self, explanation: &Explanation) -> bool {
        self.last.about == explanation.about && self.last.rule == explanation.rule
    }

    fn go_on(&mut self, at: Mono, explanation: Explanation) {
        self.until = at;
        if explanation.verdict.nearness() > self.nearest.nearness() {
            self.nearest = explanation.verdict.clone();
        }
        if explanation.verdict != Verdict::Hidden {
            self.last = explanation;
        }
    }

    fn summary(&self) -> Line {
        let nearest = Explanation { verdict: self.nearest.clone(), ..self.last.clone() };
        Line::Summary { from: self.from, until: self.until, nearest }
    }
}

impl Verdict {
    /// Whether it says something else than what was said before, numbers aside.
    fn is_news_after(&self, before: &Self) -> bool {
        match (before, self) {
            (_, Self::Hidden) => false,
            (Self::Fired { episode: before }, Self::Told { episode, .. }) => before != episode,
            (Self::Fired { episode: before } | Self::Told { episode: before, .. }, Self::Fired { episode }) => {
                before != episode
            }
            (before, now) => std::mem::discriminant(before) != std::mem::discriminant(now),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now { at, explanation } => {
                write!(
                    f,
                    "{:.1} s: {}: rule {}: {}",
                    in_seconds(*at),
                    Named(explanation),
                    explanation.rule,
                    explanation.verdict
                )
            }
            Self::Summary { from, until, nearest } => {
                let (from, until) = (in_seconds(*from), in_seconds(*until));
                write!(f, "{} {from:.1}–{until:.1} s: rule {}: ", Named(nearest), nearest.rule)?;
                match &nearest.verdict {
                    Verdict::Fired { episode } | Verdict::Told { episode, .. } => {
                        write!(f, "told of in episode {episode}")
                    }
                    nearest => write!(f, "never: at the nearest {nearest}"),
                }
            }
        }
    }
}

/// What an explanation is about, with what kind of thing that is.
struct Named<'a>(&'a Explanation);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Explanation { about, label, .. } = self.0;
        write!(f, "{about}")?;
        label.iter().try_for_each(|label| write!(f, " {label}"))
    }
}

fn in_seconds(at: Mono) -> f64 {
    at.since(Mono(0)).as_secs_f64()
}

/// In seconds, to a millisecond.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn seconds<S: Serializer>(at: &Mono, serializer: S) -> Result<S::Ok, S::Error> {
    super::seconds(&at.since(Mono(0)), serializer)
}
