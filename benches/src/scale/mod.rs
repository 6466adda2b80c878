//! The whole daemon under load: cameras served by a process of their own, a real broker, the real release binary, and
//! the floors that no daemon can go below, all measured in one run on one machine.
//!
//! ```text
//! scale serve ──RTSP──► snowgate run ──MQTT──► mosquitto ──► grid system (here)
//!      │ log of what appeared, when               │ metrics, /proc          │ incidents
//!      └──────────────────────────► recall, delays, CPU, memory ◄───────────┘
//! ```
//!
//! What is measured runs in a process of its own, so that no figure holds anything of another. Every wait has a
//! deadline that says what did not happen, and every child dies with the harness.

pub mod all;
pub mod cameras;
pub mod child;
pub mod clips;
pub mod configuration;
pub mod error;
pub mod floors;
pub mod load;
pub mod machine;
pub mod overload;
pub mod patience;
pub mod process;
pub mod recall;
pub mod report;
pub mod rig;
pub mod search;
pub mod sensors;
pub mod sum;
pub mod table;
pub mod window;
