//! A camera that looks at a film or at a rendered place, picture after picture.

use std::time::Duration;

use snowgate_core::geometry::Rect;

use crate::{
    frame::Frame,
    happening::{Kind, Painted, Surroundings},
    random::{Gaussian, Random},
    rendered::{Lit, Moment, World},
    stamp::Stamp,
    walkers::Walkers,
};

/// The part of the film's picture that the camera shows, so that it can be turned; all even.
const FILM: (usize, usize) = (640, 480);

/// What a camera looks at.
#[derive(Debug)]
pub enum Scenery {
    /// A real fixed camera's pictures, ten a second: the first half to learn from, the second to be judged.
    Film(Vec<Frame>),
    /// A rendered place.
    Rendered(World),
}

/// What the material has in common.
#[derive(Debug)]
pub struct Props {
    /// People, cut out of the film.
    pub people: Vec<Stamp>,
    /// Noise.
    pub gaussian: Gaussian,
}

/// How a run of pictures is taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Taking {
    /// Which light; a film has its own.
    pub lit: Lit,
    /// How far the light goes up and down, 0 to 1; a film's light is multiplied.
    pub drift: f32,
    /// Deviation of the noise that is added; a film has noise of its own.
    pub noise: f32,
    /// Whether a film's second half is shown.
    pub judged: bool,
}

impl Taking {
    /// Ordinary pictures in a light.
    pub fn ordinary(lit: Lit, judged: bool) -> Self {
        Self { lit, drift: 0.0, noise: 0.0, judged }
    }
}

/// A camera.
#[derive(Debug)]
pub struct Camera<'a> {
    scenery: &'a Scenery,
    props: &'a Props,
    every: Duration,
    walkers: Walkers<'a>,
    random: Random,
    /// Of the scene: the sun moves by it.
    seconds: f32,
    taken: usize,
    frozen: Option<Frame>,
}

impl<'a> Camera<'a> {
    /// One whose scene has existed for so many seconds.
    pub fn new(scenery: &'a Scenery, props: &'a Props, every: Duration, seconds: f32, seed: u64) -> Self {
        let walkers = Walkers::new(&props.people, Random::new(seed, 1));
        let taken = Random::new(seed, 3).below(1 << 12);
        Self { scenery, props, every, walkers, random: Random::new(seed, 2), seconds, taken, frozen: None }
    }

    /// Takes the next picture. What happens is painted as it is so many seconds after its beginning; the box is its place.
    pub fn take(&mut self, taking: &Taking, happens: Option<(&Painted, f32)>) -> (Frame, Option<Rect>) {
        let passed = self.every.as_secs_f32();
        self.seconds += passed;
        self.taken += 1;
        self.walkers.pass(passed);
        let with_camera = happens.map(|(painted, _)| painted.happening()).filter(|it| !it.kind.is_in_scene());
        let amount =
            |kind: Kind| with_camera.filter(|happening| happening.kind == kind).map(|happening| happening.size);
        let shift =
            amount(Kind::Shift).map_or((0.0, 0.0), |share| direction(share, with_camera.map_or(0, |it| it.seed)));
        let drift = self.drift(taking);
        let (mut frame, light) = match self.scenery {
            Scenery::Film(film) => self.film(film, taking, shift),
            Scenery::Rendered(world) => self.rendered(world, taking, shift, drift),
        };
        let mut rect = None;
        if let Some((painted, seconds)) = happens.filter(|(painted, _)| painted.happening().kind.is_in_scene()) {
            rect = Some(painted.paint(&mut frame, seconds, light, &mut self.random));
        }
        if matches!(self.scenery, Scenery::Rendered(_)) {
            self.walkers.paint(&mut frame, light.gain, light.colour);
        } else {
            frame.expose(drift);
        }
        if let Some(radius) = amount(Kind::Defocus) {
            frame.blur((radius * frame.width as f32).round() as usize);
        }
        if let Some(left) = amount(Kind::Dimming) {
            frame.expose(left);
        }
        if let Some(share) = amount(Kind::Covering) {
            // What is held there has the light of the scene.
            frame.cover(share, (16.0 + 44.0 * light.gain) as u8);
        }
        frame.noise(self.noise(taking), &self.props.gaussian, &mut self.random);
        if amount(Kind::Freezing).is_some() {
            return (self.frozen.get_or_insert(frame).clone(), rect);
        }
        (frame, rect)
    }

    /// A rendered picture has a sensor's noise, more in the dark. A film has its own; all of its pictures get a little more,
    /// because what is put into some of them has none.
    fn noise(&self, taking: &Taking) -> f32 {
        let own = match (self.scenery, taking.lit) {
            (Scenery::Film(_), _) => 1.0,
            (Scenery::Rendered(_), Lit::Day) => 2.0,
            (Scenery::Rendered(_), Lit::Dark) => 4.0,
            (Scenery::Rendered(_), Lit::Infrared) => 3.0,
        };
        own + taking.noise
    }

    /// The strength of the light: clouds and the hour, and what is asked for on top.
    fn drift(&self, taking: &Taking) -> f32 {
        let wave = |period: f32| (self.seconds / period * std::f32::consts::TAU).sin();
        let asked = taking.drift * (0.35 * wave(530.0) + 0.1 * wave(71.0));
        let own = match self.scenery {
            Scenery::Film(_) => 0.0,
            Scenery::Rendered(_) => 0.05 * wave(1900.0) + 0.03 * wave(97.0),
        };
        1.0 + own + asked
    }

