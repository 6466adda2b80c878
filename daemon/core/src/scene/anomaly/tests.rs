//! Behaviour of learning and watching together, on rendered feature maps.

use std::time::Duration;

use proptest::prelude::*;

use super::{
    memory::{LEAST_PICTURES, MOST_BYTES_A_LIGHT, OtherScene},
    testing::{GRIDS, Scene, Thing, at, learnt, memory, origin},
    *,
};
use crate::{
    geometry::Rect,
    scene::Light,
    spec::{TimeSpan, read_table},
};

const LEARNT: usize = 150;
/// Six cells of 320.
const THING: Rect = Rect::new(0.5, 0.5, 0.1, 0.19);

fn spec(text: &str) -> AnomalySpec {
    read_table(&mut toml_span::parse(text).unwrap()).unwrap()
}

/// A camera that has learnt its scene and looks at it every five seconds.
struct Camera {
    scene: Scene,
    strangeness: Strangeness,
    scratch: Scratch,
    picture: usize,
}

impl Camera {
    fn new(seed: u64) -> Self {
        let mut scene = Scene::new(seed);
        let memory = learnt(&mut scene, LEARNT);
        let strangeness = Strangeness::new(&spec("learn_for = '1m'"), memory, &[]);
        Self { scene, strangeness, scratch: Scratch::default(), picture: LEARNT }
    }

    fn look(&mut self, light: Light) -> (Vec<Region>, Option<crate::time::Mono>) {
        let Self { scene, strangeness, scratch, picture } = self;
        let now = at(*picture * 5);
        let outlook = scene.picture(*picture, |features| {
            let outlook = strangeness.observe(light, features, &[], now, scratch).unwrap();
            (outlook.regions.to_vec(), outlook.whole_frame)
        });
        self.picture += 1;
        outlook
    }

    /// Looks for so long; the regions at the end, and the second at which the first was told.
    fn run(&mut self, seconds: usize) -> (Vec<Region>, Option<usize>) {
        let (mut last, mut first) = (Vec::new(), None);
        for _ in 0..seconds / 5 {
            let second = self.picture * 5;
            last = self.look(Light::Day).0;
            first = first.or((!last.is_empty()).then_some(second));
        }
        (last, first)
    }

    fn put(&mut self, rect: Rect, opacity: f32) {
        self.scene.things.push(Thing { rect, kind: 7, opacity });
    }
}

#[test]
fn walkers_are_not_told_and_what_is_left_behind_is() {
    for seed in 1..4 {
        let mut camera = Camera::new(seed);
        assert_eq!(camera.run(1800), (vec![], None), "seed {seed}: nothing but walkers");
        let put = camera.picture * 5;
        camera.put(THING, 1.0);
        let (regions, first) = camera.run(600);
        let [region] = regions[..] else { panic!("seed {seed}: {regions:?}") };
        assert!((110..=150).contains(&(first.unwrap() - put)), "seed {seed}: told at {first:?}, put at {put}");
        assert!(region.rect.iou(&THING) > 0.3 && region.score > 1.5, "seed {seed}: {region:?}");
        assert!(region.since >= at(put - 11) && region.since <= at(put + 20), "seed {seed}: since {:?}", region.since);
        let (later, _) = camera.run(600);
        assert_eq!((later[0].id, later[0].since), (region.id, region.since), "it is the same one");
        camera.scene.things.clear();
        assert_eq!(camera.run(300).0, vec![], "seed {seed}: it was taken away");
    }
}

/// In more noise than was learnt, and where it fills a third of the frame.
#[test]
fn a_thing_is_told_from_what_all_places_share() {
    for seed in 1..4 {
        let mut camera = Camera::new(seed);
        camera.scene.noise = 0.1;
        assert_eq!(camera.run(1200), (vec![], None), "seed {seed}");
        camera.put(THING, 1.0);
        assert_eq!(camera.run(300).0.len(), 1, "seed {seed}");
    }
    for rect in [Rect::new(0.1, 0.2, 0.6, 0.55), Rect::new(0.0, 0.0, 1.0, 0.35)] {
        let mut camera = Camera::new(4);
        camera.put(rect, 1.0);
        let regions = camera.run(300).0;
        assert!(regions.len() == 1 && regions[0].rect.iou(&rect) > 0.6, "{rect:?}: {regions:?}");
    }
}

