//! Decode only, from memory, on one thread: every picture, and key frames alone as a quiet camera's gate sees them.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use serde::{Deserialize, Serialize};
use snowgate::camera::{access_unit::AccessUnit, decode::Decoder};

use super::{Resident, in_a_child, own_cpu};
use crate::scale::{
    clips::{self, Clip},
    error::{ScaleError, media},
    patience::Patience,
};

/// Key frames looked at, each clip's own over and over.
const LOOKS: usize = 60;

/// What to decode.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// The clip's file.
    file: PathBuf,
    /// Pictures decoded at the most.
    #[arg(long)]
    pictures: usize,
}

/// What it cost.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figures {
    /// CPU seconds for one picture when all are decoded.
    pub seconds_per_picture: f64,
    /// CPU seconds for one key frame: in, out, drained.
    pub seconds_per_look: f64,
    /// Resident memory of an open decoder, in bytes.
    pub bytes_per_decoder: f64,
    /// Pictures decoded.
    pub pictures: usize,
}

/// Measures it in a child.
///
/// # Errors
/// The clip cannot be decoded.
pub fn measure(clip: &Clip, pictures: usize, patience: &Patience) -> Result<Figures, ScaleError> {
    let file = clip.file.display().to_string();
    let arguments = ["decode".to_owned(), file, "--pictures".to_owned(), pictures.to_string()];
    in_a_child(&arguments, Duration::from_secs(60), patience)
}

/// Measures it here.
///
/// # Errors
/// The clip cannot be decoded.
pub fn run(arguments: &Arguments) -> Result<Figures, ScaleError> {
    let mut units = clips::units(&arguments.file)?;
    let keys: Vec<AccessUnit> = units.iter().filter(|unit| unit.key).cloned().collect();
    units.truncate(arguments.pictures);
    let first = units.first().ok_or_else(|| media("an empty clip"))?;
    let before = Resident::now()?;
    let mut decoder = Decoder::new(first.format.codec).map_err(media)?;
    let mut decoded = 0usize;

    let cpu = own_cpu();
    for unit in &units {
        decoder.decode(unit, &mut |_| decoded += 1).map_err(media)?;
    }
    decoder.drain(&mut |_| decoded += 1).map_err(media)?;
    let all = own_cpu() - cpu;
    if decoded != units.len() {
        return Err(media(format!("of {} encoded pictures {decoded} came out", units.len())));
    }
    let bytes_per_decoder = Resident::now()?.grown_since(before) as f64;

    // An early look warms up what the element sets up anew after a drain.
    let mut looks = 0usize;
    for key in keys.iter().take(2) {
        look(&mut decoder, key, &mut looks)?;
    }
    looks = 0;
    let cpu = own_cpu();
    for key in keys.iter().cycle().take(LOOKS) {
        look(&mut decoder, key, &mut looks)?;
    }
    let looking = own_cpu() - cpu;
    if looks != LOOKS {
        return Err(media(format!("of {LOOKS} key frames {looks} came out")));
    }
    Ok(Figures {
        seconds_per_picture: all.as_secs_f64() / decoded as f64,
        seconds_per_look: looking.as_secs_f64() / LOOKS as f64,
        bytes_per_decoder,
        pictures: decoded,
    })
}

fn look(decoder: &mut Decoder, key: &AccessUnit, count: &mut usize) -> Result<(), ScaleError> {
    decoder.decode(key, &mut |_| *count += 1).map_err(media)?;
    decoder.drain(&mut |_| *count += 1).map_err(media)
}
