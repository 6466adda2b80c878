//! ONVIF, from the client's side: which cameras there are on a network, and which streams they have.
//!
//! [`discovery`] asks by multicast who is there. [`survey()`] then talks with every device over HTTP: its clock, its make, its media
//! profiles and where their streams are. [`choice`] says which of these to watch and which to keep. Nothing is ever changed in a device.
//!
//! Everything that comes from the network is bounded here: datagrams, devices, bytes, depth and elements of XML, time for a request, a device
//! and all together. A device is only ever contacted on the host that answered, whatever addresses it hands out; it is never followed
//! elsewhere. A password is tried once on each device, since many lock the account.
//!
//! Sources: ONVIF Core, Media and Media2 Service Specifications and ONVIF Streaming Specification; WS-Discovery and SOAP-over-UDP.

pub mod choice;
pub mod device;
pub mod discovery;
pub mod fault;
mod http;
mod http_digest;
pub mod interfaces;
mod media;
mod probe_message;
pub mod service;
mod session;
mod soap;
pub mod stream_uri;
mod survey;
mod username_token;
mod xml;

pub use session::Credentials;
pub use survey::{MOST_DEVICES, Target, survey};