    /// The next of the film's pictures. Half of it is gone through again and again at this camera's interval, each time
    /// beginning a tenth of a second later.
    fn film(&self, film: &[Frame], taking: &Taking, shift: (f32, f32)) -> (Frame, Surroundings) {
        let half = film.len() / 2;
        let step = ((self.every.as_secs_f32() * 10.0) as usize).clamp(1, half);
        let round = half.div_ceil(step);
        let at = (self.taken % round * step + self.taken / round) % half;
        let frame = &film[if taking.judged { half + at } else { at }];
        // Turned to the right and up only: there is no more of the picture elsewhere.
        let corner = |most: usize, share: f32, size: usize| ((share.abs() * size as f32) as usize).min(most) & !1;
        let left = corner(frame.width - FILM.0, shift.0, FILM.0);
        let top = (frame.height - FILM.1) - corner(frame.height - FILM.1, shift.1, FILM.1);
        (frame.crop((left, top & !1), FILM), Surroundings { gain: 1.0, colour: 1.0 })
    }

    fn rendered(&mut self, world: &World, taking: &Taking, shift: (f32, f32), gain: f32) -> (Frame, Surroundings) {
        // A mast sways: now and then by a sample.
        let sway = |random: &mut Random| if random.unit() < 0.1 { 1.0 / 640.0 } else { 0.0 };
        let moment = Moment {
            lit: taking.lit,
            gain,
            // Two hours from one side to the other.
            shadow: 0.1 + (self.seconds / 7200.0 + 0.1 * taking.drift) % 0.9,
            wind: 1.0 + 2.0 * (self.seconds / 240.0).sin().powi(2),
            shift: (shift.0 + sway(&mut self.random), shift.1 + sway(&mut self.random)),
        };
        let frame = world.take(&moment, &mut self.random);
        let surroundings = match taking.lit {
            Lit::Day => Surroundings { gain: 0.92 * gain, colour: 1.0 },
            Lit::Dark => Surroundings { gain: 0.35 * gain, colour: 0.4 },
            Lit::Infrared => Surroundings { gain: 0.7 * gain, colour: 0.0 },
        };
        (frame, surroundings)
    }
}

/// A camera is turned to one side, upwards or downwards, or both.
fn direction(share: f32, seed: u64) -> (f32, f32) {
    match seed % 4 {
        0 => (share, 0.0),
        1 => (-share, 0.0),
        2 => (0.0, share),
        _ => (-0.8 * share, 0.8 * share),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{happening::Happening, rendered::Place, stamp::Drawn};

    const EVERY: Duration = Duration::from_secs(5);

    fn stage() -> (Scenery, Props) {
        let people = vec![Drawn::Bag.draw(&mut Random::new(1, 1))];
        (Scenery::Rendered(World::new(Place::Yard, 6)), Props { people, gaussian: Gaussian::new(6) })
    }

    fn happening(kind: Kind, size: f32, contrast: f32) -> Painted {
        Painted::new(Happening { kind, size, contrast, at: (0.5, 0.7), seed: 8 }, &[])
    }

    /// The share of luma samples by which two pictures differ more than noise does.
    fn differs(a: &Frame, b: &Frame) -> f32 {
        let pairs = a.planes[0].iter().zip(&b.planes[0]);
        pairs.filter(|(a, b)| a.abs_diff(**b) > 20).count() as f32 / a.planes[0].len() as f32
    }

    fn pair(kind: Kind, size: f32, contrast: f32) -> (Frame, Frame) {
        let (scenery, props) = stage();
        let painted = happening(kind, size, contrast);
        let take =
            |happens| Camera::new(&scenery, &props, EVERY, 100.0, 9).take(&Taking::ordinary(Lit::Day, true), happens).0;
        (take(None), take(Some((&painted, 90.0))))
    }

    #[test]
    fn the_same_seed_gives_the_same_pictures() {
        let (scenery, props) = stage();
        let take = |seed| {
            let mut camera = Camera::new(&scenery, &props, EVERY, 100.0, seed);
            (0..3).map(|_| camera.take(&Taking::ordinary(Lit::Dark, true), None).0).collect::<Vec<_>>()
        };
        assert!(take(1) == take(1));
        assert!(take(1) != take(2));
    }

    #[test]
    fn a_thing_has_the_size_that_is_asked_for() {
        for size in [0.03, 0.01, 0.003] {
            let (without, with) = pair(Kind::Object, size, 60.0);
            let found = differs(&without, &with);
            assert!((0.7 * size..1.25 * size).contains(&found), "{size}: {found}");
        }
    }

    #[test]
    fn a_turned_camera_shows_the_scene_elsewhere() {
        let (without, with) = pair(Kind::Shift, 0.1, 0.0);
        let moved = without.crop((0, 0), (576, 360));
        let back = with.crop((64, 0), (576, 360));
        assert!(differs(&without, &with) > 0.1);
        // The shadow lies with the camera's picture, not with the scene: that much remains.
        assert!(differs(&moved, &back) < 0.5 * differs(&without, &with));
    }

    #[test]
    fn what_is_frozen_is_identical() {
        let (scenery, props) = stage();
        let painted = happening(Kind::Freezing, 1.0, 0.0);
        let mut camera = Camera::new(&scenery, &props, EVERY, 100.0, 9);
        let mut take = |happens| camera.take(&Taking::ordinary(Lit::Day, true), happens).0;
        let ordinary = [take(None), take(None)];
        let frozen = [take(Some((&painted, 0.0))), take(Some((&painted, 5.0)))];
        assert!(ordinary[0] != ordinary[1]);
        assert!(frozen[0] == frozen[1]);
    }
}