#[test]
fn a_thing_that_stays_is_never_learnt() {
    // Walkers hide parts of it now and then: the most of ten minutes is compared.
    fn hottest(camera: &mut Camera) -> (u64, f32) {
        let regions = (0..120).map(|_| camera.look(Light::Day).0[0]);
        regions.fold((0, 0.0), |(_, score), region| (region.id, region.score.max(score)))
    }
    let mut camera = Camera::new(5);
    camera.put(THING, 1.0);
    camera.run(300);
    let first = hottest(&mut camera);
    camera.run(6 * 3600);
    let later = hottest(&mut camera);
    assert_eq!(later.0, first.0);
    assert!(later.1 > 0.9 * first.1, "{first:?} {later:?}");
}

#[test]
fn what_is_accepted_is_learnt_and_told_no_more() {
    let mut camera = Camera::new(6);
    camera.put(THING, 1.0);
    let (regions, _) = camera.run(300);
    assert!(!camera.strangeness.accept(regions[0].id + 1), "there is no such region");
    assert!(camera.strangeness.accept(regions[0].id));
    assert_eq!(camera.strangeness.outlook().regions, []);
    assert_eq!(camera.run(1800), (vec![], None));
    let heat = camera.scratch.heat();
    assert!(heat.values.iter().filter(|heat| **heat > 1.0).count() < 20, "only walkers are strange");
    camera.put(Rect::new(0.1, 0.75, 0.1, 0.19), 1.0);
    assert_eq!(camera.run(300).0.len(), 1, "another thing is told as before");
}

#[test]
fn slow_change_is_followed() {
    // Over nine hours each place turns by more than what is strange at once.
    let (mut camera, mut still) = (Camera::new(8), Watch::new(&spec("")));
    let memory = camera.strangeness.memory().clone();
    let mut told = 0;
    let mut scratch = Scratch::default();
    for step in 0..9 * 720 {
        camera.scene.turned = 0.45 * step as f32 / (9.0 * 720.0);
        assert_eq!(camera.look(Light::Day), (vec![], None), "after {} s", step * 5);
        let picture = camera.picture - 1;
        let heat =
            |features: Features<'_>| memory.score(Light::Day, features, &[], &mut scratch).unwrap().unwrap().clone();
        let heat = camera.scene.picture(picture, heat);
        let outlook = still.observe(&heat, &[], at(picture * 5));
        told += usize::from(!outlook.regions.is_empty() || outlook.whole_frame.is_some());
    }
    assert!(told > 100, "without following it is told: {told}");
}

#[test]
fn who_creeps_in_within_an_hour_is_told() {
    let mut camera = Camera::new(9);
    camera.put(THING, 0.0);
    let mut told = false;
    for step in 0..720 {
        camera.scene.things[0].opacity = step as f32 / 720.0;
        told |= !camera.look(Light::Day).0.is_empty();
    }
    assert!(told);
}

#[test]
fn a_change_of_the_whole_picture_is_told_as_such_and_not_learnt() {
    let mut camera = Camera::new(10);
    camera.run(300);
    let began = at(camera.picture * 5);
    camera.scene.other = true;
    let mut last = (Vec::new(), None);
    for _ in 0..720 {
        last = camera.look(Light::Day);
        assert_eq!(last.0, vec![]);
    }
    assert_eq!(last.1, Some(began));
    camera.scene.other = false;
    assert_eq!(camera.look(Light::Day), (vec![], None), "it is over at once");
    assert_eq!(camera.run(1200), (vec![], None));
    camera.scene.other = true;
    assert!(camera.strangeness.memory().progress(Light::Day).is_known);
    (0..3).for_each(|_| last = camera.look(Light::Day));
    assert!(last.1.is_some(), "an hour of it has taught nothing");
}

#[test]
fn each_light_is_learnt_for_itself_and_not_with_a_thing_in_it() {
    let mut camera = Camera::new(11);
    assert!(!camera.strangeness.watches(Light::Infrared));
    camera.put(THING, 1.0);
    let (by_day, _) = camera.run(300);
    for _ in 0..LEAST_PICTURES {
        assert_eq!(camera.look(Light::Infrared).0, by_day, "what was told stays told while a light is learnt");
    }
    for _ in 0..LEARNT {
        assert_eq!(camera.look(Light::Infrared).0[0].id, by_day[0].id, "and where its place was never seen");
    }
    let progress = camera.strangeness.memory().progress(Light::Infrared);
    assert!(camera.strangeness.watches(Light::Infrared) && progress.unseen > 0.0, "{progress:?}");
    let memory = camera.strangeness.memory();
    assert_eq!(memory.progress(Light::Dark).pictures, 0);
    let mut scratch = Scratch::default();
    let dark =
        camera.scene.picture(1, |features| memory.score(Light::Dark, features, &[], &mut scratch).unwrap().is_none());
    assert!(dark);
}

