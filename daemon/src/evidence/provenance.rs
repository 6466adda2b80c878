//! Where evidence comes from: what its manifest says of it, and by whose rules it is kept.

use serde::{Deserialize, Serialize};
use snowgate_core::{
    ids::{Id, IncidentId},
    incidents::{Incident, ModelDigest},
};

/// The incident that evidence belongs to, and what found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The incident.
    pub incident: IncidentId,
    /// The rule that found it.
    pub rule: Id,
    /// Its category.
    pub category: Id,
    /// Digest of the configuration it was found under, hexadecimal.
    pub config_digest: String,
    /// The models that looked; none of what sensors tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<ModelDigest>,
}

impl Provenance {
    /// That of an incident.
    pub fn of(incident: &Incident) -> Self {
        Self {
            incident: incident.id,
            rule: incident.rule.clone(),
            category: incident.target.category.clone(),
            config_digest: incident.config_digest.clone(),
            models: incident.origin.camera().map(|seen| seen.models.clone()).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
impl Provenance {
    /// That of an incident of which nothing else matters.
    pub fn any(incident: IncidentId) -> std::sync::Arc<Self> {
        let id = |text: &str| text.parse().unwrap();
        let (rule, category) = (id("yard"), id("intrusion"));
        std::sync::Arc::new(Self { incident, rule, category, config_digest: "c0ffee".into(), models: Vec::new() })
    }
}
