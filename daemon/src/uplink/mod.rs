//! MQTT: sends what the store holds, hears commands.

pub mod spec;
