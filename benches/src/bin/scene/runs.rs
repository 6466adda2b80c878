//! Runs of pictures, and what came of them.

use std::{error::Error, time::Duration};

use serde::Serialize;
use snowgate_core::{geometry::Rect, scene::Condition};

use crate::{
    camera::{Camera, Props, Scenery, Taking},
    features::Backbone,
    film,
    frame::Frame,
    happening::{GROWS_FOR, Painted},
    material::{Amount, Episode, QUANTISER, View},
    rendered::Lit,
    watcher::{Knowledge, Said, Scores, Watcher},
};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Pictures that are coded at a time.
const BATCH: usize = 40;

/// Seconds between pictures that are learnt from, and those that are judged.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// While learning.
    pub learning: Duration,
    /// While judging.
    pub judging: Duration,
}

/// What is needed of a view for any run.
#[derive(Debug)]
pub struct Stage<'a> {
    /// Which view.
    pub view: View,
    /// What it looks at.
    pub scenery: &'a Scenery,
    /// Props.
    pub props: &'a Props,
    /// How often.
    pub pace: Pace,
    /// How much.
    pub amount: Amount,
    /// Of everything.
    pub seed: u64,
}

/// What was said over a run of pictures that nothing may be told of.
#[derive(Debug, Serialize)]
pub struct NegativeRun {
    /// Of which view.
    pub view: &'static str,
    /// In which light.
    #[serde(skip)]
    pub lit: Lit,
    /// What was in it.
    pub name: &'static str,
    /// Whether coder, noise and light are as they were learnt.
    pub is_ordinary: bool,
    /// Seconds.
    pub seconds: f64,
    /// Conditions that were told, each time.
    pub conditions: Vec<Condition>,
    /// Strange things that Snowgate told of.
    pub regions: usize,
    /// Pictures at which it said that all of the picture is strange.
    pub whole_frame: usize,
    /// Scores of each picture.
    #[serde(skip)]
    pub scores: Vec<Scores>,
}

/// What was said in an episode.
#[derive(Debug)]
pub struct EpisodeRun {
    /// Which.
    pub episode: Episode,
    /// Seconds after its beginning at which one of the conditions it should cause was told.
    pub condition: Option<f64>,
    /// The first condition told.
    pub told: Option<Condition>,
    /// Seconds after its beginning at which a region was told that lies on it.
    pub region: Option<f64>,
    /// Regions told that do not lie on it.
    pub elsewhere: usize,
    /// Scores of the pictures from its beginning on.
    pub scores: Vec<Scores>,
    /// How many of these show a thing that has not reached its size.
    pub growing: usize,
}

/// A camera learns its scene in all of its lights.
///
/// # Errors
/// When coding or the backbone fails.
pub fn learn(stage: &Stage<'_>, backbone: &mut Backbone) -> Outcome<Knowledge> {
    let mut knowledge = Knowledge::none(stage.pace.judging);
    for lit in stage.view.lights() {
        let mut watcher = Watcher::new(&knowledge, stage.pace.learning);
        let mut camera = Camera::new(stage.scenery, stage.props, stage.pace.learning, 0.0, stage.seed);
        let pictures = if *lit == Lit::Day { stage.amount.learnt.0 } else { stage.amount.learnt.1 };
        let taking = Taking::ordinary(*lit, false);
        let mut seen = 0;
        in_batches(
            pictures,
            QUANTISER,
            || camera.take(&taking, None).0,
            |frame| {
                seen += 1;
                watcher.learn(frame, backbone, 2 * seen > pictures)
            },
        )?;
        knowledge = watcher.into_knowledge();
    }
    Ok(knowledge)
}

/// Everything that nothing may be told of.
///
/// # Errors
/// When coding or the backbone fails.
pub fn negatives(stage: &Stage<'_>, knowledge: &Knowledge, backbone: &mut Backbone) -> Outcome<Vec<NegativeRun>> {
    let mut runs = Vec::new();
    for lit in stage.view.lights() {
        let mut watcher = Watcher::new(knowledge, stage.pace.judging);
        // The day goes on where learning ended.
        let seconds = stage.pace.learning.as_secs_f32() * stage.amount.learnt.0 as f32;
        let mut camera = Camera::new(stage.scenery, stage.props, stage.pace.judging, seconds, stage.seed ^ 0x5EED);
        for negative in stage.amount.negatives(stage.view, *lit) {
            let mut run = NegativeRun {
                view: stage.view.name(),
                lit: *lit,
                name: negative.name,
                is_ordinary: negative.taking == Taking::ordinary(*lit, true) && negative.quantiser == QUANTISER,
                seconds: negative.pictures as f64 * stage.pace.judging.as_secs_f64(),
                conditions: Vec::new(),
                regions: 0,
                whole_frame: 0,
                scores: Vec::new(),
            };
            let mut before: Option<Said> = None;
            in_batches(
                negative.pictures,
                negative.quantiser,
                || camera.take(&negative.taking, None).0,
                |frame| {
                    let said = watcher.see(frame, Some(backbone))?;
                    let held = |condition| before.as_ref().is_some_and(|said| said.health.since(condition).is_some());
                    run.conditions
                        .extend(said.health.holding().map(|(condition, _)| condition).filter(|it| !held(*it)));
                    run.regions +=
                        said.regions.len().saturating_sub(before.as_ref().map_or(0, |said| said.regions.len()));
                    run.whole_frame += usize::from(said.whole_frame);
                    run.scores.extend(said.scores);
                    before = Some(said);
                    Ok(())
                },
            )?;
            runs.push(run);
        }
    }
    Ok(runs)
}