#[test]
fn a_light_is_known_after_enough_pictures() {
    let mut scene = Scene::new(12);
    let pictures = LEAST_PICTURES as usize;
    let mut memory = learnt(&mut scene, pictures - 1);
    let mut scratch = Scratch::default();
    assert!(scene.picture(1, |f| memory.score(Light::Day, f, &[], &mut scratch).unwrap().is_none()));
    scene.picture(pictures, |f| memory.take(Light::Day, f, &[], at(pictures * 5), &mut scratch)).unwrap();
    let progress = memory.progress(Light::Day);
    assert!(progress.is_known && progress.unseen == 0.0);
    assert_eq!(progress.spanned, Duration::from_secs(5 * LEAST_PICTURES as u64), "{progress:?}");
    scene.picture(1, |f| memory.take(Light::Day, f, &[], at(90_000), &mut scratch)).unwrap();
    assert_eq!(memory.progress(Light::Day).spanned, progress.spanned, "a pause is no learning");
    assert!(scene.picture(1, |f| memory.score(Light::Day, f, &[], &mut scratch).unwrap().is_some()));
    assert_eq!(memory.progress(Light::Dark), Progress { unseen: 1.0, ..Progress::default() });
}

#[test]
fn tracks_and_masks_neither_teach_nor_tell() {
    // What is in the boxes differs between the two scenes; what is learnt does not.
    let masked = Rect::new(0.7, 0.0, 0.3, 0.3);
    let memories = [7, 8].map(|kind| {
        let (mut scene, mut memory, mut scratch) = (Scene::new(13), memory(), Scratch::default());
        scene.things = vec![Thing { rect: masked, kind, opacity: 1.0 }];
        for picture in 0..LEARNT {
            let excluded = [masked, Rect::new(f32::NAN, 0.0, 1.0, f32::INFINITY)];
            scene.picture(picture, |f| memory.take(Light::Day, f, &excluded, at(picture), &mut scratch)).unwrap();
        }
        memory
    });
    let files = memories.each_ref().map(|memory| memory.to_bytes(jiff::Timestamp::UNIX_EPOCH).unwrap());
    assert!(files[0] == files[1]);
    assert!(memories[0].progress(Light::Day).unseen > 0.05);
    let (mut scene, mut scratch) = (Scene::new(13), Scratch::default());
    let heat = scene.picture(1, |f| memories[0].score(Light::Day, f, &[], &mut scratch).unwrap().unwrap().clone());
    let never_free = heat.values[heat.columns * 2 + 17];
    assert_eq!(never_free, Heat::UNKNOWN, "a place that was never free says so");
    assert!(heat.values.iter().all(|heat| heat.is_finite()));
    // A thing that a track covers is not told.
    let mut watch = Watch::new(&spec(""));
    scene.things = vec![Thing { rect: THING, kind: 7, opacity: 1.0 }];
    for picture in 0..200 {
        let heat = scene
            .picture(picture, |f| memories[1].score(Light::Day, f, &[THING], &mut scratch).unwrap().unwrap().clone());
        assert_eq!(watch.observe(&heat, &[], at(picture * 5)).regions, []);
    }
}

