//! What must be stated of cameras, and is not: for `snowgate check`. It keeps the box from nothing, and need not stand in its
//! journal at each start.

use super::{
    problem::{Place, Problem},
    resolved::{CameraConfig, Config},
    toml_errors::place_of,
};

impl Config {
    /// A warning for each camera of which it is not stated why it is there, or whose pictures are kept longer than is stated.
    pub fn legal_warnings(&self) -> Vec<Problem> {
        let retention = self.retention();
        let kept = |camera: &CameraConfig| retention.period(Some(&camera.id), None).at_most;
        let mut problems = Vec::new();
        for camera in self.cameras.iter().filter(|camera| camera.enabled) {
            let missing = camera.legal.missing();
            if !missing.is_empty() {
                let message = format!(
                    "it is not stated why camera `{}` is there: legal has no {}",
                    camera.id,
                    missing.join(", ")
                );
                let help = "snowgate cameras lists what is stated of all, for the filing".to_owned();
                problems.push(Problem::warning(Place::file(&camera.source), message).help(help));
            }
            if let Some(stated) = camera.legal.retention.0
                && kept(camera) > stated.0
            {
                let message =
                    format!("evidence of camera `{}` is kept longer than the {stated} that are stated", camera.id);
                let help = format!("under [evidence] of this file, write keep = \"{stated}\"");
                problems.push(Problem::warning(place_of(&camera.source, "/legal/retention"), message).help(help));
            }
        }
        problems
    }
}
