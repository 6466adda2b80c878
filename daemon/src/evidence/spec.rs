//! What evidence can be told.

use snowgate_core::{
    spec,
    spec::{Fraction, Located, TimeSpan, all_defaults},
};

use super::clip::spec::ClipsSpec;

spec! {
    /// Stills of incidents. Faces and heads are always covered; there is no key to turn that off.
    pub struct EvidenceSpec {
        /// Whether incidents get a still at all.
        stills: bool = true,
        /// For so long after an incident has opened the best picture of it is looked for; "0s": the one in which it opened.
        best_of: TimeSpan = TimeSpan::secs(2),
        /// Score from which a face is covered; low, because one face too many covered hurts nobody.
        cover_score: Fraction = Fraction(0.05),
        /// JPEG quality, 30 to 95.
        jpeg_quality: Located<u32> = Located::nowhere(80),
        /// Widest still in pixels; larger pictures are scaled down.
        max_width: Located<u32> = Located::nowhere(1280),
        /// So long nothing takes evidence away, neither its quota nor a full disk: full of such evidence, new evidence is refused.
        keep_at_least: TimeSpan = TimeSpan::secs(0),
        /// How long evidence is kept at the most.
        keep: TimeSpan = TimeSpan::secs(30 * 86_400),
        /// Clips, for categories that want them.
        clips: ClipsSpec = all_defaults(),
    }
}
