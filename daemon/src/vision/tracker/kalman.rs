//! A box that moves: Kalman filters for its foot point (constant velocity) and its size (constant).
//!
//! The state has no coupling between coordinates, as in SORT (Bewley et al., 2016), so instead of one filter of eight
//! dimensions there are two of two and two of one, solved by hand. Noise is proportional to the thing's size, as in
//! DeepSORT, and to time, because pictures come when they come.

use snowgate_core::geometry::Rect;

/// Standard deviation of a detected position: this share of width or height…
const POSITION_NOISE: f32 = 0.07;
/// …and of a detected size; both grow as the score falls.
const SIZE_NOISE: f32 = 0.12;
/// Widths or heights per second: how fast a thing may be when it is first seen. A walker seen from the side makes two widths.
const FIRST_SPEED: [f32; 2] = [2.5, 0.8];
/// Widths or heights per second, per square root of a second: how a velocity wanders.
const SPEED_NOISE: [f32; 2] = [1.2, 0.4];
/// Shares of the size per square root of a second: how a size wanders.
const SIZE_DRIFT: f32 = 0.15;
/// Shares of the size per square root of a second: how a resting thing's position wanders.
const REST_DRIFT: f32 = 0.02;
/// A thing that is not seen slows down with this time constant, in seconds: people stop behind what hides them.
const COASTING: f32 = 2.5;
/// The most standard deviation, in sizes, a prediction is given: how far things are searched for.
pub const MAX_SPREAD: f32 = 0.7;
/// The smallest side, as a share of the frame.
const MIN_SIDE: f32 = 1e-4;

/// A coordinate with its velocity: x and P of a two-dimensional Kalman filter.
#[derive(Debug, Clone, Copy)]
struct Moving {
    position: f32,
    velocity: f32,
    position_variance: f32,
    covariance: f32,
    velocity_variance: f32,
}

impl Moving {
    fn new(position: f32, noise: f32, speed: f32) -> Self {
        Self {
            position,
            velocity: 0.0,
            position_variance: noise * noise,
            covariance: 0.0,
            velocity_variance: speed * speed,
        }
    }

    /// x = F x, P = F P Fᵀ + Q with Q of a velocity that wanders (white acceleration).
    fn predict(&mut self, dt: f32, wander: f32) {
        let q = wander * wander;
        self.position += self.velocity * dt;
        self.position_variance += dt * (2.0 * self.covariance + dt * self.velocity_variance) + q * dt * dt * dt / 3.0;
        self.covariance += dt * self.velocity_variance + q * dt * dt / 2.0;
        self.velocity_variance += q * dt;
    }

    fn correct(&mut self, measured: f32, noise: f32) {
        let total = self.position_variance + noise * noise;
        let (gain, velocity_gain) = (self.position_variance / total, self.covariance / total);
        let innovation = measured - self.position;
        self.position += gain * innovation;
        self.velocity += velocity_gain * innovation;
        self.velocity_variance = (self.velocity_variance - velocity_gain * self.covariance).max(0.0);
        self.covariance *= 1.0 - gain;
        self.position_variance *= 1.0 - gain;
    }
}

/// A slowly wandering value: a one-dimensional Kalman filter.
#[derive(Debug, Clone, Copy)]
struct Level {
    value: f32,
    variance: f32,
}

impl Level {
    fn correct(&mut self, measured: f32, noise: f32) {
        let gain = self.variance / (self.variance + noise * noise);
        self.value = (self.value + gain * (measured - self.value)).max(MIN_SIDE);
        self.variance *= 1.0 - gain;
    }
}

/// A box that moves.
#[derive(Debug, Clone, Copy)]
pub struct BoxFilter {
    /// Foot point, across and down.
    foot: [Moving; 2],
    /// Width and height.
    size: [Level; 2],
}

impl BoxFilter {
    /// Starts with a first detection, its velocity unknown.
    pub fn new(rect: &Rect, score: f32) -> Self {
        let size = sides(rect);
        let foot = rect.foot();
        let doubt = doubt(score);
        let moving = |position, axis: usize| {
            Moving::new(position, POSITION_NOISE * doubt * size[axis], FIRST_SPEED[axis] * size[axis])
        };
        let level = |value: f32| Level { value, variance: (SIZE_NOISE * doubt * value).powi(2) };
        Self { foot: [moving(foot.x, 0), moving(foot.y, 1)], size: size.map(level) }
    }

    /// Moves on by `dt` seconds. A thing that was not `seen` the last time slows down.
    pub fn predict(&mut self, dt: f32, seen: bool) {
        for axis in 0..2 {
            let side = self.size[axis].value;
            self.foot[axis].predict(dt, SPEED_NOISE[axis] * side);
            if !seen {
                self.foot[axis].velocity *= (-dt / COASTING).exp();
            }
            let most = (3.0 * FIRST_SPEED[axis] * side).powi(2);
            self.foot[axis].velocity_variance = self.foot[axis].velocity_variance.min(most);
            self.size[axis].variance += (SIZE_DRIFT * side).powi(2) * dt;
        }
    }

