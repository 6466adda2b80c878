//! What the store can be told.

use snowgate_core::{
    spec,
    spec::{ByteSize, Located},
};

spec! {
    /// Where state is kept, and how much of the disk it may take.
    pub struct StorageSpec {
        /// Directory of the store and the evidence; relative to the configuration directory.
        directory: Located<String> = Located::nowhere("/var/lib/snowgate".to_owned()),
        /// The most bytes of unsent incidents, and the same again of unsent answers to commands.
        incident_quota: ByteSize = ByteSize::mib(512),
        /// The most bytes of incidents remembered; those that have ended are forgotten, first what people have finished with.
        incident_history_quota: ByteSize = ByteSize::mib(256),
        /// The most bytes of unsent evidence; evidence gives way before incidents do.
        unsent_evidence_quota: ByteSize = ByteSize::mib(256),
        /// The most bytes of unsent sensor readings, and the same again of unsent summaries.
        unsent_telemetry_quota: ByteSize = ByteSize::mib(64),
        /// The most bytes of evidence files kept on the box.
        evidence_quota: ByteSize = ByteSize::mib(2048),
    }
}
