//! The limits of a count rule, in things, however they are written: as such, or as a density over measured ground.

use super::spec::CountSpec;
use crate::geometry::{GroundPlane, GroundPlaneError, Polygon};

/// When there are too many things.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CountLimits {
    /// More than so many are too many.
    pub limit: u32,
    /// Once told of, it is over when no more than so many are left.
    pub end_limit: u32,
    /// The zone's area in square metres, where it is about density.
    pub area: Option<f64>,
}

/// Why what a count rule says makes no limits.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum CountLimitsError {
    /// One of the two is needed.
    #[error("neither limit nor density says when there are too many")]
    Neither,
    /// And one only.
    #[error("limit and density are two ways to say when there are too many")]
    Both,
    /// A key that belongs to the other way.
    #[error("{key} goes with {with} only")]
    Stray {
        /// The key.
        key: &'static str,
        /// With which other it goes.
        with: &'static str,
    },
    /// A density without ground to measure it on.
    #[error("density needs the size of the zone on the ground: metres is missing")]
    NotMeasured,
    /// The zone cannot be measured.
    #[error(transparent)]
    Ground(#[from] GroundPlaneError),
    /// One thing would be too many.
    #[error("density is {density}, which is less than one thing on the zone's {area} m²")]
    TooSparse {
        /// Things per square metre.
        density: f32,
        /// The zone's area in square metres.
        area: f64,
    },
    /// It would be over while it begins.
    #[error("{end_key} is {end}, above {key}, which is {value}")]
    EndAbove {
        /// The key of the end.
        end_key: &'static str,
        /// What it says.
        end: f32,
        /// The key of the beginning.
        key: &'static str,
        /// What that says.
        value: f32,
    },
}

impl CountLimitsError {
    /// The key to look at.
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Neither => "kind",
            Self::Both | Self::NotMeasured | Self::TooSparse { .. } => "density",
            Self::Stray { key, .. } => key,
            Self::Ground(_) => "zone",
            Self::EndAbove { end_key, .. } => end_key,
        }
    }

    /// A way out.
    pub const fn help(&self) -> &'static str {
        match self {
            Self::Neither | Self::Both => {
                "write limit = things, or density = things per square metre together with metres = [width, length]"
            }
            Self::Stray { .. } => "leave it out",
            Self::NotMeasured => {
                "write metres = [width, length] of the rectangle on the ground that the zone's four corners are"
            }
            Self::Ground(_) => "give it a zone of its own, with the corners of a rectangle on the ground in order",
            Self::TooSparse { .. } => "write a higher density, or limit = 0 to be told of every single thing",
            Self::EndAbove { .. } => "it would be over while it begins",
        }
    }
}

impl CountSpec {
    /// The limits in things, where `zone` is the zone's polygon. What is not a whole number of things is rounded down: a density
    /// is exceeded by the first thing beyond it.
    ///
    /// # Errors
    /// The keys do not go together, or the zone cannot be the picture of a rectangle.
    pub fn limits(&self, zone: &Polygon) -> Result<CountLimits, CountLimitsError> {
        match (*self.limit, *self.density) {
            (None, None) => Err(CountLimitsError::Neither),
            (Some(_), Some(_)) => Err(CountLimitsError::Both),
            (Some(limit), None) => self.of_things(limit),
            (None, Some(density)) => self.of_density(density.0, zone),
        }
    }

    fn of_things(&self, limit: u32) -> Result<CountLimits, CountLimitsError> {
        let of_density = [("end_density", self.end_density.is_some()), ("metres", self.metres.is_some())];
        if let Some((key, _)) = of_density.into_iter().find(|(_, is_written)| *is_written) {
            return Err(CountLimitsError::Stray { key, with: "density" });
        }
        let end_limit = self.end_limit.unwrap_or(limit);
        if end_limit > limit {
            let (end, value) = (end_limit as f32, limit as f32);
            return Err(CountLimitsError::EndAbove { end_key: "end_limit", end, key: "limit", value });
        }
        Ok(CountLimits { limit, end_limit, area: None })
    }

    fn of_density(&self, density: f32, zone: &Polygon) -> Result<CountLimits, CountLimitsError> {
        if self.end_limit.is_some() {
            return Err(CountLimitsError::Stray { key: "end_limit", with: "limit" });
        }
        let size = self.metres.ok_or(CountLimitsError::NotMeasured)?;
        let end = self.end_density.map_or(density, |end| end.0);
        if end > density {
            let (end_key, key) = ("end_density", "density");
            return Err(CountLimitsError::EndAbove { end_key, end, key, value: density });
        }
        GroundPlane::new(zone, size)?;
        let area = size.area();
        // What is written in decimals must not miss a whole number by its last binary digit.
        let things = |density: f32| (f64::from(density) * area * (1.0 + 1e-7)).floor() as u32;
        let (limit, end_limit) = (things(density), things(end));
        match limit {
            0 => Err(CountLimitsError::TooSparse { density, area }),
            _ => Ok(CountLimits { limit, end_limit, area: Some(area) }),
        }
    }
}

#[cfg(test)]
mod tests;
