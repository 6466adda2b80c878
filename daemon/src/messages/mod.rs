//! What the gateway and the grid system say to each other, for whoever writes the other side: every channel, with the types
//! whose JSON goes over it.
//!
//! Nothing here is sent. [`CHANNELS`] names each topic and the Rust type of its payload; [`schema`](schema()) describes the
//! payloads in JSON Schema and [`asyncapi`](asyncapi()) the whole of it as an AsyncAPI document, both made from the types.
//! Schemas leave objects open: a receiver must tolerate keys that are new to it.

mod asyncapi;
mod channels;
mod example;
mod schema;

pub use self::{
    asyncapi::asyncapi,
    channels::{CHANNELS, Channel, Direction, MessageKind, PARAMETERS, Parameter},
    example::{Example, examples},
    schema::schema,
};

/// The JSON Schema as text, as the committed copy holds it.
pub fn schema_text() -> String {
    format!("{:#}\n", schema())
}

/// The AsyncAPI document as text, as the committed copy holds it.
pub fn asyncapi_text() -> String {
    format!("{:#}\n", asyncapi())
}