#[test]
fn features_that_do_not_fit_are_refused() {
    let (mut scene, mut scratch) = (Scene::new(14), Scratch::default());
    let mut memory = learnt(&mut scene, LEARNT);
    let Grid { channels, rows, columns } = GRIDS[0];
    let values = vec![0.5; channels * rows * columns];
    let map = FeatureMap { channels, rows, columns, values: &values };
    let coarse = vec![f32::NAN; 24 * 80];
    let second = FeatureMap { channels: 24, rows: 8, columns: 10, values: &coarse };
    let mut take = |maps: &[FeatureMap<'_>]| memory.take(Light::Day, Features(maps), &[], at(0), &mut scratch);
    assert_eq!(take(&[map]), Err(Unfit::Maps(1)));
    assert_eq!(
        take(&[map, FeatureMap { values: &coarse[1..], ..second }]),
        Err(Unfit::Values { grid: GRIDS[1], found: 1919 })
    );
    assert!(matches!(take(&[map, FeatureMap { rows: 10, columns: 8, ..second }]), Err(Unfit::Other { .. })));
    assert_eq!(take(&[map, second]), Ok(()), "what is no number is not looked at");
    for (grids, what) in [
        (vec![], "0 feature maps"),
        (vec![GRIDS[1], GRIDS[0]], "behind a coarser one"),
        (vec![Grid { channels: 0, ..GRIDS[0] }], "0x16x20"),
        (vec![Grid { channels: 512, rows: 256, columns: 256 }], "too much memory"),
    ] {
        let error = Shape::new(&grids).map_or_else(|error| error.to_string(), |_| String::new());
        assert!(error.contains(what) || what == "too much memory" && error.contains("bytes a light"), "{error}");
    }
}

#[test]
fn memory_keeps_its_promise() {
    let real = [Grid { channels: 40, rows: 32, columns: 40 }, Grid { channels: 112, rows: 16, columns: 20 }];
    let shape = Shape::new(&real).unwrap();
    let bytes = memory::bytes_a_light(shape.grids(), memory::prototypes(&shape));
    assert!(bytes <= MOST_BYTES_A_LIGHT && memory::prototypes(&shape) == 16, "{bytes}");
    assert!(3 * bytes < 6_000_000);
    assert_eq!(memory().bytes(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Stored after any picture and read back, it goes on as if it had not been.
    #[test]
    fn what_is_read_back_goes_on_the_same(seed in 0u64..1000, cut in 0usize..90, light in 0usize..3) {
        let light = Light::ALL[light];
        let mut scene = Scene::new(seed);
        let (mut whole, mut scratch) = (memory(), Scratch::default());
        let mut parted = whole.clone();
        for picture in 0..90 {
            if picture == cut {
                let stored = parted.to_bytes(jiff::Timestamp::UNIX_EPOCH).unwrap();
                parted = Memory::from_bytes(&stored, &origin(), whole.shape()).unwrap();
            }
            let now = at(picture * 5);
            scene.picture(picture, |features| {
                whole.take(light, features, &[], now, &mut scratch).unwrap();
                parted.take(light, features, &[], now, &mut scratch).unwrap();
            });
        }
        prop_assert_eq!(whole.progress(light).pictures, parted.progress(light).pictures);
        let lost = whole.progress(light).spanned.saturating_sub(parted.progress(light).spanned);
        prop_assert!(lost <= Duration::from_secs(5), "only the step over the pause is not counted");
        let learnt = |memory: &Memory| memory.lights[light.index()].clone().unwrap().levels;
        prop_assert!(learnt(&whole) == learnt(&parted));
    }
}

#[test]
fn defaults_are_read() {
    let spec = spec("");
    assert_eq!(spec.r#for, TimeSpan::secs(120));
    let errors = |text: &str| read_table::<AnomalySpec>(&mut toml_span::parse(text).unwrap()).is_err();
    assert!(errors("sensitivity = 0") && errors("whole_frame = 2") && errors("for = -1"));
}

#[test]
fn lights_that_were_not_learnt_anew_are_taken_over_and_others_stay() {
    let mut scene = Scene::new(9);
    let before = {
        let mut memory = learnt(&mut scene, LEARNT);
        let mut scratch = Scratch::default();
        for picture in 0..7 {
            let take =
                |features: Features<'_>| memory.take(Light::Infrared, features, &[], at(picture * 5), &mut scratch);
            scene.picture(picture, take).unwrap();
        }
        memory
    };
    let mut anew = learnt(&mut scene, LEARNT + 10);
    anew.take_over(&before).unwrap();
    assert_eq!(anew.progress(Light::Day).pictures as usize, LEARNT + 10, "what was learnt anew stays");
    assert_eq!(anew.progress(Light::Infrared), before.progress(Light::Infrared));
    assert_eq!(anew.progress(Light::Dark).pictures, 0);
    let elsewhere = Memory::new(Origin { view: "another".to_owned(), ..origin() }, anew.shape().clone());
    assert_eq!(anew.take_over(&elsewhere), Err(OtherScene));
}