/// One episode.
///
/// # Errors
/// When coding or the backbone fails.
pub fn episode(
    stage: &Stage<'_>,
    knowledge: &Knowledge,
    episode: &Episode,
    backbone: &mut Backbone,
) -> Outcome<EpisodeRun> {
    let happening = &episode.happening;
    let every = stage.pace.judging.as_secs_f32();
    let in_scene = happening.kind.is_in_scene();
    let mut watcher = Watcher::new(knowledge, stage.pace.judging);
    let learnt = stage.pace.learning.as_secs_f32() * stage.amount.learnt.0 as f32;
    let start = learnt + (happening.seed >> 20) as f32 * 37.0 % 1200.0;
    let mut camera = Camera::new(stage.scenery, stage.props, stage.pace.judging, start, happening.seed);
    let painted = Painted::new(happening.clone(), &stage.props.people);
    let taking = Taking::ordinary(episode.lit, true);
    let count = Episode::BEFORE + episode.pictures(&stage.amount, every);
    let mut run = EpisodeRun {
        episode: episode.clone(),
        condition: None,
        told: None,
        region: None,
        elsewhere: 0,
        scores: Vec::new(),
        growing: if happening.kind.grows() { (GROWS_FOR / every).ceil() as usize } else { 0 },
    };
    let (mut taken, mut seen, mut place) = (0, 0, None);
    let mut take = || {
        taken += 1;
        let seconds = (taken as f32 - 1.0 - Episode::BEFORE as f32) * every;
        let (frame, rect) = camera.take(&taking, (seconds >= 0.0).then_some((&painted, seconds)));
        place = rect.or(place);
        frame
    };
    // The box is that of the last picture: what grows has its full size there.
    let frames: Vec<Frame> = (0..count).map(|_| take()).collect();
    for frame in film::recode(&frames, QUANTISER)? {
        seen += 1;
        let said = watcher.see(&frame, in_scene.then_some(&mut *backbone))?;
        let Some(seconds) = (seen as f64 - 1.0 - Episode::BEFORE as f64 >= 0.0)
            .then(|| (seen - 1 - Episode::BEFORE) as f64 * stage.pace.judging.as_secs_f64())
        else {
            run.elsewhere += said.regions.len();
            continue;
        };
        run.told = run.told.or(said.health.leading());
        let is_right = |condition: &Condition| said.health.since(*condition).is_some();
        if run.condition.is_none() && happening.kind.conditions().iter().any(is_right) {
            run.condition = Some(seconds);
        }
        let on_it = |region: &&(u64, Rect, f32)| place.is_some_and(|place| region.1.intersection(&place).area() > 0.0);
        let held = said.regions.iter().filter(on_it).map(|region| region.2).fold(0.0, f32::max);
        if run.region.is_none() && held > 0.0 {
            run.region = Some(seconds);
        }
        run.elsewhere = run.elsewhere.max(said.regions.iter().filter(|region| !on_it(region)).count());
        run.scores.extend(said.scores.map(|mut scores| {
            scores[0].held = held;
            // What a plain detector finds counts where it is the thing.
            for score in &mut scores[1..] {
                let is_elsewhere = score.place.zip(place).is_some_and(|(a, b)| a.intersection(&b).area() <= 0.0);
                score.held = if is_elsewhere { 0.0 } else { score.held };
            }
            scores
        }));
    }
    Ok(run)
}

/// Takes, codes and shows pictures.
fn in_batches(
    count: usize,
    quantiser: u32,
    mut take: impl FnMut() -> Frame,
    mut show: impl FnMut(&Frame) -> Outcome<()>,
) -> Outcome<()> {
    let mut left = count;
    while left > 0 {
        let frames: Vec<Frame> = (0..left.min(BATCH)).map(|_| take()).collect();
        left -= frames.len();
        film::recode(&frames, quantiser)?.iter().try_for_each(&mut show)?;
    }
    Ok(())
}
