//! The stills of a comparison: made as those of incidents are, faces and heads covered, by the configuration whose incident it
//! is. What cannot be made is not shown.

use std::{collections::HashMap, mem, sync::Arc};

use crate::{
    camera::picture::Picture,
    cli::replay::camera::Prepared,
    evidence::{
        detectors::StillModels,
        still::{Still, StillMaker, StillRequest},
        worker::OpenError,
    },
    shutdown::Shutdown,
};

/// What the stills of one configuration may take on a page, in bytes: beyond this no browser opens it gladly.
const ROOM: usize = 32 << 20;

/// Why an incident has no still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoStill {
    /// The configuration wants none.
    Off,
    /// There are too many before it.
    Full,
    /// It is not known what must be covered, or the picture could not be encoded.
    Failed,
}

/// The stills of one configuration's incidents.
pub struct Album {
    /// None where the configuration wants no stills.
    maker: Option<StillMaker>,
    room: usize,
    /// By the incident's id.
    made: HashMap<String, Result<Still, NoStill>>,
}

impl Album {
    /// For this configuration's incidents.
    ///
    /// # Errors
    /// The models that find what must be covered cannot be loaded.
    pub fn open(prepared: &Prepared) -> Result<Self, OpenError> {
        let (config, models) = (prepared.config(), prepared.models());
        let (face, object) = (models.manifest(&config.models.face), models.manifest(&config.models.object));
        let maker = match (config.evidence.stills, models.runtime(), face, object) {
            (false, ..) => None,
            (true, Some(runtime), Some(face), Some(object)) => {
                let models = StillModels { runtime, face, object, folder: &config.models.directory };
                Some(models.open(&config.evidence, Shutdown::new())?)
            }
            (true, ..) => return Err("the gateway's face or object model is not usable".into()),
        };
        Ok(Self { maker, room: ROOM, made: HashMap::new() })
    }

    /// Makes the still of an incident that has opened, if there is room.
    pub fn add(&mut self, request: &StillRequest<Arc<Picture>>) {
        let still = self.make(request);
        self.made.insert(request.of.incident.to_string(), still);
    }

    fn make(&mut self, request: &StillRequest<Arc<Picture>>) -> Result<Still, NoStill> {
        let Some(maker) = &mut self.maker else { return Err(NoStill::Off) };
        if self.room == 0 {
            return Err(NoStill::Full);
        }
        let still = maker.make(request).map_err(|error| {
            eprintln!("snowgate: there is no still of incident {}: {error}", request.of.incident);
            NoStill::Failed
        })?;
        self.room = self.room.saturating_sub(still.jpeg.len());
        Ok(still)
    }

    /// What was made since it was asked last, by the incidents' ids.
    pub fn take(&mut self) -> HashMap<String, Result<Still, NoStill>> {
        mem::take(&mut self.made)
    }
}