    /// Moves on by `dt` seconds at rest: it stays where it is, a little less certain.
    pub fn rest(&mut self, dt: f32) {
        for ((foot, size), first_speed) in self.foot.iter_mut().zip(&self.size).zip(FIRST_SPEED) {
            (foot.velocity, foot.covariance) = (0.0, 0.0);
            foot.velocity_variance = (first_speed * size.value).powi(2);
            let most = (POSITION_NOISE * 2.0 * size.value).powi(2);
            foot.position_variance = (foot.position_variance + (REST_DRIFT * size.value).powi(2) * dt).min(most);
        }
    }

    /// It may have set off: its position is uncertain by a third of its size, its velocity unknown.
    pub fn wake(&mut self) {
        for ((foot, size), first_speed) in self.foot.iter_mut().zip(&self.size).zip(FIRST_SPEED) {
            *foot = Moving::new(foot.position, size.value / 3.0, first_speed * size.value);
        }
    }

    /// Takes in a detection.
    pub fn correct(&mut self, rect: &Rect, score: f32) {
        let size = sides(rect);
        let foot = rect.foot();
        let doubt = doubt(score);
        for (axis, measured) in [foot.x, foot.y].into_iter().enumerate() {
            self.foot[axis].correct(measured, POSITION_NOISE * doubt * self.size[axis].value);
            self.size[axis].correct(size[axis], SIZE_NOISE * doubt * self.size[axis].value);
        }
    }

    /// The box.
    pub fn rect(&self) -> Rect {
        let (width, height) = (self.size[0].value, self.size[1].value);
        Rect::new(self.foot[0].position - width / 2.0, self.foot[1].position - height, width, height)
    }

    /// How far a detected box lies from the predicted one, in standard deviations of what may be expected
    /// (Mahalanobis distance of the foot points). The prediction is given a deviation of `most_spread` sizes at the most.
    pub fn distance(&self, rect: &Rect, score: f32, most_spread: f32) -> f32 {
        let foot = rect.foot();
        let doubt = doubt(score);
        let along = |axis: usize, measured: f32| {
            let side = self.size[axis].value;
            let noise = POSITION_NOISE * doubt * side;
            let variance = self.foot[axis].position_variance.min((most_spread * side).powi(2)) + noise * noise;
            (measured - self.foot[axis].position).powi(2) / variance
        };
        (along(0, foot.x) + along(1, foot.y)).sqrt()
    }

    /// The predicted box widened by one standard deviation of its position to each side: where it should be looked for.
    pub fn search_area(&self) -> Rect {
        let rect = self.rect();
        let spread = |axis: usize| {
            let side = self.size[axis].value;
            self.foot[axis].position_variance.sqrt().min(MAX_SPREAD * side)
        };
        let (x, y) = (spread(0), spread(1));
        Rect::new(rect.x - x, rect.y - y, rect.width + 2.0 * x, rect.height + 2.0 * y)
    }
}

fn sides(rect: &Rect) -> [f32; 2] {
    [rect.width.max(MIN_SIDE), rect.height.max(MIN_SIDE)]
}

/// How much noisier an unsure detection is.
fn doubt(score: f32) -> f32 {
    1.0 + 1.5 * (1.0 - score.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_walker_is_predicted_where_it_walks() {
        let at = |t: f32| Rect::new(0.1 + 0.05 * t, 0.4, 0.03, 0.1);
        let mut filter = BoxFilter::new(&at(0.0), 0.8);
        for step in 1..=15 {
            filter.predict(0.2, true);
            filter.correct(&at(step as f32 * 0.2), 0.8);
        }
        let before = filter.search_area();
        for _ in 0..5 {
            filter.predict(0.2, false);
        }
        assert!(filter.rect().iou(&at(4.0)) > 0.5, "{:?}", filter.rect());
        assert!(filter.search_area().area() > before.area(), "what is not seen is searched for more widely");
    }

    proptest! {
        #[test]
        fn never_leaves_the_numbers(
            steps in prop::collection::vec(((0.0f32..1.0, 0.0f32..1.0, 0.0f32..1.0, 0.0f32..1.0), 0.0f32..100.0, 0u8..3, 0.0f32..1.0), 1..60)
        ) {
            let mut filter = BoxFilter::new(&Rect::new(0.4, 0.4, 0.0, 0.2), 0.5);
            for ((x, y, w, h), dt, what, score) in steps {
                let rect = Rect::new(x, y, w, h);
                match what {
                    0 => filter.predict(dt, score > 0.5),
                    1 => filter.rest(dt),
                    _ => filter.correct(&rect, score),
                }
                let Rect { x, y, width, height } = filter.search_area();
                prop_assert!([x, y, width, height, filter.distance(&rect, score, MAX_SPREAD)].into_iter().all(f32::is_finite));
                prop_assert!(filter.rect().width > 0.0 && filter.rect().height > 0.0);
            }
        }
    }
}
